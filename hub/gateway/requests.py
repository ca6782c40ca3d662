"""Reading what a client puts into its request: who it is, and where it wants to go on."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

from starlette.requests import HTTPConnection

from hub.core.errors import InvalidRequest
from hub.core.model import Attention
from hub.gateway.gateway import Gateway
from hub.ports import Identity


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
    return gateway.by_session_clock(await gateway.hub.access.redeem_ticket(query["ticket"]))


def attention_of(query: Mapping[str, str]) -> Attention:
    """Read `?state=`.

    Raises:
        InvalidRequest: neither `active` nor `away`.

    """
    state = query.get("state", "active")
    if state not in {"active", "away"}:
        raise InvalidRequest("must be active or away", pointer="state")
    return Attention(state)


def origin_of(request: HTTPConnection) -> str:
    """Tell where a request comes from: an IPv4 address, or the /64 that an IPv6 user has to themselves."""
    return "" if request.client is None else _network(request.client.host)


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host  # a socket of this machine, or a name that a proxy gave
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
