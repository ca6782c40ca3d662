"""Callers that cost next to nothing: each writes its next request in the very call that brings its last answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import cast

from tests.benchmarks.gateway.http import PublishFailed

Body = Callable[[], bytes]


class Callers:
    """A closed loop of so many callers, each on a connection of its own."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str], next_body: Body) -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.head = "\r\n".join(lines).encode() + b"\r\nContent-Length: "
        self.next_body = next_body
        self.took: list[float] = []
        """Seconds that each call took."""
        self.end = 0.0
        self.left = 0
        self.done: asyncio.Future[None]
        self._port = port
        self._connections: list[_Caller] = []

    async def open(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, caller = await loop.create_connection(lambda: _Caller(self), "127.0.0.1", self._port)
            self._connections.append(caller)

    async def run(self, seconds: float) -> list[float]:
        """Call for so long; returns how long each call took.

        Raises:
            PublishFailed: an answer is not a success, or a connection broke.

        """
        self.took, self.left = [], len(self._connections)
        self.done = asyncio.get_running_loop().create_future()
        self.end = time.perf_counter() + seconds
        for caller in self._connections:
            caller.send()
        await self.done
        return self.took

    def close(self) -> None:
        for caller in self._connections:
            caller.close()

    def failed(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(PublishFailed(why))


class _Caller(asyncio.Protocol):
    """One connection: a request on its way, or none."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._transport: asyncio.Transport
        self._sent = 0.0
        self._answer = b""
        self._closed = False

    def send(self) -> None:
        body = self._callers.next_body()
        self._sent = time.perf_counter()
        self._transport.write(b"%b%d\r\n\r\n%b" % (self._callers.head, len(body), body))

    def close(self) -> None:
        self._closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._answer = answer = self._answer + data if self._answer else data
        head, found, body = answer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._answer = b""
        if not head.startswith(b"HTTP/1.1 20"):
            self._callers.failed(answer[:500].decode(errors="replace"))
            return
        now = time.perf_counter()
        self._callers.took.append(now - self._sent)
        if now < self._callers.end:
            self.send()
            return
        self._callers.left -= 1
        if not self._callers.left:
            self._callers.done.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._closed:
            self._callers.failed("the connection broke")


def _length(head: bytes) -> int:
    """Return the content length that an answer's head tells."""
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
