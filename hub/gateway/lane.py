"""The fast lane: connections as bare protocols on the transport, without a task, a queue or a timer each.

What it costs is in docs/gateway.md. What all of a node's connections share is in `Lane`.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import structlog

from hub.core.effects import Mark
from hub.core.frames import CloseCode, Outgoing
from hub.core.session import Session
from hub.gateway.connection import Connection, Host
from hub.gateway.flusher import Flusher
from hub.gateway.limits import Limits
from hub.gateway.news import News, SharedNews
from hub.gateway.wheel import Wheel

STALL_LOOK = 1.0
"""Seconds between two looks at those who do not read."""

MARKS_WAITING = 16
"""Marks of one client under way; while there are more, nothing more is read from it."""

log = structlog.get_logger(__name__)


class LaneHost(Host, Protocol):
    """What a connection on the fast lane asks of its gateway beyond the rest."""

    def disconnect(self, connection: Connection, *, reason: str) -> None:
        """Forget a connection. Idempotent."""
        ...

    async def apply(self, connection: Connection, mark: Mark) -> None:
        """Apply a mark, and tell the client if it was refused."""
        ...

    def later(self, work: LaneConnection) -> None:
        """Run `work_off` of a connection in a task of its own."""
        ...


class Lane:
    """What the connections of one node have in common."""

    def __init__(self, host: LaneHost, limits: Limits, flusher: Flusher) -> None:
        loop = asyncio.get_running_loop()
        self.host = host
        self.limits = limits
        self.wheel = Wheel(loop)
        self.flusher = flusher
        self._loop = loop
        self._stalled: dict[LaneConnection, tuple[int, float]] = {}
        """Who does not read what was written: bytes left at the last look, and since when none has gone."""
        self._look: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End the timers."""
        self.wheel.close()
        if self._look is not None:
            self._look.cancel()

    def stalled(self, connection: LaneConnection) -> None:
        """Watch a connection whose client does not read."""
        self._stalled[connection] = (connection.unread, self._loop.time())
        if self._look is None:
            self._look = self._loop.call_later(STALL_LOOK, self._look_again)

    def flowing(self, connection: LaneConnection) -> None:
        """Watch a connection no more. Idempotent."""
        self._stalled.pop(connection, None)

    def _look_again(self) -> None:
        self._look = None
        now = self._loop.time()
        for connection, (before, since) in list(self._stalled.items()):
            unread = connection.unread
            if unread < before:
                self._stalled[connection] = (unread, now)
            elif now - since >= self.limits.write_deadline:
                connection.cut("stalled")
        if self._stalled:
            self._look = self._loop.call_later(STALL_LOOK, self._look_again)


class LaneConnection(Connection, asyncio.Protocol):
    """A connection on a transport of its own.

    The transport's high-water mark is 0: it pauses us as soon as the system takes no more, so that whatever waits
    for a slow client waits here, where it is joined and counted.
    """

    __slots__ = ("_allowed_at", "_leaving", "_marks", "_paused", "_pending", "_waiting", "lane", "slot", "transport")

    hangs_up = True
    """Whether to hang up right behind the farewell; else the peer answers it, and hangs up."""

    def __init__(self, lane: Lane, session: Session) -> None:
        super().__init__(lane.host, session)
        self.lane = lane
        self.slot = 0
        self.transport: asyncio.Transport | None = None
        """None before it is attached, and after it is gone."""
        self._pending: bytes | list[bytes] | None = None
        self._waiting = 0
        """Bytes in `_pending` while paused."""
        self._paused = False
        self._leaving = False
        """The farewell has been written."""
        self._marks: list[Mark] | None = None
        """What the client wants marked, while a task applies it."""
        self._allowed_at = 0
        """When the client's allowance of frames will be whole again (GCRA), in milliseconds."""

    # What a kind of transport says

    def encode(self, out: Outgoing) -> bytes:
        """Encode a frame for this kind of transport."""
        raise NotImplementedError

    def bytes_of(self, news: News | SharedNews) -> bytes:
        """Return news as this kind of transport has them, made once for all connections at the same place."""
        raise NotImplementedError

    def farewell(self) -> bytes:
        """Return the last bytes to write."""
        raise NotImplementedError

    # Connection

    def send(self, out: Outgoing) -> None:
        """Have a frame written with the next flush."""
        self.write(self.encode(out))

    def write(self, data: bytes) -> None:
        """Have bytes written with the next flush, in turn."""
        pending = self._pending
        if pending is None:
            self._pending = data
            if not self._paused:
                self.lane.flusher.ask(self)
        elif isinstance(pending, list):
            pending.append(data)
        else:
            self._pending = [pending, data]
        if self._paused:
            self._waiting += len(data)
            if self._waiting + self.unread > self.lane.limits.outbox_bytes:
                self.cut("too_slow")

    def hear(self, news: News) -> bool:
        """See `Connection.hear`."""
        if not self.session.step(news.before, news.last):
            return False
        self._write_at_once(self.bytes_of(news))
        return True

    def hear_shared(self, news: SharedNews) -> bool:
        """See `Connection.hear_shared`."""
        if not self.session.shared(news.position):
            self._perform()
            return False
        self._write_at_once(self.bytes_of(news))
        return True

    def mark(self, mark: Mark) -> None:
        """Apply marks in a task while there are any; hold the client back while there are many."""
        if self._marks is not None:
            self._marks.append(mark)
            if len(self._marks) == MARKS_WAITING and self.transport is not None:
                self.transport.pause_reading()
            return
        self._marks = [mark]
        self.lane.host.later(self)

    async def work_off(self) -> None:
        """Apply the marks that wait."""
        try:
            while marks := self._marks:
                mark = marks.pop(0)
                await self.lane.host.apply(self, mark)
                if len(marks) == MARKS_WAITING - 1 and self.transport is not None:
                    self.transport.resume_reading()
        except Exception:
            log.exception("mark_failed", connection=self.session.connection)
            self.fail("internal", "something went wrong on our side", CloseCode.INTERNAL)
            if self.transport is not None:
                self.transport.resume_reading()  # for the answer to the close
        finally:
            self._marks = None

    def settled(self) -> None:
        """Wait for the next deadline, or say goodbye."""
        if self.transport is None:
            return
        deadline = self.session.next_deadline()
        if deadline is not None:
            self.lane.wheel.schedule(self, deadline)
        elif self.closing is not None:
            self._leave(self.transport)

    def due(self) -> None:
        """Do what is due, by the wheel."""
        if self.transport is None:
            return
        if self._leaving:
            self.cut(self.reason())  # it has had its time to answer
        else:
            self.tick()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.set_write_buffer_limits(high=0)
        self.settled()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Forget everything."""
        if self.transport is not None:
            self._gone(self.reason())

    def pause_writing(self) -> None:
        """Hold back what comes from now on: the system takes no more."""
        self._paused = True
        self._waiting = 0
        self.lane.stalled(self)

    def resume_writing(self) -> None:
        """Write what was held back."""
        self._paused = False
        self.lane.flowing(self)
        if self._pending is not None:
            self.lane.flusher.ask(self)

    # Parts

    def _write_at_once(self, data: bytes) -> None:
        """Write bytes that are joined already, behind whatever waits."""
        if self._pending is None and not self._paused and self.transport is not None:
            self.transport.write(data)
        else:
            self.write(data)

    @property
    def unread(self) -> int:
        """Bytes written that the system has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def flush(self) -> None:
        """Write what is pending, in one go."""
        pending = self._pending
        if pending is None or self._paused or self.transport is None:
            return  # gone, or paused, since it asked
        self._pending = None
        self.transport.write(b"".join(pending) if isinstance(pending, list) else pending)

    def cut(self, reason: str) -> None:
        """Break the connection off: the client comes back, and resumes from the inbox."""
        transport = self.transport
        if transport is not None:
            log.info("connection_aborted", connection=self.session.connection, reason=reason, unread=self.unread)
            transport.abort()
            self._gone(reason)

    def allow(self, frames: int) -> bool:
        """Count frames of the client; False when it has sent too many."""
        limits, now = self.lane.limits, self._host.monotonic()
        self._allowed_at = max(self._allowed_at, now) + int(frames * 1000 / limits.message_rate)
        return self._allowed_at - now <= limits.message_burst * 1000 / limits.message_rate

    def _leave(self, transport: asyncio.Transport) -> None:
        """Write the farewell behind what is pending; the peer has `close_timeout` to take it."""
        if self._leaving:
            return
        self._leaving = True
        self._allowed_at = 0  # a whole allowance for what is on its way
        self.write(self.farewell())
        self.flush()
        self.lane.wheel.cancel(self)  # what stands is the session's
        self.lane.wheel.schedule(self, self._host.monotonic() + int(self.lane.limits.close_timeout * 1000))
        if self.hangs_up and not self._paused:
            transport.close()

    def _gone(self, reason: str) -> None:
        self.transport = None
        self._pending = None
        self.lane.flowing(self)
        self.lane.wheel.cancel(self)
        self.lane.host.disconnect(self, reason=reason)
