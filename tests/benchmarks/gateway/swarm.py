"""Thousands of streams to one server, opened gently, and counted."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.benchmarks.gateway.streams import Refused, Stream

PATIENCE = 90.0
"""Seconds that a round of messages, or one connection, may take before the run is given up."""

_ATTEMPTS = 20
_RESET = struct.pack("ii", 1, 0)


class LoadFailed(Exception):
    """A message was lost, doubled or out of order, or a connection broke: the figures would mean nothing."""


class Swarm:
    """All connections of one load process to one server.

    Messages are numbered from 0 for every stream. `expect` says how many are coming, `arrive` waits until every
    stream has got all of them, each once and in order.
    """

    def __init__(self, kind: type[Stream], port: int, request: Callable[[int], bytes]) -> None:
        """`request` gives the bytes with which connection number n begins."""
        self.request = request
        self.next = 0
        """The number of the next message."""
        self.ordered = True
        """Whether messages have to come in the order of their numbers; not so where they are published side by side."""
        self.frame_bytes = 0
        """Size of the last message, without the framing of WebSocket or server-sent events."""
        self.turned_away = 0
        """Connects that were told to come back later, and did."""
        self.streams: list[Stream] = []
        self._kind = kind
        self._port = port
        self._left = 0
        self._faults: list[str] = []
        self._done = asyncio.Event()
        self._closing = False

    async def open(
        self, names: range, *, rate: float = 0, in_flight: int = 200, opened: Callable[[], object] = lambda: None
    ) -> None:
        """Connect; at most `in_flight` at once and `rate` a second (0: no bound). Whoever is told to wait, waits.

        Raises:
            LoadFailed: a connection was refused for good.

        """
        waiting = iter(names)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        turn = itertools.count()

        async def connect_some() -> None:
            for name in waiting:
                if rate:
                    await asyncio.sleep(begin + next(turn) / rate - loop.time())
                self.streams.append(await self._connect(name))
                opened()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(in_flight, len(names))):
                    group.create_task(connect_some())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self.check()

    def expect(self, messages: int = 1, streams: int | None = None) -> range:
        """Announce so many messages for each stream (or for `streams` of them); returns their numbers."""
        first, self.next = self.next, self.next + messages
        self._left += messages * (len(self.streams) if streams is None else streams)
        self._done.clear()
        return range(first, self.next)

    async def arrive(self, patience: float = PATIENCE) -> None:
        """Wait until all that was announced has arrived, `patience` seconds at most.

        Raises:
            LoadFailed: something went wrong, or did not arrive in time.

        """
        try:
            async with asyncio.timeout(patience):
                await self._done.wait()
        except TimeoutError:
            raise LoadFailed(f"{self._left:,} messages did not arrive in {patience:.0f} s") from None
        self.check()

    async def close(self) -> None:
        """Break off all connections. RST, not FIN: thousands of sockets in TIME_WAIT would burden the next case."""
        self._closing = True
        for stream in self.streams:
            stream.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            stream.transport.abort()
        self.streams.clear()
        await asyncio.sleep(0)

    # For streams

    def arrived(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.set()

    def fault(self, what: str) -> None:
        self._faults.append(what)
        self._done.set()

    def lost(self, stream: Stream) -> None:
        if not self._closing:
            self.fault(f"the server closed stream {stream.name}")

    async def _connect(self, name: int) -> Stream:
        loop = asyncio.get_running_loop()
        why: Exception | None = None
        for _ in range(_ATTEMPTS):
            _, stream = await loop.create_connection(lambda: self._kind(self, name), "127.0.0.1", self._port)
            assert stream.up is not None
            try:
                async with asyncio.timeout(PATIENCE):
                    await stream.up
            except Refused as refused:
                if refused.retry_after is None:
                    raise LoadFailed(f"connection {name} was refused: {refused}") from refused
                self.turned_away += 1
                why = refused
                await asyncio.sleep(refused.retry_after * random.uniform(1, 1.2))
            except TimeoutError:
                stream.transport.abort()
                raise LoadFailed(f"connection {name} was not up in {PATIENCE:.0f} s") from None
            else:
                stream.up = None
                return stream
        raise LoadFailed(f"connection {name} was turned away {_ATTEMPTS} times: {why}")

    def check(self) -> None:
        """Raise LoadFailed if anything went wrong so far."""
        if self._faults:
            raise LoadFailed("; ".join(self._faults[:3]))


@asynccontextmanager
async def swarm(kind: type[Stream], port: int, request: Callable[[int], bytes]) -> AsyncIterator[Swarm]:
    """A swarm that is gone at the end of the block; what went wrong after the last message fails the run as well."""
    load = Swarm(kind, port, request)
    try:
        yield load
        load.check()
    finally:
        await load.close()


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep Python's garbage collector from walking 10,000 streams in the middle of a measurement."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def websocket_request(path: str, *headers: str) -> bytes:
    """A WebSocket handshake without extensions."""
    return _request(
        path,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    )


def sse_request(path: str, *headers: str) -> bytes:
    """A request for server-sent events."""
    return _request(path, "Accept: text/event-stream", *headers)


def _request(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode()
