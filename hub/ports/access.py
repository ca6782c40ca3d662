"""Who is calling, and whose tokens and tickets still count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hub.core.model import InboxKey


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a user's token speaks for, and until when (milliseconds since the epoch)."""

    key: InboxKey
    expires_at: int
    issued_at: int | None = None
    """When the token was issued (milliseconds since the epoch); None if it does not say."""


class Authenticator(Protocol):
    """Tells who is calling. The tenant comes from the key that verified the credentials, never from a claim."""

    def user(self, token: str, now: int) -> Identity:
        """Verify a user's JWT.

        Raises:
            Unauthenticated: expired, signed by another key or algorithm, or without `sub` or `exp`.

        """
        ...

    def publisher(self, api_key: str) -> str:
        """Return the tenant of an API key, compared in constant time.

        Raises:
            Unauthenticated: the key is unknown.

        """
        ...


class TicketStore(Protocol):
    """Single-use tickets for clients that cannot send headers. Only hashes are stored."""

    async def put_ticket(self, digest: bytes, key: InboxKey, expires_at: int) -> None:
        """Store a ticket."""
        ...

    async def take_ticket(self, digest: bytes, now: int) -> InboxKey | None:
        """Take a ticket out: at most one caller ever gets it, and only before it expires."""
        ...


EVERYBODY = ""
"""Stands where a user's id would, for all users of a tenant. No user has this id."""


class Revocation(NamedTuple):
    """Tokens of a user (or of `EVERYBODY`) that were issued before a time are refused."""

    key: InboxKey
    issued_before: int


class Revocations(Protocol):
    """Revoked tokens, one record for each user and one for each tenant; kept for ever, as tokens may be."""

    async def revoke(self, key: InboxKey, issued_before: int, now: int) -> None:
        """Store a revocation made now. Of several for one key the latest `issued_before` counts."""
        ...

    async def since(self, made_at: int) -> Sequence[Revocation]:
        """Read every revocation whose last `revoke` was made at `made_at` or later, in any order."""
        ...
