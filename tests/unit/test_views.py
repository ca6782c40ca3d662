"""Times and page tokens, as clients see them."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.errors import InvalidRequest
from hub.core.ids import uuid7
from hub.core.model import Content, Item, ItemState, Priority
from hub.core.views import page_token, parse_page_token, parse_rfc3339, rfc3339


@given(st.integers(min_value=0, max_value=250_000_000_000_000))
def test_times_survive_the_trip(at: int) -> None:
    assert parse_rfc3339(rfc3339(at), "$") == at


def test_a_time_of_another_zone_is_the_same_time() -> None:
    assert rfc3339(parse_rfc3339("2026-01-31T13:00:00.5+01:00", "$")) == "2026-01-31T12:00:00.500Z"


@given(st.integers(min_value=0, max_value=2**53 - 1), st.uuids())
def test_page_tokens_survive_the_trip(at: int, identifier: UUID) -> None:
    content = Content(identifier, "t", "c", "t", "", None, None, None, Priority.LOW, True, None, at, None, None)
    assert parse_page_token(page_token(Item(content, 1, 1, ItemState.LIVE, at))) == (at, identifier)


@pytest.mark.parametrize("token", ["", "x", "!!!!", "MS4y", "4pyT", "LTEuMA", "\ud800", "A" * 5000])
def test_page_tokens_that_we_did_not_write_are_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_page_token(token)


def test_ids_sort_by_time_and_are_version_7() -> None:
    ids = [uuid7(at) for at in (0, 1, 1_800_000_000_000, (1 << 48) - 1)]
    assert ids == sorted(ids)
    assert {identifier.version for identifier in ids} == {7}
    assert {identifier.variant for identifier in ids} == {"specified in RFC 4122"}
