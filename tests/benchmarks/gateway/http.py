"""A small HTTP client for publishing: one connection kept alive, requests pipelined."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httptools


class PublishFailed(Exception):
    """A server refused a message; the text has its answer."""


class Poster(asyncio.Protocol):
    """Posts to one path of a server; answers come in the order of the requests.

    A server may close a connection that has been idle: the next post opens another.
    """

    def __init__(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        self._port = port
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._head = "\r\n".join(lines).encode() + b"\r\nContent-Length: "
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    async def post(self, *bodies: bytes) -> list[bytes]:
        """Send all requests in one write; returns the answers' bodies.

        Raises:
            PublishFailed: an answer is not a success, or the connection broke.

        """
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[bytes]] = [loop.create_future() for _ in bodies]
        if self._transport is not None and self._transport.is_closing():
            await asyncio.sleep(0)  # uvloop calls `connection_lost` in the next turn
        transport = self._transport or await self.open()
        self._waiting.extend(answers)
        transport.write(b"".join(b"%b%d\r\n\r\n%b" % (self._head, len(body), body) for body in bodies))
        return await asyncio.gather(*answers)

    async def open(self) -> asyncio.Transport:
        """Connect."""
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
        self._parser = httptools.HttpResponseParser(self)
        self._transport = transport
        return transport

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
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
    """Open a connection for posting, for the length of a block."""
    client = Poster(port, path, headers or {})
    await client.open()
    try:
        yield client
    finally:
        client.close()
