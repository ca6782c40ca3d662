"""The opening handshake (RFC 6455, section 4.2), for requests that an HTTP parser has taken apart."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[bytes, bytes]]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_VERSION = b"13"
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class HandshakeRefused(Exception):
    """The answer to a request that does not become a WebSocket: an HTTP status, why, and headers to send along."""

    def __init__(self, status: int, reason: str, headers: Headers = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)


def accept(headers: Headers, method: str, http_version: str) -> bytes:
    """Check a client's handshake and return the value of `Sec-WebSocket-Accept`.

    `http_version` is written as in ASGI: "1.1". Lists (`Connection`, `Upgrade`) may be spread over several headers;
    what the RFC allows once may stand there once. Subprotocols and extensions on offer are not looked at, which
    declines them. Whether the origin is welcome is for the caller to say.

    Raises:
        HandshakeRefused: 405 for any method but GET, 505 for any HTTP but 1.1, 426 for another version of WebSocket,
            400 for the rest.

    """
    if method != "GET":
        raise HandshakeRefused(405, "a WebSocket begins with GET", [(b"allow", b"GET")])
    if http_version != "1.1":
        raise HandshakeRefused(505, "a WebSocket begins with HTTP/1.1")
    _only(headers, b"host")
    if b"upgrade" not in _tokens(headers, b"connection"):
        raise HandshakeRefused(400, "the Connection header must name upgrade")
    if b"websocket" not in _tokens(headers, b"upgrade"):
        raise HandshakeRefused(400, "the Upgrade header must name websocket")
    if _only(headers, b"sec-websocket-version") != _VERSION:
        # RFC 9110, section 15.5.22: a 426 says what to upgrade to.
        needed = [(b"sec-websocket-version", _VERSION), (b"connection", b"upgrade"), (b"upgrade", b"websocket")]
        raise HandshakeRefused(426, "the version of WebSocket spoken here is 13", needed)
    key = _only(headers, b"sec-websocket-key")
    if _KEY.fullmatch(key) is None:
        raise HandshakeRefused(400, "the Sec-WebSocket-Key header must be 16 bytes in base64")
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()  # not a secret: proof that it was understood
    return base64.b64encode(digest)


def response_head(accept: bytes, extra_headers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """Encode the 101 that ends the handshake; frames follow it.

    Raises:
        ValueError: an extra header would break out of its line.

    """
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + accept,
    ]
    for name, value in extra_headers:
        if _TOKEN.fullmatch(name) is None or _UNSAFE.search(value) is not None:
            raise ValueError("not a header")
        lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _tokens(headers: Headers, name: bytes) -> set[bytes]:
    """Return the members of a list, wherever they stand, in lower case."""
    return {token.strip(b" \t").lower() for value in _values(headers, name) for token in value.split(b",")}


def _only(headers: Headers, name: bytes) -> bytes:
    """Return the value of a header that must be there once."""
    values = _values(headers, name)
    if len(values) != 1:
        raise HandshakeRefused(400, f"the {name.decode().title()} header must be there once")
    return values[0].strip(b" \t")
