"""WebSockets on the fast lane."""

from __future__ import annotations

from hub.core.effects import Close
from hub.core.frames import CloseCode, Outgoing
from hub.core.session import Session
from hub.gateway.encoding import as_text_frame
from hub.gateway.lane import Lane, LaneConnection
from hub.gateway.metrics import Kind
from hub.gateway.news import News, SharedNews
from hub.gateway.rfc6455 import Binary, Closed, Event, Failed, FrameReader, Ping, Pong, Text, close_frame, pong_frame

MAX_MESSAGE = 64 * 1024
"""Bytes at which reading stops; the session refuses frames beyond 32 KiB itself, with an `error` frame."""

NORMAL = 1000
"""The close code of RFC 6455 for an end as intended."""


class LaneWebSocket(LaneConnection):
    """One client."""

    __slots__ = ("_reader",)

    kind: Kind = "websocket"
    hangs_up = False

    def __init__(self, lane: Lane, session: Session) -> None:
        super().__init__(lane, session)
        self._reader = FrameReader(max_message=MAX_MESSAGE)

    def encode(self, out: Outgoing) -> bytes:
        """Make it a text frame."""
        return as_text_frame(out)

    def bytes_of(self, news: News | SharedNews) -> bytes:
        """See `LaneConnection.bytes_of`."""
        return news.websocket(self.session.position)

    def farewell(self) -> bytes:
        """Return a close frame."""
        closing = self.closing or Close(CloseCode.INTERNAL, "")
        return close_frame(closing.code, closing.reason)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sends."""
        for event in self._reader.feed(data):
            transport = self.transport
            if transport is None:
                return
            if self._leaving:
                if isinstance(event, Closed | Failed):
                    transport.close()  # the closing handshake is complete, or never will be
                    return
                if not self.allow(1):
                    self.cut(self.reason())  # it does not listen, and reading on costs
                    return
            else:
                self._handle(event)

    def _handle(self, event: Event) -> None:
        match event:
            case Text(text):
                if self.allow(1 + text.count("\n")):
                    self.text(text)
                else:
                    hint = "too many frames; send fewer, with more ids in each"
                    self.fail("rate_limited", hint, CloseCode.RATE_LIMITED)
            case Binary():
                self.binary()
            case Ping(payload):
                if self.allow(1):
                    self.write(pong_frame(payload))
                else:
                    self.fail("rate_limited", "too many pings", CloseCode.RATE_LIMITED)
            case Pong():  # means nothing (section 5.5.3), but costs
                if not self.allow(1):
                    self.fail("rate_limited", "too many pongs", CloseCode.RATE_LIMITED)
            case Closed(code):
                self._answer_close(code)
            case Failed(code, reason):
                self._fail_connection(code, reason)

    def _fail_connection(self, code: int, reason: str) -> None:
        """Say why, and read no more of it (RFC 6455, section 7.1.7).

        Only our half is closed: closing on what has not been read would break the connection off, and the client
        would not see the reason.
        """
        self.closing = Close(code, reason)
        self.lost()
        if self.transport is not None and not self._paused and self.transport.can_write_eof():
            self.transport.write_eof()

    def _answer_close(self, code: int | None) -> None:
        """Complete the closing handshake that the client began."""
        self.write(close_frame(NORMAL if code is None else code, ""))
        self.flush()
        if self.transport is not None:
            self.transport.close()
        self.lost()
