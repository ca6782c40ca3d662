"""Reading what a client puts into its request: who it is, and where it wants to go on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starlette.requests import HTTPConnection

from hub.core.errors import InvalidRequest, Unauthenticated
from hub.core.model import Attention
from hub.gateway.gateway import Gateway
from hub.ports import Identity

TICKET_SESSION_MS = 3_600_000
"""How long a connection opened by a ticket may live: the ticket does not say until when its token was good."""


def bearer(request: HTTPConnection) -> str:
    """Return the token of the one `Authorization: Bearer` header.

    Raises:
        Unauthenticated: there is none, more than one, or of another scheme.

    """
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send one header Authorization: Bearer <user's token>")
    return token.strip()


def by_header(gateway: Gateway, request: HTTPConnection) -> Identity:
    """Tell who is calling by the `Authorization` header.

    Raises:
        Unauthenticated: nobody that we know.

    """
    return gateway.identify(bearer(request))


async def by_header_or_ticket(gateway: Gateway, request: HTTPConnection, query: Mapping[str, str]) -> Identity:
    """Tell who is calling by the `Authorization` header or `?ticket=`, which is spent by it.

    Raises:
        Unauthenticated: nobody that we know.

    """
    if "ticket" not in query or "authorization" in request.headers:
        return by_header(gateway, request)
    key = await gateway.hub.redeem_ticket(query["ticket"])
    return Identity(key, gateway.monotonic() + TICKET_SESSION_MS)


def read_query(request: HTTPConnection, known: Collection[str]) -> Mapping[str, str]:
    """Return the query parameters, each known and given once.

    Raises:
        InvalidRequest: naming the parameter.

    """
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known or name in values:
            raise InvalidRequest(f"known parameters, each given once: {', '.join(known)}", pointer=name[:64])
        values[name] = value
    return values


def attention_of(query: Mapping[str, str]) -> Attention:
    """Read `?state=`.

    Raises:
        InvalidRequest: neither `active` nor `away`.

    """
    state = query.get("state", "active")
    if state not in {"active", "away"}:
        raise InvalidRequest("must be active or away", pointer="state")
    return Attention(state)
