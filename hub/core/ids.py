"""Identifiers: time-ordered UUIDs (RFC 9562, version 7) and random tokens."""

from __future__ import annotations

import secrets
from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)


def uuid7(now: int) -> UUID:
    """Return a UUID that sorts by `now` (milliseconds since the epoch) and is random otherwise."""
    random = secrets.randbits(76 + 4) & _RANDOM_BITS
    return UUID(int=(now & ((1 << 48) - 1)) << 80 | _VERSION_7 | _VARIANT | random)


def random_token(length: int = 32) -> str:
    """Return a URL-safe secret made of `length` random bytes."""
    return secrets.token_urlsafe(length)


def connection_id() -> str:
    """Return an id for one live connection: unguessable, 16 characters."""
    return secrets.token_urlsafe(12)
