"""A frame as the bytes of each kind of transport on the fast lane."""

from __future__ import annotations

from hub.core.frames import Outgoing
from hub.gateway.rfc6455 import text_frame


def as_text_frame(out: Outgoing) -> bytes:
    """Encode for a WebSocket."""
    return text_frame(out.frame)


def as_event(out: Outgoing) -> bytes:
    """Encode as a server-sent event (WHATWG HTML, section 9.2) in a chunk of its own (RFC 9112, section 7.1)."""
    event = b"event: %b\ndata: %b\n" % (out.event.encode(), out.frame)
    if out.cursor is not None:
        event += b"id: %b\n" % out.cursor.encode()
    return b"%x\r\n%b\n\r\n" % (len(event) + 1, event)
