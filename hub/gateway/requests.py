"""Reading what a client puts into its request: who it is, and where it wants to go on."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from hub.core.errors import InvalidRequest
from hub.core.model import Attention
from hub.gateway.gateway import Gateway
from hub.ports import Identity

TICKET_SESSION_MS = 3_600_000
"""How long a connection opened by a ticket may live: the ticket does not say until when its token was good."""


def by_header(gateway: Gateway, request: HTTPConnection) -> Identity:
    """Tell who is calling by the `Authorization` header.

    Raises:
        Unauthenticated: nobody that we know.
        Forbidden: an API key, which is nobody's inbox.

    """
    return gateway.by_session_clock(gateway.guard.identity(request))


async def by_header_or_ticket(gateway: Gateway, request: HTTPConnection, query: Mapping[str, str]) -> Identity:
    """Tell who is calling by the `Authorization` header or `?ticket=`, which is spent by it.

    Raises:
        Unauthenticated: nobody that we know.

    """
    if "ticket" not in query or "authorization" in request.headers:
        return by_header(gateway, request)
    key = await gateway.hub.redeem_ticket(query["ticket"])
    return Identity(key, gateway.monotonic() + TICKET_SESSION_MS)


def attention_of(query: Mapping[str, str]) -> Attention:
    """Read `?state=`.

    Raises:
        InvalidRequest: neither `active` nor `away`.

    """
    state = query.get("state", "active")
    if state not in {"active", "away"}:
        raise InvalidRequest("must be active or away", pointer="state")
    return Attention(state)
