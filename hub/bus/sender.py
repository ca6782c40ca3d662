"""The sending connection to one server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
from hiredis import ReplyError

from hub.bus.address import Login, Server
from hub.bus.connection import REDIS_ERRORS, Connection, connect
from hub.bus.outage import Outage

_log = structlog.get_logger(__name__)

FLUSH_BYTES = 1_000_000
"""Most payload on the wire to one server at once: Redis cuts off subscribers that are 32 MB behind."""


class Job:
    """One call of `publish`: done once all its messages are."""

    __slots__ = ("done", "left", "whole")

    def __init__(self, left: int, done: asyncio.Future[bool]) -> None:
        self.left = left
        self.done = done
        self.whole = True

    def sent(self, *, ok: bool) -> None:
        """Count one message as sent, or not."""
        self.left -= 1
        self.whole = self.whole and ok
        if self.left == 0 and not self.done.done():
            self.done.set_result(self.whole)


class Message(NamedTuple):
    """One packed command."""

    job: Job
    partition: int
    command: bytes
    size: int
    moved: bool = False
    """Whether it was refused by a server that had handed the partition on; it is sent after it once."""


class Sender:
    """Sends to one server in the order of the calls; what gathers while a flush is on its way shares the next one."""

    def __init__(
        self, server: Server, login: Login, *, timeout: float, on_moved: Callable[[list[Message]], None]
    ) -> None:
        """`timeout` (seconds) bounds one flush, connecting included; `on_moved` gets what another server is to have."""
        self._server = server
        self._login = login
        self._timeout = timeout
        self._on_moved = on_moved
        self._queue: deque[Message] = deque()
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.outage = Outage("publishing", str(server))

    def send(self, messages: Sequence[Message]) -> None:
        """Queue messages; their jobs hear how it went."""
        self._queue.extend(messages)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def answers(self) -> bool:
        """Tell whether the server answers now."""
        try:
            async with asyncio.timeout(self._timeout):
                await (await self._connected()).command((b"PING",))
        except REDIS_ERRORS:
            return False
        return True

    async def close(self) -> None:
        """Give up what is still queued."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        while self._queue:
            self._queue.popleft().job.sent(ok=False)
        self._disconnect()

    async def _drain(self) -> None:
        while self._queue:
            flush = [self._queue.popleft()]
            size = flush[0].size
            while self._queue and size + self._queue[0].size <= FLUSH_BYTES:
                flush.append(self._queue.popleft())
                size += flush[-1].size
            replies: Sequence[object] = ()
            try:
                replies = await self._send(flush)
            finally:
                self._settle(flush, replies)

    async def _send(self, flush: Sequence[Message]) -> Sequence[object]:
        """Return the replies, or none if that failed."""
        if self.outage.holding_off:
            return ()
        commands = b"".join([message.command for message in flush])
        try:
            async with asyncio.timeout(self._timeout):
                replies = await self._ask(commands, len(flush))
        except REDIS_ERRORS as error:
            self._disconnect()
            self.outage.failed(error)
            return ()
        except Exception:  # noqa: BLE001 - whatever it is, a lost wake-up must not become a failed publish
            self._disconnect()
            _log.exception("bus_publish_failed")
            return ()
        return replies

    async def _ask(self, commands: bytes, count: int) -> Sequence[object]:
        """Ask, on a fresh connection if the one of earlier breaks: a message heard twice does no harm."""
        worn = self._connection is not None
        try:
            return await (await self._connected()).ask(commands, count)
        except ConnectionResetError:
            if not worn:
                raise
            self._disconnect()
            return await (await self._connected()).ask(commands, count)

    def _settle(self, flush: Sequence[Message], replies: Sequence[object]) -> None:
        moved = []
        failure: ReplyError | None = None
        for position, message in enumerate(flush):
            reply = replies[position] if replies else None
            if type(reply) is int:
                message.job.sent(ok=True)
            elif isinstance(reply, ReplyError) and str(reply).startswith("MOVED") and not message.moved:
                moved.append(message._replace(moved=True))
            else:
                failure = reply if isinstance(reply, ReplyError) else failure
                message.job.sent(ok=False)
        if moved:
            self._on_moved(moved)
        if failure is not None:
            self.outage.failed(failure)
        elif replies:
            self.outage.worked()

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._server, self._login)
            return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
