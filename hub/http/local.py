"""Whether a request comes from this very machine, by a program that its user runs."""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import Scope

_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def is_local(scope: Scope) -> bool:
    """Whether this request comes from this machine, and from no other site's page.

    The Host check defeats DNS rebinding (evil.example resolving to 127.0.0.1), the Origin check other sites'
    requests, and a forwarding header shows that a proxy brought somebody else here. A proxy on this machine that sends
    neither its visitors' Host nor such a header makes everybody look local: believe this in development only.
    """
    headers = Headers(scope=scope)
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or len(origins) > 1:
        return False
    host = hosts[0].lower()
    return (
        _LOOPBACK_HOST.fullmatch(host) is not None
        and _is_loopback(scope)
        and not any(name in headers for name in _FORWARDED)
        and (not origins or origins[0].lower() == f"{scope['scheme']}://{host}")
    )


def _is_loopback(scope: Scope) -> bool:
    """Whether the peer's address is this machine's own."""
    client = scope.get("client")
    if client is None:
        return False
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
