"""A WebSocket server on 127.0.0.1 that says back what it hears: our framing on a bare transport, and nothing else.

Shaped like a live connection of the gateway: one slotted protocol each, bytes to events to bytes, no task, no queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.gateway.rfc6455 import (
    Binary,
    Closed,
    Event,
    Failed,
    FrameReader,
    HandshakeRefused,
    Ping,
    Text,
    accept,
    close_frame,
    pong_frame,
    response_head,
    text_frame,
)

MAX_ECHO = 16 * 1024 * 1024
"""Bytes of a message: the largest that the Autobahn cases send."""


class EchoSocket(asyncio.Protocol):
    __slots__ = ("_head", "_reader", "_transport")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""
        """The request as far as it has arrived; None after the handshake."""
        self._reader = FrameReader(max_message=MAX_ECHO, max_fragments=MAX_ECHO)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what a server makes
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            self._head = None if end else head
            if not end:
                return
            answer, refused = _handshake(head)
            self._transport.write(answer)
            if refused:
                self._transport.close()
                return
        events = self._reader.feed(data)
        if events:
            self._transport.write(b"".join(map(_answer, events)))
        if self._reader.ended:
            self._transport.close()


def _handshake(head: bytes) -> tuple[bytes, bool]:
    request, *lines = head.split(b"\r\n")
    method, _, version = request.decode().split(" ")
    headers = [(name, value) for name, _, value in (line.partition(b":") for line in lines)]
    try:
        return response_head(accept(headers, method, version.removeprefix("HTTP/"))), False
    except HandshakeRefused as refused:
        return f"HTTP/1.1 {refused.status} {refused.reason}\r\n\r\n".encode(), True


def _answer(event: Event) -> bytes:
    match event:
        case Text(text):
            return text_frame(text.encode())
        case Binary(data):
            return b"\x82" + text_frame(data)[1:]  # the gateway sends no binary, so it has no encoder for it
        case Ping(data):
            return pong_frame(data)
        case Closed(code, _):
            return close_frame(code)
        case Failed(code, reason):
            return close_frame(code, reason)
    return b""  # a pong


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """Serve on a port of 127.0.0.1."""
    server = await asyncio.get_running_loop().create_server(EchoSocket, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port
