"""Live connections on bare sockets, cheap enough for thousands of them in a test: WebSocket and SSE, client side.

They parse strictly what a server of ours may send, and know nothing of inboxes: `Fleet` does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Protocol

NO_CLOSE_FRAME = 1006
"""The code of a WebSocket that ended without a close handshake (RFC 6455, section 7.4.1)."""
CLEAN_END = 0
"""How an SSE stream ends whose last chunk came; else it is `NO_CLOSE_FRAME` too."""

_FIN = 0x80
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, no seconds: closing sends RST."""


class Opcode(IntEnum):
    """RFC 6455, section 5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Owner(Protocol):
    """Whose connection it is. Nothing here may block."""

    def opened(self) -> None:
        """Hear that the server took the connection."""
        ...

    def refused(self, status: int, headers: Mapping[str, str]) -> None:
        """Hear that the server answered something else; header names are in lower case."""
        ...

    def frame(self, text: bytes) -> None:
        """Take one frame of the live protocol."""
        ...

    def broke(self, error: Exception) -> None:
        """Hear that what came is not what a server may send; `ended` follows."""
        ...

    def ended(self, code: int) -> None:
        """Hear that the connection is gone; always the last word, also when it was never taken."""
        ...


class Stream(asyncio.Protocol):
    """What both transports share: the request, and the head of the answer."""

    status = 0

    def __init__(self, owner: Owner, target: str, headers: Mapping[str, str]) -> None:
        self._owner = owner
        lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._buffer = bytearray()
        self._open = False
        self._code = NO_CLOSE_FRAME
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            if self._open or self._take_head():
                self._read()
        except Exception as error:  # noqa: BLE001 - asyncio would only log it, and the test would go on
            self._owner.broke(error)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.ended(self._code)

    def leave(self) -> None:
        """End it as a well-behaved client does; `ended` follows."""
        self.transport.close()

    def vanish(self) -> None:
        """End it with a reset."""
        system: socket.socket = self.transport.get_extra_info("socket")
        system.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        if status != self.status:
            self._owner.refused(status, headers)
            self.transport.abort()
            return False
        self._accept(headers)
        self._open = True
        self._owner.opened()
        return True

    def _accept(self, headers: Mapping[str, str]) -> None:
        raise NotImplementedError

    def _read(self) -> None:
        raise NotImplementedError


class WebSocketStream(Stream):
    """RFC 6455 without extensions. What it sends is masked with zeros, which is a mask like any other."""

    status = 101

    def __init__(self, owner: Owner, target: str, headers: Mapping[str, str]) -> None:
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
        super().__init__(owner, target, {"Connection": "Upgrade", "Upgrade": "websocket", **key, **headers})
        self._parts = bytearray()
        self._closing = False

    def send(self, text: bytes) -> None:
        """Send a text message."""
        self._write(Opcode.TEXT, text)

    def leave(self) -> None:
        """Begin the close handshake."""
        self._close(struct.pack(">H", 1000))

    def _accept(self, headers: Mapping[str, str]) -> None:
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of the RFC's own example
        assert "sec-websocket-extensions" not in headers, "none was offered"

    def _read(self) -> None:
        while (frame := self._take_frame()) is not None:
            first, payload = frame
            match first & 0xF:
                case Opcode.CONTINUATION | Opcode.TEXT:
                    self._parts += payload
                    if first & _FIN:
                        message, self._parts = self._parts, bytearray()
                        for line in message.split(b"\n"):
                            self._owner.frame(bytes(line))
                case Opcode.CLOSE:
                    self._code = struct.unpack(">H", payload[:2])[0]
                    self._close(payload)
                case Opcode.PING:
                    self._write(Opcode.PONG, payload)
                case Opcode.PONG:
                    pass
                case opcode:
                    raise AssertionError(f"a frame with opcode {opcode:#x}")

    def _take_frame(self) -> tuple[int, bytes] | None:
        """Take a whole frame off the buffer: its first byte and its payload."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        assert size < 0x80, "a server does not mask"
        assert buffer[0] & 0x70 == 0, "no extension was agreed on"
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        frame = buffer[0], bytes(buffer[start : start + size])
        del buffer[: start + size]
        return frame

    def _close(self, payload: bytes) -> None:
        if not self._closing:
            self._closing = True
            self._write(Opcode.CLOSE, payload)

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.transport.write(bytes([_FIN | opcode]) + length + b"\0\0\0\0" + payload)


class EventStream(Stream):
    """Server-sent events in a chunked answer."""

    status = 200

    def __init__(self, owner: Owner, target: str, headers: Mapping[str, str]) -> None:
        super().__init__(owner, target, {"Accept": "text/event-stream", **headers})
        self._text = bytearray()

    def _accept(self, headers: Mapping[str, str]) -> None:
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["transfer-encoding"] == "chunked"

    def _read(self) -> None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = int(self._buffer[:end], 16)
            if len(self._buffer) < end + size + 4:
                return
            self._text += self._buffer[end + 2 : end + 2 + size]
            assert self._buffer[end + 2 + size : end + size + 4] == b"\r\n"
            del self._buffer[: end + size + 4]
            if not size:
                self._code = CLEAN_END
        while (end := self._text.find(b"\n\n")) >= 0:
            event = bytes(self._text[:end])
            del self._text[: end + 2]
            self._event(event)

    def _event(self, event: bytes) -> None:
        """Check that the event's own lines say what its frame says, then pass the frame on."""
        fields = dict(line.split(b": ", 1) for line in event.split(b"\n") if not line.startswith(b":"))
        if b"data" in fields:
            assert b'"type":"%s"' % fields[b"event"] in fields[b"data"]
            assert fields.get(b"id", b"") in fields[b"data"], "`id:` is the frame's cursor"
            self._owner.frame(fields[b"data"])
