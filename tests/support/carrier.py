"""A service that carries messages: HTTP on 127.0.0.1, misbehaving as told, with an account of every delivery."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

PATIENCE = 60.0
"""Seconds after which what a test waits for will not come any more."""

SENDGRID = "/v3/mail/send"


class Call(NamedTuple):
    """What was asked for: to take a delivery over."""

    path: str
    delivery: str
    number: int
    """The how-manieth call for this delivery it is, from 1 on."""
    at: float
    """`time.time()` when it came."""


Manner = Callable[[Call], Awaitable[bytes]]
"""What it does about a call: the bytes that it answers with; none: it hangs up."""


def reply(status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> bytes:
    """Write an HTTP response."""
    told = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\n\r\n%s" % (status, told.encode(), len(body), body)


class Carrier:
    """Takes messages as SendGrid's API does, and in the plain form of `tests/support/pigeon.py`.

    Manners are set by path; a path without any is served well.
    """

    def __init__(self) -> None:
        self.manners: dict[str, Manner] = {}
        self.calls: defaultdict[str, list[Call]] = defaultdict(list)
        """By path."""
        self.taken: Counter[str] = Counter()
        """How often each delivery was taken over, whether or not its sender has heard of it."""
        self.first_taken: dict[str, float] = {}
        """`time.time()` when."""
        self._asked: Counter[str] = Counter()
        self._released = asyncio.Event()
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def duplicates(self) -> Counter[str]:
        """How often each delivery was taken over once too often."""
        return Counter({delivery: count - 1 for delivery, count in self.taken.items() if count > 1})

    async def take(self, call: Call) -> bytes:
        """Take the message over, and say so."""
        self.taken[call.delivery] += 1
        self.first_taken.setdefault(call.delivery, time.time())
        return reply(202, headers={"X-Message-Id": f"message-{call.number}"})

    async def swallow(self, call: Call) -> bytes:
        """Take the message over, and say so only once `release` is called."""
        answer = await self.take(call)
        await self._released.wait()
        return answer

    async def ignore(self, _call: Call) -> bytes:
        """Take nothing and say nothing; hang up once `release` is called."""
        await self._released.wait()
        return b""

    def release(self) -> None:
        """Let those who wait have their answer, and serve well from now on."""
        self.manners.clear()
        self._released.set()
        self._released = asyncio.Event()

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait until a call has made something so.

        Raises:
            TimeoutError: it did not come to that.

        """
        async with asyncio.timeout(patience):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_called(self, path: str, count: int) -> None:
        """Wait until so many calls have come."""
        await self.until(lambda: len(self.calls[path]) >= count)

    async def until_taken(self, count: int, patience: float = PATIENCE) -> None:
        """Wait until so many deliveries were taken over."""
        await self.until(lambda: len(self.taken) >= count, patience)

    async def go_away(self) -> None:
        """Refuse connections from now on; those there are are broken off."""
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def come_back(self) -> None:
        """Listen again, at the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=1024)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Carrier]:
        with socket.socket() as holder:
            # Bound, and not listening: the port stays ours while we are away.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            self._port = holder.getsockname()[1]
            await self.come_back()
            try:
                yield self
            finally:
                await self.go_away()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            more = True
            while more:
                answer, more = await self._answer(reader)
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender is gone, or we go away
        finally:
            self._open.discard(task)
            if task.cancelling():
                writer.transport.abort()
            else:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[bytes, bool]:
        """Read a call, and return what it is answered with, and whether another may follow."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = first.split(" ")[1]
        delivery = headers.get("idempotency-key") or _of_sendgrid(body)
        self._asked[delivery] += 1
        call = Call(path, delivery, self._asked[delivery], time.time())
        self.calls[path].append(call)
        answering_now = asyncio.ensure_future(self.manners.get(path, self.take)(call))
        await asyncio.sleep(0)  # what is noted at once is noted when the news is told
        self._news.set()
        answer = await answering_now
        return answer, bool(answer) and headers.get("connection") != "close"


def _of_sendgrid(body: bytes) -> str:
    found: str = json.loads(body)["personalizations"][0]["custom_args"]["delivery"]
    return found
