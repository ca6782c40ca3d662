"""One live connection as a state machine without I/O, the same for WebSocket, SSE and long polling.

A driver feeds it what happens (`text`, `live`, `resumed`, `tick` …) with `now` in milliseconds of any monotonic
clock, then performs what `effects` returns, in order. It calls `tick` at `next_deadline`. Inputs never raise;
after `Close` every input is ignored.

Every catch-up, at connect and after a gap, looks the same to the client: frames without a cursor (or one
`resync`), then `ready` with cursor and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal

from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.effects import Authenticate, Close, Effect, Mark, Resume, Send, SetAttention
from hub.core.errors import InvalidRequest, ProtocolViolation
from hub.core.frames import MAX_CLIENT_FRAME, CloseCode, Outgoing, catch_up, decode, encode, outgoing
from hub.core.marks import mark_of
from hub.core.merge import Merge
from hub.core.model import Attention, Changes, InboxKey
from hub.core.views import counts_view
from hub.core.wire import LiveChange

CONNECT_TIMEOUT_MS = 10_000
"""How long a connection may stay silent before its `connect`."""

PING_MS = 25_000
"""How often the server shows a sign of life."""

BACKLOG_LIMIT = 128 * 1024
"""Bytes of a catch-up; beyond it the client reads its newest page again, which is cheaper for everybody."""

EARLY_LIMIT = 32
"""Frames that may follow `connect` before its token has been verified."""

REAUTH_LEAD_MS = 30_000
"""How long before its token's end a client is asked for a fresh one."""


class State(Enum):
    """Life of a session."""

    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    RESUMING = "resuming"
    LIVE = "live"
    CLOSED = "closed"


class Session:
    """See the module. `connection` is its id; `jitter` (0 to 1) places the first ping inside its interval."""

    # A node holds tens of thousands of these: what is rarely needed is None until it is.
    __slots__ = (
        "_connect_by",
        "_early",
        "_effects",
        "_expires_at",
        "_jitter",
        "_merge",
        "_next_ping",
        "_reauth_at",
        "_request",
        "_resync",
        "attention",
        "connection",
        "key",
        "state",
    )

    def __init__(self, connection: str, now: int, *, jitter: float = 1.0) -> None:
        self.connection = connection
        self.state = State.CONNECTING
        self.key: InboxKey | None = None
        """Whose connection this is, from the moment when the credentials are verified."""
        self.attention = Attention.ACTIVE
        self._jitter = jitter
        self._effects: list[Effect] | None = None
        self._merge = Merge()
        self._connect_by = now + CONNECT_TIMEOUT_MS
        self._expires_at: int | None = None
        self._reauth_at: int | None = None
        """When to ask for a fresh token; None if it has been asked for, or need not be."""
        self._next_ping = 0
        self._request: Cursor | None = None
        """The client's cursor, until the first read."""
        self._resync: str | None = None
        """Why the client's cursor is of no use, until the first `ready`."""
        self._early: list[wire.ClientFrame] | None = None

    @property
    def cursor(self) -> Cursor | None:
        """What the client has been brought to; None before the first `ready`."""
        return self._merge.cursor if self._merge.version >= 0 else None

    @property
    def position(self) -> int:
        """The position of the shared log in the client's cursor."""
        return self._merge.position

    def effects(self) -> Sequence[Effect]:
        """Return what is to be done, in order, and forget it."""
        effects, self._effects = self._effects, None
        return effects or []

    def next_deadline(self) -> int | None:
        """Return when to call `tick` at the latest."""
        if self.state is State.CLOSED:
            return None
        if self.state is State.CONNECTING or self.state is State.AUTHENTICATING:
            return self._connect_by
        deadline = self._expires_at
        if self.state is State.LIVE:
            if self._reauth_at is not None:
                deadline = self._reauth_at
            if deadline is None or self._next_ping < deadline:
                deadline = self._next_ping
        held = self._merge.deadline
        return held if held is not None and (deadline is None or held < deadline) else deadline

    # What the client does

    def text(self, message: str) -> None:
        """Handle a text message: one frame, or several joined by line breaks."""
        if self.state is State.CLOSED:
            return
        if _size(message) > MAX_CLIENT_FRAME:
            text = f"a message may have {MAX_CLIENT_FRAME} bytes"
            self.fail("frame_too_large", text, CloseCode.FRAME_TOO_LARGE)
            return
        lines = [line for line in message.split("\n") if line.strip()]
        try:
            for line in lines or [message]:
                self._frame(decode(line))
        except ProtocolViolation as violation:
            self.fail(violation.code, violation.message, CloseCode(violation.close_code))

    def binary(self) -> None:
        """Handle a binary message: there are none in this protocol."""
        self.fail("binary_frame", "frames are text", CloseCode.BAD_FRAME)

    def connect(
        self,
        key: InboxKey,
        *,
        cursor: str | None = None,
        expires_at: int | None = None,
        attention: Attention = Attention.ACTIVE,
    ) -> None:
        """Connect somebody whose identity the transport has established."""
        if self.state is State.CONNECTING:
            self._take_request(cursor, attention)
            self.state = State.AUTHENTICATING
            self.verified(key, expires_at=expires_at)

    # What the driver found out

    def verified(self, key: InboxKey, *, expires_at: int | None) -> None:
        """Take the identity behind the token; `expires_at` is by the driver's clock."""
        if self.state is not State.AUTHENTICATING:
            return
        self.key = key
        self.state = State.RESUMING
        self._expires_at = expires_at
        self._emit(SetAttention(self.attention))
        self._emit(Resume(self._request))
        early, self._early = self._early, None
        try:
            for frame in early or ():
                self._frame(frame)
        except ProtocolViolation as violation:
            self.fail(violation.code, violation.message, CloseCode(violation.close_code))

    def renewed(self, key: InboxKey, *, expires_at: int | None, now: int) -> None:
        """Take a fresh token's identity; it must be the same as before. Goes on until `expires_at`."""
        if self.state is State.CLOSED:
            return
        if key != self.key:
            self.refused("a connection keeps its user: connect anew to become another")
            return
        self._expires_at = expires_at
        self._plan_reauth(now)
        self._send("reauthenticated", wire.Reauthenticated(None if expires_at is None else expires_at - now))

    def refused(self, reason: str) -> None:
        """Handle that the credentials prove nothing."""
        self.fail("unauthenticated", reason, CloseCode.UNAUTHENTICATED)

    def resumed(self, changes: Changes, now: int) -> None:
        """Take the answer to `Resume`."""
        if self.state is State.CLOSED or not self._merge.reading:
            return
        moved = self._tell_changes(changes)
        if self.state is State.RESUMING:
            self.state = State.LIVE
            self._request = None
            self._plan_reauth(now)
            self._next_ping = now + int(PING_MS * self._jitter)
        following = self._merge.settle(changes.head, now)
        if moved:
            self._tell_ready(changes)
        for change in following:
            self._emit(Send(outgoing(change, self._merge.position)))
        self._read_if_wanted()

    def resume_failed(self) -> None:
        """Handle that the database cannot be read: the client comes back later with the cursor it has."""
        self.fail("unavailable", "the inbox cannot be read now; try again", CloseCode.INTERNAL)

    def step(self, before: int, last: LiveChange) -> bool:
        """Take changes after version `before` if they are simply the next: True means write their frames now.

        The usual case, without effects: `live` does the same in five times the time. `last` is the last of them, and
        all are of its moment of the shared log. False: nothing was done; call `live` for each.
        """
        merge = self._merge
        if (
            merge.version != before
            or merge.told != last.position
            or merge.reading
            or merge.waiting
            or merge.epoch != last.epoch
            or self.state is not State.LIVE
        ):
            return False
        merge.version, merge.unread, merge.unseen = last.version, last.unread, last.unseen
        return True

    def live(self, change: LiveChange, now: int) -> None:
        """Take a change of the user's inbox as it is heard, in any order, once or more."""
        if self.state is State.CLOSED:
            return
        for ready in self._merge.push(change, now):
            self._emit(Send(outgoing(ready, self._merge.position)))
        self._read_if_wanted()

    def shared(self, position: int) -> bool:
        """Take an item that has appeared in a topic of the user's; True means write its frame now.

        The topic's events before it must have been told, here or to `log_moved`. False: it is known, or will be read.
        """
        if self.state is State.CLOSED:
            return False
        forwarded = self._merge.take_shared(position)
        self._read_if_wanted()
        return forwarded

    def confirm(self, epoch: str, version: int, position: int) -> bool:
        """See `Merge.confirm`: if True, the next ping says so."""
        return self.state is State.LIVE and self._merge.confirm(epoch, version, position)

    def log_moved(self, position: int) -> None:
        """Take in that a topic of the user's has got to a position of the shared log; known ones change nothing."""
        if self.state is not State.CLOSED:
            self._merge.hear_of(position)
            self._read_if_wanted()

    def mark_refused(self, ref: str | int | None, code: str, message: str) -> None:
        """Tell the client that a mark was not applied; the connection stays."""
        if self.state is not State.CLOSED:
            self._send("error", wire.ErrorFrame(code, message, ref))

    def attend(self, attention: Attention) -> None:
        """Take the attention of a connection whose transport cannot send frames."""
        if self.state in (State.RESUMING, State.LIVE):
            self.attention = attention
            self._emit(SetAttention(attention))

    def tick(self, now: int) -> None:
        """Do what is due."""
        if self.state is State.CLOSED:
            return
        if self.state is State.CONNECTING or self.state is State.AUTHENTICATING:
            if now >= self._connect_by:
                self.fail("connect_timeout", "no `connect` arrived in time", CloseCode.CONNECT_TIMEOUT)
            return
        if self._expires_at is not None and now >= self._expires_at:
            self.fail("token_expired", "connect again with a fresh token", CloseCode.TOKEN_EXPIRED)
            return
        if self._merge.deadline is not None and now >= self._merge.deadline:
            self._merge.expire()
            self._read_if_wanted()
        if self.state is State.LIVE:
            if self._reauth_at is not None and self._expires_at is not None and now >= self._reauth_at:
                self._reauth_at = None
                self._send("reauth", wire.ReauthRequest(self._expires_at - now))
            if now >= self._next_ping:
                self._next_ping = now + PING_MS
                self._ping()

    # Endings

    def drain(self, after_ms: int) -> None:
        """Send the client elsewhere, because this node goes away: it comes back after so many milliseconds."""
        if self.state is not State.CLOSED:
            self._send("reconnect", wire.Reconnect(after_ms))
            self._close(CloseCode.GOING_AWAY, "going away")

    def fail(self, code: str, message: str, close_code: CloseCode) -> None:
        """Tell the client what is wrong and close."""
        if self.state is not State.CLOSED:
            self._send("error", wire.ErrorFrame(code, message))
            self._close(close_code, code)

    def lost(self) -> None:
        """Handle that the transport is gone: nothing can be sent any more."""
        self.state = State.CLOSED
        self._effects = None

    def _close(self, code: CloseCode, reason: str) -> None:
        self.state = State.CLOSED
        self._emit(Close(code, reason))

    # Parts

    def _frame(self, frame: wire.ClientFrame) -> None:
        match self.state:
            case State.CONNECTING:
                self._first(frame)
            case State.AUTHENTICATING:
                self._early = self._early or []
                if len(self._early) >= EARLY_LIMIT:
                    raise ProtocolViolation("bad_frame", "wait for `ready` before sending more", CloseCode.BAD_FRAME)
                self._early.append(frame)
            case State.RESUMING | State.LIVE:
                self._later(frame)
            case State.CLOSED:
                pass

    def _first(self, frame: wire.ClientFrame) -> None:
        if not isinstance(frame, wire.Connect):
            raise ProtocolViolation("connect_first", "the first frame must be `connect`", CloseCode.CONNECT_FIRST)
        if frame.token is None:
            self.refused("`connect` needs a token")
            return
        self._take_request(frame.cursor, Attention(frame.state))
        self.state = State.AUTHENTICATING
        self._emit(Authenticate(frame.token))

    def _later(self, frame: wire.ClientFrame) -> None:
        match frame:
            case wire.ClientPing():
                self._ping()
            case wire.SetPresence():
                self.attend(Attention(frame.state))
            case wire.Reauth():
                self._emit(Authenticate(frame.token))
            case wire.Connect():
                raise ProtocolViolation("already_connected", "this connection has an identity", CloseCode.BAD_FRAME)
            case _:
                try:
                    self._emit(Mark(*mark_of(frame), frame.ref))
                except InvalidRequest as error:
                    self.mark_refused(frame.ref, "invalid_request", _explain(error))

    def _take_request(self, cursor: str | None, attention: Attention) -> None:
        self.attention = attention
        if cursor is not None:
            try:
                self._request = Cursor.parse(cursor)
            except InvalidRequest:
                self._resync = "bad_cursor"

    def _plan_reauth(self, now: int) -> None:
        """Ask in good time, yet not before half of what is left has passed: short tokens would be asked for and on."""
        if self._expires_at is not None:
            left = self._expires_at - now
            self._reauth_at = self._expires_at - min(REAUTH_LEAD_MS, left // 2)

    def _tell_changes(self, changes: Changes) -> bool:
        """Send the catch-up itself; False if there is nothing that the client does not hold already."""
        head = changes.head
        resync = self._resync or changes.resync
        self._resync = None
        backlog = [] if resync else catch_up(changes)
        if sum(len(out.frame) for out in backlog) > BACKLOG_LIMIT:
            resync = "too_large"
        if resync:
            self._send("resync", wire.Resync(resync, str(head.cursor), counts_view(head.counts)))
            return True
        for out in backlog:
            self._emit(Send(out))
        return self.state is State.RESUMING or head.cursor != self._merge.cursor

    def _tell_ready(self, changes: Changes) -> None:
        user = self.key.user if self.key is not None else ""
        cursor, counts = str(changes.head.cursor), counts_view(changes.head.counts)
        self._send("ready", wire.Ready(user, self.connection, cursor, counts, PING_MS), cursor)

    def _read_if_wanted(self) -> None:
        if self._merge.wants_read and not self._merge.reading:
            self._emit(Resume(self._merge.begin_read()))

    def _ping(self) -> None:
        """Answer with cursor and counts; before the first `ready`, that frame will be the sign of life."""
        if (cursor := self.cursor) is not None:
            merge = self._merge
            counts = wire.Counts(unread=merge.unread, unseen=merge.unseen)
            self._send("ping", wire.ServerPing(str(cursor), merge.position, counts), str(cursor))

    def _send(self, event: _Event, frame: wire.ServerFrame, cursor: str | None = None) -> None:
        self._emit(Send(Outgoing(event, encode(frame), cursor)))

    def _emit(self, effect: Effect) -> None:
        if self._effects is None:
            self._effects = [effect]
        else:
            self._effects.append(effect)


_Event = Literal["ready", "resync", "ping", "reauth", "reauthenticated", "reconnect", "error"]


def _size(message: str) -> int:
    """Bytes on the wire; the common, short case costs nothing."""
    return len(message) if message.isascii() else len(message.encode(errors="surrogatepass"))


def _explain(error: InvalidRequest) -> str:
    return error.detail if error.pointer is None else f"{error.pointer}: {error.detail}"
