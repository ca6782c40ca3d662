"""Frames from client to server.

Made for many connections that mostly say nothing: an idle reader holds no buffer, and the usual message, one small
text frame in one read, takes the shortest way.
"""

from __future__ import annotations

import codecs
import struct

from hub.gateway.rfc6455.events import Binary, Closed, Event, Failed, Ping, Pong, Text
from hub.gateway.rfc6455.frames import BINARY, CLOSE, CLOSE_CODES, CONTINUATION, FIN, MAX_CONTROL, PING, PONG, TEXT

try:
    from websockets.speedups import apply_mask
except ImportError:  # installed without its C extension
    from websockets.utils import apply_mask

MAX_MESSAGE = 32 * 1024
"""Bytes of a message, over all its fragments."""

MAX_FRAGMENTS = 1024
"""Frames of a message, which bounds the empty ones too."""

PROTOCOL_ERROR = 1002
INVALID_DATA = 1007
MESSAGE_TOO_BIG = 1009

_FIN_TEXT = FIN | TEXT
_CONTROL = 0x08
_RESERVED = 0x70
_OPCODE = 0x0F
_FIRST_BYTES = frozenset(
    {CONTINUATION, TEXT, BINARY, *(FIN | opcode for opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))}
)
_MASKED = 0x80
_HEAD = 2
_MASK = 4
_SHORT = 125
"""The longest payload whose length stands in the second byte."""
_LENGTHS = {126: (struct.Struct("!H"), 126), 127: (struct.Struct("!Q"), 1 << 16)}
"""For the two longer forms: the length's format, and the smallest length that needs it."""


class FrameReader:
    """Turns what one client sends into events.

    It checks as early as it can: a header as soon as it is there, a length before any payload is held, and UTF-8 with
    each fragment. Within a frame it does not: bad text is refused once its frame is whole. Between calls it holds at
    most `max_message` bytes and a header; its work is linear in what it is fed, however that is cut.
    """

    __slots__ = ("_held", "_max_fragments", "_max_message", "_message", "_need", "ended")

    def __init__(self, *, max_message: int = MAX_MESSAGE, max_fragments: int = MAX_FRAGMENTS) -> None:
        self.ended = False
        """Whether `Closed` or `Failed` has been returned; what follows is ignored."""
        self._max_message = max_message
        self._max_fragments = max_fragments
        self._held: bytearray | None = None
        """A frame of which the end has not arrived."""
        self._need = 0
        """How long `_held` must get before it is worth another look."""
        self._message: _Fragments | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return what they complete, in order. Never raises: see `Failed`."""
        events: list[Event] = []
        if self.ended:
            return events
        frames: bytes | bytearray = data
        if self._held is not None:
            self._held += data
            if len(self._held) < self._need:
                return events
            frames, self._held = self._held, None
        try:
            self._read(frames, events)
        except _Violation as violation:
            self._end(events, Failed(violation.code, violation.reason))
        except UnicodeDecodeError:
            self._end(events, Failed(INVALID_DATA, "text must be UTF-8"))
        return events

    def _read(self, data: bytes | bytearray, events: list[Event]) -> None:
        """Read the frames that are complete, and hold what is left."""
        start, size, need = 0, len(data), _HEAD
        while size - start >= need:
            first, second = data[start], data[start + 1]
            if first == _FIN_TEXT and 0 <= second - _MASKED <= _SHORT and self._message is None:
                body, length = start + _HEAD + _MASK, second - _MASKED  # by far the most frequent frame
            else:
                self._check_head(first, second)
                body, length = _locate(data, start)
            if not first & _CONTROL:
                self._check_size(length)
            end = body + length
            if end > size:
                need = end - start
                break
            payload = apply_mask(data[body:end], data[body - _MASK : body])
            start = end
            event = Text(payload.decode()) if first == _FIN_TEXT else self._frame(first, payload)
            if type(event) is Closed:
                self._end(events, event)
                return
            if event is not None:
                events.append(event)
        if start < size:
            self._held, self._need = bytearray(data[start:]), need

    def _check_head(self, first: int, second: int) -> None:
        if first not in _FIRST_BYTES:
            raise _Violation(PROTOCOL_ERROR, _fault(first))
        if second < _MASKED:
            raise _Violation(PROTOCOL_ERROR, "frames from a client must be masked")
        message = self._message
        if first & _CONTROL:
            if second - _MASKED > MAX_CONTROL:
                raise _Violation(PROTOCOL_ERROR, f"a control frame may have {MAX_CONTROL} bytes")
        elif message is None:
            if first & _OPCODE == CONTINUATION:
                raise _Violation(PROTOCOL_ERROR, "there is no message to continue")
        elif first & _OPCODE != CONTINUATION:
            raise _Violation(PROTOCOL_ERROR, "the message before has not ended")
        elif message.count == self._max_fragments:
            raise _Violation(MESSAGE_TOO_BIG, f"a message may have {self._max_fragments} fragments")

    def _check_size(self, length: int) -> None:
        if self._message is not None:
            length += len(self._message.data)
        if length > self._max_message:
            raise _Violation(MESSAGE_TOO_BIG, f"a message may have {self._max_message} bytes")

    def _frame(self, first: int, payload: bytes) -> Event | None:
        """Take in any frame; None as long as its message goes on."""
        opcode, final = first & _OPCODE, first >= FIN
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        if opcode == CLOSE:
            return _closed(payload)
        if self._message is None:
            self._message = _Fragments(text=opcode == TEXT)
        self._message.add(payload, final=final)
        if not final:
            return None
        message, self._message = self._message, None
        return message.whole()

    def _end(self, events: list[Event], last: Closed | Failed) -> None:
        events.append(last)
        self.ended = True
        self._held = self._message = None


class _Fragments:
    """A message of which the end has not arrived."""

    __slots__ = ("_utf8", "count", "data")

    def __init__(self, *, text: bool) -> None:
        self.count = 0
        self.data = bytearray()
        self._utf8 = codecs.getincrementaldecoder("utf-8")() if text else None

    def add(self, payload: bytes, *, final: bool) -> None:
        """Take one more frame.

        Raises:
            UnicodeDecodeError: no text begins like this, or it ends inside a character.

        """
        self.count += 1
        self.data += payload
        if self._utf8 is not None:
            self._utf8.decode(payload, final)

    def whole(self) -> Text | Binary:
        """Return the message, whose final frame has been added."""
        return Binary(bytes(self.data)) if self._utf8 is None else Text(self.data.decode())


class _Violation(Exception):
    """What becomes `Failed`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _fault(first: int) -> str:
    """Say what is wrong with a frame's first byte."""
    if first & _RESERVED:
        return "reserved bits must be 0"
    if first | FIN in _FIRST_BYTES:
        return "a control frame must not be fragmented"
    return f"there is no opcode {first & _OPCODE}"


def _locate(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """Return where the payload of the frame at `start` begins, and its length.

    As long as the length has not arrived, that is a position beyond the data, and 0.
    """
    length = data[start + 1] - _MASKED
    position = start + _HEAD
    if length in _LENGTHS:
        form, minimum = _LENGTHS[length]
        position += form.size
        if position > len(data):
            return position, 0
        (length,) = form.unpack_from(data, start + _HEAD)
        if length < minimum:
            raise _Violation(PROTOCOL_ERROR, "a length must take its shortest form")
        if length >= 1 << 63:
            raise _Violation(PROTOCOL_ERROR, "a length has 63 bits")
    return position + _MASK, length


def _closed(payload: bytes) -> Closed:
    if not payload:
        return Closed(None, "")
    code, reason = int.from_bytes(payload[:2]), payload[2:].decode()
    if code not in CLOSE_CODES:  # nor is what a single byte makes
        raise _Violation(PROTOCOL_ERROR, "not a valid close code")
    return Closed(code, reason)
