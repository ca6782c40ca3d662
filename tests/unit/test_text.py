"""What text from outside has to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.core.errors import InvalidRequest
from hub.core.text import (
    MAX_DATA,
    check_action_url,
    check_category,
    check_email,
    check_id,
    check_phone,
    check_text,
    encode_object,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "action-urls.json").read_text())


@pytest.mark.parametrize("url", VECTORS["accepted"])
def test_safe_action_urls_are_accepted(url: str) -> None:
    assert check_action_url(url) == url


@pytest.mark.parametrize("url", VECTORS["refused"])
def test_unsafe_action_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_action_url(url)
    assert caught.value.pointer == "$.action_url"


def test_an_overlong_action_url_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        check_action_url("https://example.com/" + "x" * 2048)


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "\ud800", "ok \udfff"])
def test_text_that_no_database_takes_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        check_text(text, "$.title", 100)


@pytest.mark.parametrize("text", ["", "naïve", "日本語", "👩‍👩‍👧 family", "line\nbreak", "\u202ereversed"])
def test_other_text_is_kept_as_it_is(text: str) -> None:
    assert check_text(text, "$.body", 100) == text


def test_length_is_counted_in_characters() -> None:
    assert check_text("é" * 100, "$.title", 100)
    with pytest.raises(InvalidRequest, match="101 characters"):
        check_text("é" * 101, "$.title", 100)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x7f", "x" * 256, "\ud800"])
def test_user_ids_without_shape_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_id(name, "$.recipients[0]")


@pytest.mark.parametrize("address", ["ada@example.com", "a.b+c@sub.example.co", "ü@example.com"])
def test_email_addresses(address: str) -> None:
    assert check_email(address, "$.email") == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@b@c",
        "a b@c.de",
        "a@b.c,d@e.f",
        "a@b\r\nBcc: x@y.z",
        "<a@b.c>",
        "a" * 65 + "@b.c",
    ],
)
def test_email_addresses_that_could_mean_two_or_a_header_are_refused(address: str) -> None:
    with pytest.raises(InvalidRequest):
        check_email(address, "$.email")


@pytest.mark.parametrize("number", ["+15551234567", "+491701234567"])
def test_phone_numbers(number: str) -> None:
    assert check_phone(number, "$.phone") == number


@pytest.mark.parametrize(
    "number", ["", "5551234567", "+0555123456", "+1555", "+1 555 123 4567", "+1555123456789012", "+١٢٣٤٥٦٧٨"]
)
def test_phone_numbers_of_another_shape_are_refused(number: str) -> None:
    with pytest.raises(InvalidRequest):
        check_phone(number, "$.phone")


@pytest.mark.parametrize("category", ["", ".x", "a b", "ä", "x" * 129, "a\n"])
def test_categories_of_another_shape_are_refused(category: str) -> None:
    with pytest.raises(InvalidRequest):
        check_category(category)


def test_objects_are_limited_by_their_encoded_size() -> None:
    fits: dict[str, object] = {"x": "y" * (MAX_DATA - len('{"x":""}'))}
    assert encode_object(fits, "$.data") is not None
    with pytest.raises(InvalidRequest, match="32,769 bytes"):
        encode_object({"x": "y" * (MAX_DATA - len('{"x":""}') + 1)}, "$.data")


@pytest.mark.parametrize("value", [{"a": "\x00"}, {"\x00": 1}, {"a": [{"b": ["\x00"]}]}])
def test_nul_is_found_anywhere_in_an_object(value: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="NUL"):
        encode_object(value, "$.data")


def test_an_escaped_backslash_is_not_nul() -> None:
    assert encode_object({"a": "\\u0000"}, "$.data") == b'{"a":"\\\\u0000"}'
