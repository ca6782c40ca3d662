"""Who may be connected, and for how long: tickets, disconnecting, revoking tokens."""

from __future__ import annotations

import hashlib

from hub.core import wire
from hub.core.errors import InvalidRequest, Unauthenticated, Unavailable
from hub.core.ids import random_token
from hub.core.model import InboxKey
from hub.core.text import check_id
from hub.core.views import rfc3339
from hub.ports import EVERYBODY, Bus, Clock, Identity, TicketStore
from hub.revoked import RevokedTokens, revocation

TICKET_LIFETIME = 30_000
"""Milliseconds for which a ticket can be used, once."""

DISCONNECT_EVENT = "disconnect"
"""Marks what travels over a user's channel of the bus and asks the nodes to close the user's connections."""


class Access:
    """Letting users in without their token, and putting them out."""

    def __init__(self, tickets: TicketStore, revoked: RevokedTokens, bus: Bus, clock: Clock) -> None:
        self._tickets = tickets
        self._revoked = revoked
        self._bus = bus
        self._clock = clock

    async def issue_ticket(self, identity: Identity) -> wire.TicketOut:
        """Make a single-use ticket for a client that cannot send headers."""
        # What is known of its token stands in the ticket: the digest is of the whole, so it cannot be changed.
        issued_at = "" if identity.issued_at is None else identity.issued_at
        ticket = f"{random_token()}.{issued_at}.{identity.expires_at}"
        expires_at = min(self._clock.now() + TICKET_LIFETIME, identity.expires_at)
        await self._tickets.put_ticket(_ticket_digest(ticket), identity.key, expires_at)
        return wire.TicketOut(ticket=ticket, expires_at=rfc3339(expires_at))

    async def redeem_ticket(self, ticket: str) -> Identity:
        """Take a ticket; what it opens lasts no longer than the token that bought it, and is revoked with it.

        Raises:
            Unauthenticated: unknown, spent or expired, or the token has been revoked since.

        """
        key = await self._tickets.take_ticket(_ticket_digest(ticket), self._clock.now())
        if key is None:
            raise Unauthenticated("the ticket is unknown, spent or expired; buy a new one with POST /v1/tickets")
        known, _, expires_at = ticket.rpartition(".")
        issued_at = known.partition(".")[2]
        return self._revoked.checked(Identity(key, int(expires_at), int(issued_at) if issued_at else None))

    async def disconnect(self, key: InboxKey, request: wire.DisconnectIn) -> wire.DisconnectOut:
        """Close a user's connections on all nodes; unless the tokens are revoked too, clients come back at once.

        Raises:
            InvalidRequest: this can be nobody's id.
            Unavailable: the other nodes cannot be told now, and nothing is stored that would tell them later.
            StoreUnavailable: it may or may not have been revoked; repeating is safe.

        """
        check_id(key.user, "user")
        if request.revoke:
            return wire.DisconnectOut(rfc3339(await self._revoke(key)))
        if not await self._bus.publish([(key, wire.LiveChange("", 0, DISCONNECT_EVENT, None))]):
            raise Unavailable("the other nodes cannot be reached now", retry_after=2)
        return wire.DisconnectOut(None)

    async def revoke_tokens(self, tenant: str, request: wire.RevokeIn) -> wire.RevokeOut:
        """Refuse every token issued until now, of a user or of everybody, and close the connections made with them.

        When this returns it is stored. Every node does it at once or, where the bus lost the message, within 30 s.

        Raises:
            InvalidRequest: not exactly one of `user` and `all`, or nobody's id.
            StoreUnavailable: it may or may not have been revoked; repeating is safe.

        """
        if isinstance(request.user, str) is (request.all is True):
            raise InvalidRequest("give either `user` or `all: true`", pointer="$")
        user = check_id(request.user, "$.user") if isinstance(request.user, str) else EVERYBODY
        return wire.RevokeOut(rfc3339(await self._revoke(InboxKey(tenant, user))))

    async def _revoke(self, key: InboxKey) -> int:
        issued_before = await self._revoked.revoke(key)
        await self._bus.publish([revocation(key, issued_before)])
        return issued_before


def _ticket_digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode(errors="replace")).digest()
