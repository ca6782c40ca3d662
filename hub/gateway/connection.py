"""A session with its outbox: what all transports of the portable path have in common."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from hub.core.cursor import Cursor
from hub.core.effects import Authenticate, Close, Effect, Mark, Resume, Send, SetAttention
from hub.core.errors import Unauthenticated
from hub.core.frames import CloseCode, Outgoing
from hub.core.model import Attention, Changes
from hub.core.session import Session, State
from hub.core.wire import LiveChange
from hub.ports import Identity

OUTBOX_BYTES = 256 * 1024
"""Bytes that may wait for a slow client; beyond them it is dropped, and resumes from the inbox."""

log = structlog.get_logger(__name__)


class Host(Protocol):
    """What a connection asks of its gateway. None of these block, and only `identify` raises."""

    def monotonic(self) -> int:
        """Return milliseconds that never go backwards: the clock of sessions."""
        ...

    def identify(self, token: str) -> Identity:
        """Tell whose token it is, with `expires_at` by `monotonic`.

        Raises:
            Unauthenticated: nobody's.

        """
        ...

    def attended(self, connection: Connection) -> None:
        """Note the session's attention; with the first note the connection hears of its user's changes."""
        ...

    def read(self, connection: Connection, after: Cursor | None) -> None:
        """Answer with `resumed` or `resume_failed` later."""
        ...


class Connection:
    """Feeds a session, performs its effects, and keeps what waits to be written.

    A transport calls the inputs, waits with `wait`, writes what `pop` gives, and ends when `ended`, then with
    `closing` if it is set. Everything here runs on the event loop and never blocks but for `wait`.
    """

    __slots__ = (
        "_budget",
        "_bytes",
        "_host",
        "_outbox",
        "_wake",
        "closing",
        "issued_at",
        "marks",
        "on_overflow",
        "session",
    )

    def __init__(self, host: Host, session: Session, budget: int = OUTBOX_BYTES) -> None:
        self.session = session
        self.closing: Close | None = None
        """How the server ends it; None while it lives, or when the client has gone."""
        self.marks: deque[Mark] = deque()
        """What the client wants marked; the transport has them applied one by one, before it reads on."""
        self.on_overflow: Callable[[], object] = _nothing
        """Called when the client is too slow: the transport must stop writing at once."""
        self.issued_at: int | None = None
        """When the token was issued by which it is here, see `ports.Identity`."""
        self._host = host
        self._budget = budget
        self._outbox: deque[Outgoing] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more will be queued."""
        return self.session.state is State.CLOSED

    # Output

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

    # Input: each feeds the session and does what it asks for

    def text(self, message: str) -> None:
        """See `Session.text`."""
        self.session.text(message)
        self._perform()

    def binary(self) -> None:
        """See `Session.binary`."""
        self.session.binary()
        self._perform()

    def connect(self, identity: Identity, *, cursor: str | None, attention: Attention) -> None:
        """Connect somebody whom the transport has identified; `identity` as `Host.identify` gives it."""
        self.issued_at = identity.issued_at
        self.session.connect(identity.key, cursor=cursor, expires_at=identity.expires_at, attention=attention)
        self._perform()

    def refused(self, reason: str) -> None:
        """See `Session.refused`."""
        self.session.refused(reason)
        self._perform()

    def live(self, change: LiveChange) -> None:
        """See `Session.live`."""
        self.session.live(change, self._host.monotonic())
        self._perform()

    def resumed(self, changes: Changes) -> None:
        """See `Session.resumed`."""
        self.session.resumed(changes, self._host.monotonic())
        self._perform()

    def resume_failed(self) -> None:
        """See `Session.resume_failed`."""
        self.session.resume_failed()
        self._perform()

    def mark_refused(self, mark: Mark, code: str, message: str) -> None:
        """See `Session.mark_refused`."""
        self.session.mark_refused(mark.ref, code, message)
        self._perform()

    def attend(self, attention: Attention) -> None:
        """See `Session.attend`."""
        self.session.attend(attention)
        self._perform()

    def tick(self) -> None:
        """See `Session.tick`."""
        self.session.tick(self._host.monotonic())
        self._perform()

    def drain(self, after_ms: int) -> None:
        """See `Session.drain`."""
        self.session.drain(after_ms)
        self._perform()

    def fail(self, code: str, message: str, close_code: CloseCode) -> None:
        """See `Session.fail`."""
        self.session.fail(code, message, close_code)
        self._perform()

    def lost(self) -> None:
        """Note that the transport is gone. Idempotent."""
        self.session.lost()
        self._outbox.clear()
        self._bytes = 0
        self._wake.set()

    def _perform(self) -> None:
        while effects := self.session.effects():
            for effect in effects:
                self._do(effect)
        self._wake.set()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(frame):
                self._queue(frame)
            case Resume(after):
                self._host.read(self, after)
            case Mark():
                self.marks.append(effect)
            case SetAttention():
                self._host.attended(self)
            case Authenticate(token):
                self._authenticate(token)
            case Close():
                self.closing = self.closing or effect

    def _authenticate(self, token: str) -> None:
        try:
            identity = self._host.identify(token)
        except Unauthenticated as error:
            self.session.refused(error.detail)
        else:
            self.issued_at = identity.issued_at
            self.session.verified(identity.key, expires_at=identity.expires_at)

    def _queue(self, out: Outgoing) -> None:
        if self.closing is not None:
            return
        self._outbox.append(out)
        self._bytes += len(out.frame)
        if self._bytes > self._budget:
            log.info("connection_too_slow", connection=self.session.connection, waiting_bytes=self._bytes)
            self.closing = Close(CloseCode.TOO_SLOW, "too slow")
            self.lost()
            self.on_overflow()


def _nothing() -> None:
    """Take part in nothing: no transport is writing yet."""
