"""The server's side of WebSocket (RFC 6455) without I/O and without extensions: handshake, frames in, frames out."""

from hub.gateway.rfc6455.events import Binary, Closed, Event, Failed, Ping, Pong, Text
from hub.gateway.rfc6455.frames import close_frame, ping_frame, pong_frame, text_frame
from hub.gateway.rfc6455.handshake import HandshakeRefused, accept, response_head
from hub.gateway.rfc6455.reader import MAX_FRAGMENTS, MAX_MESSAGE, FrameReader

__all__ = [
    "MAX_FRAGMENTS",
    "MAX_MESSAGE",
    "Binary",
    "Closed",
    "Event",
    "Failed",
    "FrameReader",
    "HandshakeRefused",
    "Ping",
    "Pong",
    "Text",
    "accept",
    "close_frame",
    "ping_frame",
    "pong_frame",
    "response_head",
    "text_frame",
]
