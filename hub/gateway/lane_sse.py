"""Server-sent events on the fast lane: the response's head went through ASGI, what follows is ready-made chunks."""

from __future__ import annotations

from hub.core.frames import Outgoing
from hub.core.session import Session
from hub.gateway.lane import Lane, LaneConnection


class _Last:
    """The last event encoded, without its `id:` line."""

    out: Outgoing | None = None
    data: bytes = b""


class LaneStream(LaneConnection):
    """One stream, of an HTTP/1.1 response in chunks (RFC 9112, section 7.1)."""

    __slots__ = ()

    kind = "sse"


    def encode(self, out: Outgoing) -> bytes:
        """Make it an event: a chunk that all share, then one with this connection's `id:`, and the empty line."""
        if out is not _Last.out:
            _Last.out, _Last.data = out, chunk(b"event: %b\ndata: %b\n" % (out.event.encode(), out.frame))
        if out.cursor is None:
            return _Last.data + _NO_ID
        cursor = out.cursor.encode()
        return b"%b%x\r\nid: %b\n\n\r\n" % (_Last.data, len(cursor) + 6, cursor)

    def farewell(self) -> bytes:
        """Return the chunk that ends the response."""
        return b"0\r\n\r\n"

    def data_received(self, data: bytes) -> None:
        """Refuse to hear more: a response without end is under way, so a client has nothing to say."""
        self.cut("protocol_error")


def chunk(data: bytes) -> bytes:
    """Frame bytes as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


_NO_ID = chunk(b"\n")
