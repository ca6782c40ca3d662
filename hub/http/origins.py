"""Which web pages may open live connections: browsers name a page's origin, and no same-origin rule holds WebSockets.

The check is a second fence. Credentials travel in frames and headers of ours, never in cookies, so that a page of
another site has nothing to send in its visitor's name; and it binds browsers only, which do not lie about `Origin`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from starlette.requests import HTTPConnection

ANY_ORIGIN: Final = "*"
"""In an allow-list: every page, opaque origins (`null`) included, as in CORS."""

_OPAQUE = "null"
"""What sandboxed frames and pages from files send: everybody's, and so nobody's."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PARTS = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_BASE = re.compile(r"[^:/?#]+://[^/?#]*")
_MAX_PORT = 65_535


class _Origin(NamedTuple):
    """A tuple origin (WHATWG HTML, section 7.1.1); equal ones are the same origin."""

    scheme: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Origins:
    """Which pages may open live connections here, besides this hub's own."""

    allowed: tuple[str, ...] = ()
    public_url: str | None = None

    def admit(self, request: HTTPConnection) -> bool:
        """Tell whether a request may be served."""
        named = request.headers.getlist("origin")
        return origin_allowed(
            ", ".join(named) if named else None,
            scheme=request.scope["scheme"],
            host=request.headers.get("host"),
            allowed=self.allowed,
            public_url=self.public_url,
        )


def origin_allowed(
    origin: str | None, *, scheme: str, host: str | None, allowed: Collection[str], public_url: str | None = None
) -> bool:
    """Tell whether a request may be served, by the page that it comes from. Never raises.

    `origin` and `host` are the headers as they came, `scheme` that of the request (`http`, `https`, `ws` or `wss`).
    `allowed` has further origins, or `*`. `public_url` is where users reach this hub, whatever a proxy in front made
    of `Host`.

    Without `Origin` it is no browser, and allowed. A page of this hub's own is recognised by `host`; its scheme has
    to be https if the request came that way, and may be either if not, for a proxy may have taken the TLS off.
    """
    if origin is None or ANY_ORIGIN in allowed:
        return origin is None or origin == _OPAQUE or _parse(origin) is not None
    page = _parse(origin)
    if page is None:
        return False
    trusted = {_parse(listed.rstrip("/")) for listed in allowed}
    if public_url is not None and (base := _BASE.match(public_url)) is not None:
        trusted.add(_parse(base[0]))
    if page in trusted:
        return True
    secure = scheme in {"https", "wss"}
    own = {"https"} if secure else {"https", "http"}
    return host is not None and page.scheme in own and page == _parse(f"{page.scheme}://{host}")


def _parse(text: str) -> _Origin | None:
    """Read `scheme://host[:port]` and nothing more; None if it is anything else."""
    match = _PARTS.fullmatch(text)
    if match is None:
        return None
    scheme, host = match[1].lower(), match[2].lower()
    port = _DEFAULT_PORTS.get(scheme) if match[3] is None else int(match[3])
    if port is not None and port > _MAX_PORT:
        return None
    if host.startswith("["):
        try:
            host = ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError:
            return None
    return _Origin(scheme, host, port)
