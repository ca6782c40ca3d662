"""WebSocket framing by the letter of RFC 6455: examples, and every way of breaking it."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import TypeAlias

import pytest

from hub.gateway.rfc6455 import (
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    Binary,
    Closed,
    Event,
    Failed,
    FrameReader,
    Ping,
    Pong,
    Text,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)
from tests.support.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame, close

KAPPA = "κόσμε".encode()

Feed: TypeAlias = Callable[[bytes], list[Event]]


def at_once(stream: bytes) -> list[Event]:
    return FrameReader().feed(stream)


def byte_by_byte(stream: bytes) -> list[Event]:
    reader = FrameReader()
    return [event for i in range(len(stream)) for event in reader.feed(stream[i : i + 1])]


STREAMS: dict[str, tuple[bytes, list[Event]]] = {
    "the text of the RFC": (bytes.fromhex("818537fa213d7f9f4d5158"), [Text("Hello")]),
    "an empty text": (client_frame(TEXT), [Text("")]),
    "text beyond ASCII": (client_frame(TEXT, KAPPA), [Text("κόσμε")]),
    "the longest short length": (client_frame(TEXT, b"a" * 125), [Text("a" * 125)]),
    "the shortest longer length": (client_frame(TEXT, b"a" * 126), [Text("a" * 126)]),
    "as long as allowed": (client_frame(TEXT, b"a" * MAX_MESSAGE), [Text("a" * MAX_MESSAGE)]),
    "binary": (client_frame(BINARY, b"\x00\xff"), [Binary(b"\x00\xff")]),
    "long binary": (client_frame(BINARY, b"\xff" * 126), [Binary(b"\xff" * 126)]),
    "a ping": (client_frame(PING, b"Hello"), [Ping(b"Hello")]),
    "the longest ping": (client_frame(PING, b"p" * 125), [Ping(b"p" * 125)]),
    "a pong nobody asked for": (client_frame(PONG), [Pong(b"")]),
    "several frames": (
        client_frame(TEXT, b"1") + client_frame(PING) + client_frame(BINARY, b"2") + client_frame(TEXT, b"3"),
        [Text("1"), Ping(b""), Binary(b"2"), Text("3")],
    ),
    "fragments": (
        client_frame(TEXT, b"Hel", fin=False) + client_frame(CONTINUATION, b"lo"),
        [Text("Hello")],
    ),
    "binary fragments, one empty": (
        client_frame(BINARY, b"\xff", fin=False)
        + client_frame(CONTINUATION, fin=False)
        + client_frame(CONTINUATION, b"\xfe"),
        [Binary(b"\xff\xfe")],
    ),
    "a ping among fragments": (
        client_frame(TEXT, b"Hel", fin=False) + client_frame(PING, b"?") + client_frame(CONTINUATION, b"lo"),
        [Ping(b"?"), Text("Hello")],
    ),
    "a character over fragments": (
        client_frame(TEXT, KAPPA[:1], fin=False) + client_frame(CONTINUATION, KAPPA[1:]),
        [Text("κόσμε")],
    ),
    "a message after fragments": (
        client_frame(TEXT, b"1", fin=False) + client_frame(CONTINUATION, b"2") + client_frame(TEXT, b"3"),
        [Text("12"), Text("3")],
    ),
    "a close without a code": (client_frame(CLOSE), [Closed(None, "")]),
    "a close with a code": (close(1000), [Closed(1000, "")]),
    "a close with the longest reason": (close(4999, b"r" * 123), [Closed(4999, "r" * 123)]),
    "what follows a close": (close(1001, KAPPA) + client_frame(TEXT, b"ignored"), [Closed(1001, "κόσμε")]),
    "a close among fragments": (client_frame(TEXT, b"a", fin=False) + close(1000), [Closed(1000, "")]),
}


@pytest.mark.parametrize("feed", [at_once, byte_by_byte])
@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS.keys())
def test_what_is_read(feed: Feed, stream: bytes, events: list[Event]) -> None:
    assert feed(stream) == events


VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "not masked": (client_frame(TEXT, b"a", mask=None), 1002),
    "an empty frame, not masked": (client_frame(TEXT, mask=None), 1002),
    **{f"reserved bits {bits}": (client_frame(TEXT, b"a", reserved=bits), 1002) for bits in range(1, 8)},
    "reserved bit on a ping": (client_frame(PING, reserved=4), 1002),
    "reserved bit on a fragment": (
        client_frame(TEXT, b"a", fin=False) + client_frame(CONTINUATION, b"b", reserved=4),
        1002,
    ),
    **{f"opcode {opcode}": (client_frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"fragment of opcode {opcode}": (client_frame(opcode, fin=False), 1002) for opcode in (3, 8, 9, 10, 11)},
    "a long ping": (client_frame(PING, b"p" * 126), 1002),
    "a long pong": (client_frame(PONG, b"p" * 126), 1002),
    "a long close": (close(1000, b"r" * 124), 1002),
    "a ping in the long form": (client_frame(PING, b"p", form=16), 1002),
    "a length of 16 bits that fits in 7": (client_frame(TEXT, b"a" * 125, form=16), 1002),
    "a length of 64 bits that fits in 16": (client_frame(TEXT, b"a" * 126, form=64), 1002),
    "a length of 64 bits that fits in 7": (client_frame(TEXT, form=64), 1002),
    "a length of 64 bits": (client_frame(TEXT, length=1 << 63), 1002),
    "too long": (client_frame(TEXT, b"a" * (MAX_MESSAGE + 1)), 1009),
    "too long to believe": (client_frame(BINARY, length=(1 << 63) - 1), 1009),
    "too long together": (
        client_frame(TEXT, b"a" * MAX_MESSAGE, fin=False) + client_frame(CONTINUATION, b"a", fin=False),
        1009,
    ),
    "too many fragments": (
        client_frame(TEXT, fin=False) + client_frame(CONTINUATION, fin=False) * MAX_FRAGMENTS,
        1009,
    ),
    "nothing to continue": (client_frame(CONTINUATION, b"a"), 1002),
    "nothing to continue any more": (
        client_frame(TEXT, b"a", fin=False) + client_frame(CONTINUATION) + client_frame(CONTINUATION),
        1002,
    ),
    "a new message among fragments": (client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b"), 1002),
    "new fragments among fragments": (
        client_frame(TEXT, b"a", fin=False) + client_frame(BINARY, b"b", fin=False),
        1002,
    ),
    "a close of one byte": (client_frame(CLOSE, b"\x03"), 1002),
    **{
        f"close code {code}": (close(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "a close reason that is not UTF-8": (close(1000, b"\xff"), 1007),
    "a close reason cut in a character": (close(1000, KAPPA[:-1]), 1007),
    "not UTF-8": (client_frame(TEXT, b"\xff"), 1007),
    "not UTF-8, and long": (client_frame(TEXT, b"a" * 200 + b"\xff"), 1007),
    "an overlong slash": (client_frame(TEXT, b"\xc0\xaf"), 1007),
    "a surrogate": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "beyond Unicode": (client_frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "cut in a character": (client_frame(TEXT, KAPPA[:-1]), 1007),
    "fragments cut in a character": (
        client_frame(TEXT, b"a", fin=False) + client_frame(CONTINUATION, KAPPA[:-1]),
        1007,
    ),
    "a fragment that begins nothing": (client_frame(TEXT, b"a\xf4\x90", fin=False), 1007),
    "a fragment that continues nothing": (
        client_frame(TEXT, b"\xce", fin=False) + client_frame(CONTINUATION, b"a", fin=False),
        1007,
    ),
}


@pytest.mark.parametrize("feed", [at_once, byte_by_byte])
@pytest.mark.parametrize(("stream", "code"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_what_is_refused(feed: Feed, stream: bytes, code: int) -> None:
    *_, failed = feed(stream + client_frame(TEXT, b"ignored"))
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert close_frame(failed.code, failed.reason)


def test_what_came_before_a_violation_counts() -> None:
    reader = FrameReader()
    events = reader.feed(client_frame(TEXT, b"a") + client_frame(PING) + client_frame(TEXT, mask=None))
    assert events == [Text("a"), Ping(b""), Failed(1002, "frames from a client must be masked")]
    assert reader.ended
    assert reader.feed(client_frame(TEXT, b"b")) == []


@pytest.mark.parametrize("last", [close(1000), client_frame(TEXT, mask=None)])
def test_an_ended_reader_holds_nothing(last: bytes) -> None:
    reader = FrameReader()
    reader.feed(client_frame(TEXT, b"a", fin=False) + last + b"more")
    assert reader.ended
    assert reader._held is None
    assert reader._message is None


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_close_codes_that_may_be_sent(code: int) -> None:
    assert at_once(close(code)) == [Closed(code, "")]
    assert close_frame(code)[2:] == code.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("known", "code"),
    [
        (client_frame(TEXT, length=MAX_MESSAGE + 1)[:4], 1009),
        (client_frame(TEXT, length=1 << 40)[:10], 1009),
        (client_frame(TEXT, b"a" * MAX_MESSAGE, fin=False) + client_frame(CONTINUATION, b"a")[:2], 1009),
        (client_frame(TEXT, reserved=4, length=1 << 40)[:2], 1002),
        (client_frame(PING, length=126)[:2], 1002),
        (client_frame(TEXT, b"a" * 50, mask=None)[:2], 1002),
        (client_frame(TEXT, b"a\xff", fin=False), 1007),
    ],
)
def test_refused_as_soon_as_known(known: bytes, code: int) -> None:
    (failed,) = at_once(known)
    assert isinstance(failed, Failed)
    assert failed.code == code
    (also_failed,) = byte_by_byte(known)
    assert also_failed == failed


def test_limits_of_ones_own() -> None:
    assert FrameReader(max_message=3).feed(client_frame(TEXT, b"abc")) == [Text("abc")]
    assert FrameReader(max_message=3).feed(client_frame(TEXT, b"abcd")) == [Failed(1009, "a message may have 3 bytes")]
    assert FrameReader(max_message=3).feed(client_frame(PING, b"abcd")) == [Ping(b"abcd")]
    pair = client_frame(TEXT, fin=False) + client_frame(CONTINUATION)
    assert FrameReader(max_fragments=2).feed(pair + pair) == [Text(""), Text("")]
    assert FrameReader(max_fragments=1).feed(pair) == [Failed(1009, "a message may have 1 fragments")]


def test_an_idle_reader_is_small_and_holds_nothing() -> None:
    reader = FrameReader()
    reader.feed(client_frame(TEXT, b"a" * 300)[:200])
    reader.feed(client_frame(TEXT, b"a" * 300)[200:] + client_frame(TEXT, b"a", fin=False))
    reader.feed(client_frame(CONTINUATION))
    own = {
        slot: getattr(reader, slot) for slot in FrameReader.__slots__ if slot not in {"_max_message", "_max_fragments"}
    }
    assert own["_held"] is None
    assert own["_message"] is None
    assert sys.getsizeof(reader) + sys.getsizeof(own["_need"]) <= 150


def test_what_it_holds_is_bounded_by_what_has_come() -> None:
    readers = [FrameReader() for _ in range(100)]
    head = client_frame(TEXT, length=MAX_MESSAGE)
    tracemalloc.start()
    try:
        for reader in readers:
            reader.feed(head)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 200 * len(readers)


class CountingReader(FrameReader):
    looks = 0

    def _read(self, data: bytes | bytearray, events: list[Event]) -> None:
        self.looks += 1
        super()._read(data, events)


def test_a_byte_at_a_time_is_not_looked_at_each_time() -> None:
    reader = CountingReader()
    stream = client_frame(TEXT, b"a" * MAX_MESSAGE)
    events = [event for i in range(len(stream)) for event in reader.feed(stream[i : i + 1])]
    assert events == [Text("a" * MAX_MESSAGE)]
    assert reader.looks == 4  # the first byte, the second, the length, the end


def test_without_the_extension_it_is_the_same() -> None:
    script = (
        "import sys; sys.modules['websockets.speedups'] = None\n"
        "from hub.gateway.rfc6455 import FrameReader, reader\n"
        "assert reader.apply_mask.__module__ == 'websockets.utils'\n"
        "print(FrameReader().feed(bytes.fromhex('818537fa213d7f9f4d5158')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[Text(text='Hello')]\n"


# Frames out


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8100"),
        (5, "8105"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_text_frames(size: int, head: str) -> None:
    assert text_frame(b"a" * size) == bytes.fromhex(head) + b"a" * size


def test_control_frames() -> None:
    assert ping_frame() == b"\x89\x00"
    assert ping_frame(b"now") == b"\x89\x03now"
    assert pong_frame(b"Hello") == b"\x8a\x05Hello"
    assert pong_frame(b"p" * 125) == b"\x8a\x7d" + b"p" * 125
    for frame in (ping_frame, pong_frame):
        with pytest.raises(ValueError, match="125 bytes"):
            frame(b"p" * 126)


@pytest.mark.parametrize(
    ("code", "reason", "frame"),
    [
        (None, "", b"\x88\x00"),
        (1000, "", b"\x88\x02\x03\xe8"),
        (4001, "too slow", b"\x88\x0a\x0f\xa1too slow"),
        (1000, "r" * 123, b"\x88\x7d\x03\xe8" + b"r" * 123),
        (1000, "r" * 124, b"\x88\x7d\x03\xe8" + b"r" * 123),
        (1000, "r" * 122 + "é", b"\x88\x7c\x03\xe8" + b"r" * 122),
        (1000, "€" * 100, b"\x88\x7d\x03\xe8" + "€".encode() * 41),
        (1000, "\ud800", b"\x88\x03\x03\xe8?"),
    ],
)
def test_close_frames(code: int | None, reason: str, frame: bytes) -> None:
    assert close_frame(code, reason) == frame


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
def test_close_codes_that_must_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        close_frame(code)


def test_no_reason_without_a_code() -> None:
    with pytest.raises(ValueError, match="needs a code"):
        close_frame(None, "because")
