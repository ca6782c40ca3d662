"""The client's side of one connection, cheap enough for 10,000 of them in a process.

A published message carries a mark in its text: its number, and whom it is for. Each stream checks that marks come in
order (where the publisher has one), each once; nothing else of a message is looked at.
"""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tests.benchmarks.gateway.swarm import Swarm

EVERYBODY = 999_999
"""The recipient in the mark of a message that goes to all."""

_MARK = re.compile(rb"m:(\d{6}):(\d{6});")
_RETRY_AFTER = re.compile(rb"(?i)\r\nretry-after: *(\d+)")
_AFTER_MS = re.compile(rb'"after_ms":(\d+)')


def mark(number: int, recipient: int = EVERYBODY) -> str:
    """What a message says so that its receipt can be checked."""
    return f"m:{number:06d}:{recipient:06d};"


class Refused(Exception):
    """The server turned a connection away; `retry_after` (seconds) if it said when to come back."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Stream(asyncio.Protocol):
    """One connection: sends its request, waits to be up, then counts marks."""

    __slots__ = ("_ahead", "_away", "_next", "_rest", "_streaming", "name", "replayed", "swarm", "transport", "up")

    STATUS = b"200"

    def __init__(self, swarm: Swarm, name: int) -> None:
        self.swarm = swarm
        self.name = name
        self.up: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        """Done when the server has said that the stream is live; then dropped."""
        self.replayed = 0
        """Items that came before it was up."""
        self.transport: asyncio.Transport
        self._next = swarm.next
        self._ahead: set[int] | None = None
        self._rest = b""
        self._streaming = False
        self._away: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport.write(self.swarm.request(self.name))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self._streaming:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._rest = b""
            if not self._accepted(head):
                return
        self._rest = self.feed(data) if data else b""

    def connection_lost(self, _: Exception | None) -> None:
        if self.up is None:
            self.swarm.lost(self)
        elif not self.up.done():
            self.up.set_exception(Refused("the connection was closed before it was up", self._away))

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Take what came; returns what is left for the next call."""

    def accepted(self, head: bytes) -> None:
        """Take the response's head."""

    def be_up(self) -> None:
        if self.up is not None and not self.up.done():
            self.up.set_result(None)

    def messages(self, data: bytes, start: int, end: int) -> int:
        """Count the marks in one stretch of text; returns how many there were."""
        found = _MARK.findall(data, start, end)
        swarm = self.swarm
        for number, recipient in found:
            if int(recipient) not in {EVERYBODY, self.name} or not self._awaited(int(number)):
                swarm.fault(f"stream {self.name} awaits message {self._next}, got {number!r} for {recipient!r}")
                break
            swarm.arrived()
        return len(found)

    def _awaited(self, number: int) -> bool:
        """Note a message; False if it has come before, was not announced, or is out of order where that matters."""
        if not self._next <= number < self.swarm.next:
            return False
        if number == self._next:
            self._next += 1
            while self._ahead and self._next in self._ahead:
                self._ahead.remove(self._next)
                self._next += 1
            return True
        if self.swarm.ordered or number in (self._ahead or ()):
            return False
        self._ahead = {number} | (self._ahead or set())
        return True

    def said(self, text: bytes) -> None:
        """Take a text without a mark, as Bellwire's protocol has it."""
        if b'"type":"ready"' in text:
            self.be_up()
        elif self.up is not None and b'"type":"reconnect"' in text:
            found = _AFTER_MS.search(text)
            self._away = int(found[1]) / 1000 if found else 1.0
        elif b'"type":"item"' in text:
            self.replayed += text.count(b'"type":"item"')
        elif b'"type":"error"' in text or b'"type":"resync"' in text:
            self.swarm.fault(text.decode(errors="replace"))

    def _accepted(self, head: bytes) -> bool:
        if head.split(b" ", 2)[1] != self.STATUS:
            found = _RETRY_AFTER.search(head)
            if self.up is not None and not self.up.done():
                self.up.set_exception(Refused(repr(head[:100]), float(found[1]) if found else None))
            self.transport.abort()
            return False
        self._streaming = True
        self.accepted(head)
        return True


class WebSocketStream(Stream):
    """Bellwire's WebSocket: up with `ready`."""

    __slots__ = ()

    STATUS = b"101"

    def feed(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                start = at + 4
                length = int.from_bytes(data[at + 2 : start])
            elif length == 127:
                start = at + 10
                length = int.from_bytes(data[at + 2 : start])
            stop = start + length
            if start > end or stop > end:
                break
            self._frame(data, at, start, stop)
            at = stop
        return data[at:]

    def _frame(self, data: bytes, at: int, start: int, stop: int) -> None:
        if data[at] == 0x81:
            if self.messages(data, start, stop):
                self.swarm.frame_bytes = stop - start
            else:
                self.said(data[start:stop])
        elif data[at] == 0x89:
            self.transport.write(_masked(0x8A, data[start:stop]))
        elif data[at] != 0x8A and data[at] != 0x88:
            self.swarm.fault(f"a frame that nobody expects here begins with {data[at]:#x}")


class NchanSocket(WebSocketStream):
    """Nchan's WebSocket: up with the handshake."""

    __slots__ = ()

    def accepted(self, head: bytes) -> None:
        self.be_up()


class SocketIoStream(WebSocketStream):
    """Socket.IO over WebSocket: Engine.IO's `open`, our `connect`, then `connected`; pings to be answered."""

    __slots__ = ()

    def said(self, text: bytes) -> None:
        if text == b"2":
            self.transport.write(_masked(0x81, b"3"))
        elif text.startswith(b"0{"):
            self.transport.write(_masked(0x81, b"40"))
        elif text.startswith(b"40"):
            self.be_up()


class EventStream(Stream):
    """Bellwire's server-sent events: up with `ready`. Each message has to come with its own `id:` line."""

    __slots__ = ("_chunked", "_text")

    def accepted(self, head: bytes) -> None:
        self._chunked = b"transfer-encoding: chunked" in head.lower()
        self._text = b""

    def feed(self, data: bytes) -> bytes:
        rest = b""
        if self._chunked:
            data, rest = _unchunk(data)
        text = self._text + data if self._text else data
        at = 0
        while (end := text.find(b"\n\n", at)) >= 0:
            self._event(text, at, end)
            at = end + 2
        self._text = text[at:]
        return rest

    def _event(self, text: bytes, at: int, end: int) -> None:
        if not self.messages(text, at, end):
            self.said(text[at:end])
            return
        data = text.find(b"data: ", at, end) + len(b"data: ")
        self.swarm.frame_bytes = (text.find(b"\n", data, end) + 1 or end + 1) - 1 - data
        identified = text.startswith(b"id:", at) or text.find(b"\nid:", at, end) >= 0
        if not identified and not _of_a_catch_up(text, at, end):
            self.swarm.fault(f"an event without an id: {text[at:end]!r}")


class NchanEvents(EventStream):
    """Nchan's server-sent events: up with the response's head."""

    __slots__ = ()

    def accepted(self, head: bytes) -> None:
        super().accepted(head)
        self.be_up()


def _of_a_catch_up(text: bytes, at: int, end: int) -> bool:
    """Whether it is an item that Bellwire read from the database: cursor and id come with the `ready` after it."""
    return text.find(b'"type":"item"', at, end) >= 0 > text.find(b'"cursor":', at, end)


def _unchunk(data: bytes) -> tuple[bytes, bytes]:
    """Take whole HTTP chunks off the front; returns their content, and what is left."""
    parts: list[bytes] = []
    at = 0
    while (line := data.find(b"\r\n", at)) >= 0:
        start = line + 2
        stop = start + int(data[at:line], 16)
        if len(data) < stop + 2:
            break
        parts.append(data[start:stop])
        at = stop + 2
    return (parts[0] if len(parts) == 1 else b"".join(parts)), data[at:]


def _masked(first: int, payload: bytes) -> bytes:
    """A short client frame; a mask of zeros leaves the payload as it is."""
    return bytes((first, 0x80 | len(payload))) + b"\0\0\0\0" + payload
