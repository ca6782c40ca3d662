"""Server-sent events on the fast lane: the response's head went through ASGI, what follows is ready-made chunks."""

from __future__ import annotations

from hub.core.frames import Outgoing
from hub.gateway.encoding import as_event
from hub.gateway.lane import LaneConnection
from hub.gateway.metrics import Kind
from hub.gateway.news import News


class LaneStream(LaneConnection):
    """One stream, of an HTTP/1.1 response in chunks."""

    __slots__ = ()

    kind: Kind = "sse"

    def encode(self, out: Outgoing) -> bytes:
        """Make it an event."""
        return as_event(out)

    def hear(self, news: News) -> bool:
        """See `Connection.hear`."""
        if not self.session.step(news.epoch, news.before, news.version, news.position):
            return False
        if self._pending is None and not self._paused and self.transport is not None:
            self.transport.write(news.event_stream())  # nothing waits before it, and it is joined already
        else:
            self.write(news.event_stream())
        return True

    def farewell(self) -> bytes:
        """Return the chunk that ends the response."""
        return b"0\r\n\r\n"

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        """Refuse to hear more: a response without end is under way, so a client has nothing to say."""
        self.cut("protocol_error")
