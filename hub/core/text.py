"""What text from outside has to be before it is stored or shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from hub.core.errors import InvalidRequest

MAX_ID = 255
MAX_CATEGORY = 128
MAX_TITLE = 500
MAX_BODY = 10_000
MAX_URL = 2048
MAX_DATA = 32 * 1024
"""Bytes of `data` or `actor`, encoded."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029]")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>,;:\"()\[\]\\]{1,64}@[^@\s\x00-\x1f\x7f<>,;:\"()\[\]\\]{1,189}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_CATEGORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*", re.ASCII)


def check_text(value: str, pointer: str, limit: int, *, empty: bool = True) -> str:
    """Return `value` if it can be stored: no NUL (PostgreSQL refuses it), no lone surrogate, not over `limit`.

    Raises:
        InvalidRequest: naming `pointer`.

    """
    if not empty and not value.strip():
        raise InvalidRequest("must not be empty", pointer=pointer)
    if len(value) > limit:
        raise InvalidRequest(f"is {len(value):,} characters long; at most {limit:,} are allowed", pointer=pointer)
    if "\x00" in value:
        raise InvalidRequest("must not contain the NUL character", pointer=pointer)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidRequest("must not contain a lone surrogate", pointer=pointer)
    return value


def check_id(value: str, pointer: str) -> str:
    """Return `value` if it can be an id or a key of somebody else's making: 1 to 255 characters, no control ones."""
    check_text(value, pointer, MAX_ID, empty=False)
    if _CONTROL.search(value):
        raise InvalidRequest("must not contain control characters", pointer=pointer)
    return value


def check_topic(value: str, pointer: str) -> str:
    """Return `value` if it can name a topic: the same as for a user's id."""
    return check_id(value, pointer)


def check_category(value: str, pointer: str = "$.category") -> str:
    """Return `value` if it names a category, such as `order.shipped`."""
    if len(value) > MAX_CATEGORY or _CATEGORY.fullmatch(value) is None:
        raise InvalidRequest(
            f"must be 1 to {MAX_CATEGORY} letters, digits and . _ : / -, such as order.shipped",
            pointer=pointer,
        )
    return value


def check_email(value: str, pointer: str) -> str:
    """Return `value` if it has the shape of one e-mail address (lengths of RFC 5321)."""
    check_text(value, pointer, 254)
    if _EMAIL.fullmatch(value) is None:
        raise InvalidRequest("is not an e-mail address", pointer=pointer)
    return value


def check_phone(value: str, pointer: str) -> str:
    """Return `value` if it is a phone number in E.164 form (`+` and 7 to 15 digits)."""
    if _PHONE.fullmatch(value) is None:
        raise InvalidRequest("is not a phone number in the form +15551234567", pointer=pointer)
    return value


def check_action_url(value: str, pointer: str = "$.action_url") -> str:
    r"""Return `value` if browsers (WHATWG URL) take it for http(s) or for a path on the same origin.

    Backslashes are refused because browsers read them as slashes: `/\evil.com` leaves the origin, although
    `urlsplit` sees a path. Control characters and spaces are refused because browsers drop some of them.
    """
    check_text(value, pointer, MAX_URL, empty=False)
    if _URL_UNSAFE.search(value):
        raise InvalidRequest("must not contain backslashes, spaces or control characters", pointer=pointer)
    if value.startswith("/"):
        if value.startswith("//"):
            raise InvalidRequest("must be a path on the same origin, or begin with https://", pointer=pointer)
        return value
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise InvalidRequest("is not a URL", pointer=pointer) from None
    if parts.scheme.lower() not in {"http", "https"}:
        raise InvalidRequest("must begin with https://, http:// or /", pointer=pointer)
    if not parts.hostname or not value[len(parts.scheme) :].startswith("://") or "@" in parts.netloc:
        raise InvalidRequest("must name a host, and no user or password", pointer=pointer)
    return value


def encode_object(value: dict[str, object] | None, pointer: str) -> bytes | None:
    """Encode a JSON object for storage, checked in depth: text as `check_text`, at most 32 KiB.

    Raises:
        InvalidRequest: too large, too deep, or with text that cannot be stored.

    """
    if value is None:
        return None
    try:
        encoded = msgspec.json.encode(value)
    except (ValueError, RecursionError):
        raise InvalidRequest("cannot be stored as JSON", pointer=pointer) from None
    if len(encoded) > MAX_DATA:
        raise InvalidRequest(f"is {len(encoded):,} bytes; at most {MAX_DATA:,} are allowed", pointer=pointer)
    # NUL can stand in JSON only as the escape \u0000; an escaped backslash before it is a false alarm that
    # the exact walk settles.
    if b"\\u0000" in encoded:
        _check_nested(value, pointer)
    return encoded


def _check_nested(value: object, pointer: str) -> None:
    """Walk a JSON value of bounded size without recursion and check every text in it."""
    pending: list[object] = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            check_text(current, pointer, MAX_DATA)
        elif isinstance(current, dict):
            pending.extend(current.keys())
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)
