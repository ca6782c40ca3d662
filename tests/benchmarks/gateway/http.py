"""A small HTTP client for publishing: a connection kept alive, requests pipelined."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import httptools

_IDLE = 1.0
"""Seconds after which a connection is not trusted any more: servers close those that were idle, some after 5 s."""


class PublishFailed(Exception):
    """A server refused a message; the text has its answer."""


class Poster:
    """Posts to one path of a server; answers come in the order of the requests."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._head = "\r\n".join(lines).encode() + b"\r\nContent-Length: "
        self._port = port
        self._connection: _Connection | None = None
        self._used = 0.0

    async def post(self, *bodies: bytes) -> list[bytes]:
        """Send all requests in one write; returns the answers' bodies.

        Raises:
            PublishFailed: an answer is not a success, or the connection broke.

        """
        loop = asyncio.get_running_loop()
        connection = self._connection
        if connection is None or loop.time() > self._used + _IDLE:
            self.close()
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._port)
            self._connection = connection
        try:
            requests = [b"%b%d\r\n\r\n%b" % (self._head, len(body), body) for body in bodies]
            return await asyncio.gather(*connection.send(requests))
        finally:
            self._used = loop.time()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Connection(asyncio.Protocol):
    """One connection, with the answers that are awaited on it."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def send(self, requests: list[bytes]) -> list[asyncio.Future[bytes]]:
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[bytes]] = [loop.create_future() for _ in requests]
        self._waiting.extend(answers)
        self._transport.write(b"".join(requests))
        return answers

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        while self._waiting:
            self._fail("the connection broke")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        status = self._parser.get_status_code()
        if 200 <= status < 300:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(body)
        else:
            self._fail(f"status {status}: {body.decode(errors='replace')}")

    def _fail(self, why: str) -> None:
        answer = self._waiting.popleft()
        if not answer.done():
            answer.set_exception(PublishFailed(why))


@asynccontextmanager
async def poster(port: int, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Poster]:
    """Post for the length of a block; connects with the first post."""
    client = Poster(port, path, headers or {})
    try:
        yield client
    finally:
        client.close()
