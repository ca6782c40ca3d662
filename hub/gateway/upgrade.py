"""The ASGI side of a WebSocket's opening handshake, up to where the connection is taken out of its task.

uvicorn's own protocol parses the request a second time, and sets up a queue, a parser and timers for what is over at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import structlog
from starlette.types import ASGIApp, Message

from hub.gateway.rfc6455 import HandshakeRefused, accept, response_head

MAX_EARLY = 64 * 1024
"""Bytes that a client may send before it has been answered."""

Headers = Sequence[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)


class Upgrade(asyncio.Protocol):
    """One request for a WebSocket. The app refuses it, or accepts and then detaches it; nothing else.

    Apps that read and write messages through ASGI run on other servers, and on uvicorn as it comes.
    """

    def __init__(
        self, transport: asyncio.Transport, scope: MutableMapping[str, Any], target: bytes, early: bytes
    ) -> None:
        """`scope` is that of the HTTP request, `target` what it asked for, `early` what came right behind it."""
        path, _, query = target.partition(b"?")
        root: str = scope["root_path"]
        self.scope: dict[str, Any] = {
            **scope,
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "wss" if scope["scheme"] == "https" else "ws",
            "path": root + unquote(path.decode("ascii")),
            "raw_path": root.encode("ascii") + path,
            "query_string": query,
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        self._transport = transport
        self._accept = b""
        self._accepted = self._answered = False
        self._connected = True
        self._start: Message | None = None
        """The head of a refusal, until its body is there."""
        self._early = early

    async def run(self, app: ASGIApp) -> None:
        """Call the app; what it leaves open is closed."""
        try:
            self._accept = accept(self.scope["headers"], self.scope["method"], self.scope["http_version"])
            await app(self.scope, self._receive, self._send)
        except HandshakeRefused as refused:
            self._refuse(refused.status, refused.headers, str(refused).encode())
        except Exception:
            log.exception("websocket_handshake_failed")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        if self._connected:
            self._transport.close()

    def detach(self, protocol: asyncio.Protocol) -> bool:
        """See `hub.gateway.detaching.Detach`."""
        if not self._accepted or not self._connected or self._transport.is_closing():
            return False
        self._connected = False
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._early:
            protocol.data_received(self._early)
        self.scope = {}  # it leads back here: without this the garbage collector would have to come by
        return True

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Keep what comes too early."""
        self._early += data
        if len(self._early) > MAX_EARLY:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Note that nobody is there any more."""
        self._connected = False

    # ASGI

    async def _receive(self) -> Message:
        if not self._accepted and not self._answered:
            return {"type": "websocket.connect"}
        raise RuntimeError("this server's WebSockets have to be detached")

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if not self._connected or self._answered:
            return
        if kind == "websocket.accept" and not self._accepted:
            self._accepted = True
            self._transport.write(response_head(self._accept, message.get("headers", ())))
        elif kind == "websocket.close" and not self._accepted:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif kind == "websocket.http.response.start":
            self._start = message
        elif kind == "websocket.http.response.body" and self._start is not None:
            self._refuse(self._start["status"], self._start.get("headers", ()), message.get("body", b""))
        else:
            raise RuntimeError("this server's WebSockets have to be detached")

    def _refuse(self, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
        """Answer as HTTP does, and close."""
        if not self._connected or self._accepted or self._answered:
            return
        self._answered = True
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in headers if name.lower() != b"content-length"]
        lines += [b"content-length: %d" % len(body), b"connection: close", b"", body]
        self._transport.write(b"\r\n".join(lines))
        self._transport.close()
