"""A TCP proxy on 127.0.0.1 that can dawdle, fall silent, hang up, or keep back Redis's messages, as networks do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any

from hiredis import Reader, ReplyError


class Weather:
    """How a network treats connections: drawn with `dice` for each connection anew, as it is when that is made."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.cut = 0.0
        """The chance that a connection breaks at some byte of what the server sends, mostly an early one."""
        self.delay = 0.0
        """Most seconds that a piece of data waits on its way."""

    def bytes_to_live(self) -> int | None:
        """Return after how many bytes a new connection breaks; None: it does not."""
        return int(10 ** self.dice.uniform(0, 4)) if self.dice.random() < self.cut else None

    async def blow(self) -> None:
        """Hold a piece of data up."""
        if self.delay:
            await asyncio.sleep(self.dice.uniform(0, self.delay))


class Proxy:
    """Passes bytes between its clients and one server, until told otherwise."""

    def __init__(
        self, port: int, weather: Weather | None = None, *, redis: bool = False, tls: SSLContext | None = None
    ) -> None:
        self._weather = weather or Weather(random.Random(0))
        self._upstream = port
        self._tls = tls
        self._redis = redis
        self.deaf = False
        """With `redis`: keep back messages of subscriptions, and pass all other replies."""
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.accepted: asyncio.Queue[None] = asyncio.Queue()
        """One entry for each connection that was made to the proxy."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def freeze(self) -> None:
        """Pass nothing any more, on any connection, while all of them stay open."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._flowing.set()

    def drop(self) -> None:
        """Break all connections there are; new ones are served."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.accepted.put_nowait(None)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._writers.add(upstream_writer)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, upstream_writer))
                    replies = Reader() if self._redis else None
                    group.create_task(self._pump(upstream_reader, writer, self._weather.bytes_to_live(), replies))
            except* OSError:
                pass  # either side hung up, which ends both
            finally:
                self._writers.discard(upstream_writer)
                upstream_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the proxy stops
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        left: int | None = None,
        replies: Reader | None = None,
    ) -> None:
        """Pass on what comes; with `left` only so many bytes, and the connection is over."""
        while left != 0 and (data := await reader.read(65536)):
            await self._flowing.wait()
            await self._weather.blow()
            if replies is not None:
                replies.feed(data)
                data = b"".join(self._passed(replies))
            writer.write(data[:left])
            await writer.drain()
            left = None if left is None else max(0, left - len(data))
        raise ConnectionResetError("hung up")

    def _passed(self, replies: Reader) -> Iterator[bytes]:
        while (reply := replies.gets()) is not False:
            if not (self.deaf and type(reply) is list and reply[0] in {b"message", b"smessage"}):
                yield _encoded(reply)


def _encoded(reply: Any) -> bytes:
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case ReplyError():
            return f"-{reply}\r\n".encode()
        case _:
            return b"*%d\r\n%b" % (len(reply), b"".join(map(_encoded, reply)))


@asynccontextmanager
async def proxy_to(
    port: int, weather: Weather | None = None, *, redis: bool = False, tls: SSLContext | None = None
) -> AsyncIterator[Proxy]:
    proxy = Proxy(port, weather, redis=redis, tls=tls)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
