"""Identifiers: time-ordered UUIDs (RFC 9562, version 7) and random tokens."""

from __future__ import annotations

import os
import secrets
from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (0xFFF << 64) | ((1 << 62) - 1)
_BYTES = 10
"""Random ones in a UUID, some bits of which give way to version and variant."""


class _Entropy:
    """The system's random bytes, some hundred ids' worth a call: a call for each was half of what an id cost."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin anew: a forked process must not take the same."""
        self._bytes, self._at = b"", 0

    def take(self) -> int:
        """Return as many bits as a UUID needs."""
        if self._at >= len(self._bytes):
            self._bytes, self._at = os.urandom(256 * _BYTES), 0
        self._at += _BYTES
        return int.from_bytes(self._bytes[self._at - _BYTES : self._at], "big")


_entropy = _Entropy()


def uuid7(now: int) -> UUID:
    """Return a UUID that sorts by `now` (milliseconds since the epoch) and is random otherwise."""
    random = _entropy.take() & _RANDOM_BITS
    return UUID(int=(now & ((1 << 48) - 1)) << 80 | _VERSION_7 | _VARIANT | random)


def random_token(length: int = 32) -> str:
    """Return a URL-safe secret made of `length` random bytes."""
    return secrets.token_urlsafe(length)


def connection_id() -> str:
    """Return an id for one live connection: unguessable, 16 characters."""
    return secrets.token_urlsafe(12)
