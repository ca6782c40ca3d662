"""Server-sent events on the fast lane: the response's head went through ASGI, what follows is ready-made chunks."""

from __future__ import annotations

from hub.core.frames import Outgoing
from hub.gateway.encoding import as_event
from hub.gateway.lane import LaneConnection
from hub.gateway.metrics import Kind
from hub.gateway.news import News, SharedNews


class LaneStream(LaneConnection):
    """One stream, of an HTTP/1.1 response in chunks."""

    __slots__ = ()

    kind: Kind = "sse"

    def encode(self, out: Outgoing) -> bytes:
        """Make it an event."""
        return as_event(out)

    def bytes_of(self, news: News | SharedNews) -> bytes:
        """See `LaneConnection.bytes_of`."""
        return news.event_stream(self.session.position)

    def farewell(self) -> bytes:
        """Return the chunk that ends the response."""
        return b"0\r\n\r\n"

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        """Refuse to hear more: a response without end is under way, so a client has nothing to say."""
        self.cut("protocol_error")
