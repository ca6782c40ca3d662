"""Connections of the portable path: what is to be written waits in an outbox until the ASGI server takes it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from hub.core.effects import Close, Mark
from hub.core.frames import CloseCode, Outgoing
from hub.core.session import Session
from hub.gateway.connection import Connection, Host
from hub.gateway.metrics import Kind
from hub.gateway.news import SharedNews

log = structlog.get_logger(__name__)


class QueuedConnection(Connection):
    """A transport calls the inputs, waits with `wait`, writes what `pop` gives, and ends when `ended`.

    Then it closes with `closing`, if that is set.
    """

    __slots__ = ("_budget", "_bytes", "_outbox", "_wake", "kind", "marks", "on_overflow")

    def __init__(self, host: Host, session: Session, budget: int, kind: Kind) -> None:
        """`budget`: bytes that may wait for the client."""
        super().__init__(host, session)
        self.kind = kind
        self.marks: deque[Mark] = deque()
        """What the client wants marked; the transport has them applied one by one, before it reads on."""
        self.on_overflow: Callable[[], object] = _nothing
        """Called when the client is too slow: the transport must stop writing at once."""
        self._budget = budget
        self._outbox: deque[Outgoing] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    async def wait(self) -> None:
        """Return when there is something to write, or when it has ended; does what is due meanwhile."""
        while not self._outbox and not self.ended:
            self._wake.clear()
            deadline = self.session.next_deadline()
            delay = None if deadline is None else max(0, deadline - self._host.monotonic()) / 1000
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                self.tick()

    def pop(self) -> Outgoing | None:
        """Take the next frame to write."""
        if not self._outbox:
            return None
        out = self._outbox.popleft()
        self._bytes -= len(out.frame)
        return out

    def send(self, out: Outgoing) -> None:
        """Put a frame into the outbox."""
        self._outbox.append(out)
        self._bytes += len(out.frame)
        if self._bytes > self._budget:
            log.info("connection_too_slow", connection=self.session.connection, waiting_bytes=self._bytes)
            self.closing = Close(CloseCode.TOO_SLOW, "too slow")
            self.lost()
            self.on_overflow()
        self._wake.set()

    def hear_shared(self, news: SharedNews) -> bool:
        """See `Connection.hear_shared`; a poll, which ends with its first news, had better end past them."""
        if self.kind == "poll":
            self.log_moved(news.position)
            return False
        return super().hear_shared(news)

    def mark(self, mark: Mark) -> None:
        """Leave it to the transport."""
        self.marks.append(mark)

    def lost(self) -> None:
        """Note that the transport is gone. Idempotent."""
        self._outbox.clear()
        self._bytes = 0
        super().lost()

    def settled(self) -> None:
        """Wake whoever waits."""
        self._wake.set()


def _nothing() -> None:
    """Take part in nothing: no transport is writing yet."""
