"""One connection: a session, and what it asks for done. What all transports have in common."""

from __future__ import annotations

from typing import Protocol

from hub.core.cursor import Cursor
from hub.core.effects import Authenticate, Close, Effect, Mark, Resume, Send, SetAttention
from hub.core.errors import Unauthenticated
from hub.core.frames import CloseCode, Outgoing
from hub.core.model import Attention, Changes
from hub.core.session import Session, State
from hub.core.wire import LiveChange
from hub.gateway.metrics import Kind
from hub.gateway.news import News, SharedNews
from hub.ports import Identity


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
    """Feeds a session and performs its effects. Everything here runs on the event loop and never blocks.

    A transport says how frames are written (`send`), how marks are applied (`mark`), and what follows an input
    (`settled`); it must call `Gateway.disconnect` in the end.
    """

    __slots__ = ("_host", "closing", "issued_at", "session")

    kind: Kind

    def __init__(self, host: Host, session: Session) -> None:
        self.session = session
        self.closing: Close | None = None
        """How the server ends it; None while it lives, or when the client has gone."""
        self.issued_at: int | None = None
        """When the token was issued by which it is here, see `ports.Identity`."""
        self._host = host

    @property
    def ended(self) -> bool:
        """Whether nothing more will be sent."""
        return self.session.state is State.CLOSED

    # For transports

    def send(self, out: Outgoing) -> None:
        """Write a frame, or keep it until it can be written."""
        raise NotImplementedError

    def mark(self, mark: Mark) -> None:
        """Have a mark applied: one after the other, in order, and whole even if the client has gone meanwhile."""
        raise NotImplementedError

    def cut(self, reason: str) -> None:  # noqa: ARG002 - for those who count
        """Break the connection off, without a word."""
        self.lost()

    def reason(self) -> str:
        """Name why it ends, for the metrics, where every reason is a series of its own."""
        if self.closing is None:
            return "client"
        try:
            return CloseCode(self.closing.code).name.lower()
        except ValueError:
            return "protocol_error"

    def settled(self) -> None:
        """Handle that an input has been dealt with: there may be a new deadline, or an end."""
        raise NotImplementedError

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

    def hear(self, news: News) -> bool:
        """Take news if they are simply the next (see `Session.step`); else False: call `live` for each change."""
        if not self.session.step(news.before, news.last):
            return False
        for out in news.outs(self.session.position):
            self.send(out)
        return True

    def hear_shared(self, news: SharedNews) -> bool:
        """Take an item that has appeared in a topic (see `Session.shared`); False: nothing was written."""
        if not self.session.shared(news.position):
            self._perform()
            return False
        self.send(news.out)
        return True

    def live(self, change: LiveChange) -> None:
        """See `Session.live`."""
        self.session.live(change, self._host.monotonic())
        self._perform()

    def log_moved(self, position: int) -> None:
        """See `Session.log_moved`."""
        self.session.log_moved(position)
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
        self.settled()

    def _perform(self) -> None:
        while effects := self.session.effects():
            for effect in effects:
                self._do(effect)
        self.settled()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(frame):
                if self.closing is None:
                    self.send(frame)
            case Resume(after):
                self._host.read(self, after)
            case Mark():
                self.mark(effect)
            case SetAttention():
                self._host.attended(self)
            case Authenticate(token):
                self._authenticate(token)
            case Close():
                self.closing = self.closing or effect

    def _authenticate(self, token: str) -> None:
        session = self.session
        try:
            identity = self._host.identify(token)
        except Unauthenticated as error:
            session.refused(error.detail)
        else:
            self.issued_at = identity.issued_at
            if session.key is None:
                session.verified(identity.key, expires_at=identity.expires_at)
            else:
                session.renewed(identity.key, expires_at=identity.expires_at, now=self._host.monotonic())
