"""Random streams, cuts and mutations: our framing agrees with that of python-websockets, the reference here."""

from __future__ import annotations

import codecs
import itertools
import logging
import os
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets import Headers
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from hub.gateway.rfc6455 import (
    Binary,
    Closed,
    Event,
    Failed,
    FrameReader,
    HandshakeRefused,
    Ping,
    Pong,
    Text,
    accept,
    close_frame,
    ping_frame,
    pong_frame,
    response_head,
    text_frame,
)
from tests.support.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame

LIMIT = 70_000
"""Bytes of a message for both; far beyond what is generated, so that only a mutated length meets it."""

REST = b"\xff" * (LIMIT + 14)
"""Ends every stream: fills up a frame that a mutation made longer, then is a violation itself."""

STRICTER = {
    "a length must take its shortest form",
    "a length has 63 bits",
    "a control frame may have 125 bytes",  # the same, found in its second byte
}
"""What section 5.2 forbids and websockets reads on after."""

MANY = settings(
    max_examples=200,
    derandomize="CI" in os.environ,  # a landing is not a lottery: other runs explore
)
LOGGER = logging.getLogger("tests.quiet")
LOGGER.addHandler(logging.NullHandler())
LOGGER.propagate = False


# Streams

codes = st.sampled_from([1000, 1001, 1011, 3000, 4999]) | st.integers(0, 65535)
masks = st.binary(min_size=4, max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> list[bytes]:
    """The frames of one message, with pings and pongs between them."""
    text = draw(st.booleans())
    payload = draw(st.text(max_size=300).map(str.encode) | st.binary(max_size=70) if text else st.binary(max_size=300))
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    pieces = [payload[a:b] for a, b in itertools.pairwise([0, *cuts, len(payload)])]
    frames: list[bytes] = []
    for number, piece in enumerate(pieces):
        opcode = (TEXT if text else BINARY) if number == 0 else CONTINUATION
        frames.append(client_frame(opcode, piece, fin=number == len(pieces) - 1, mask=draw(masks)))
        frames.extend(draw(controls))
    return frames


LONG = [b"p" * 125] * 4 + [b"p" * 126]
controls = st.lists(
    st.builds(client_frame, st.sampled_from([PING, PONG]), st.binary(max_size=20) | st.sampled_from(LONG), mask=masks),
    max_size=1,
)
closes = st.builds(
    lambda code, reason: client_frame(CLOSE, code.to_bytes(2, "big") + reason),
    codes,
    st.text(max_size=30).map(str.encode) | st.binary(max_size=123),
) | st.just(client_frame(CLOSE))
frames = st.builds(
    lambda groups, close: [*itertools.chain.from_iterable(groups), *close],
    st.lists(messages(), min_size=1, max_size=4),
    st.lists(closes, max_size=1),
)
streams = frames.map(b"".join)
shuffled = frames.flatmap(st.permutations).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A stream with bytes changed, left out or put in, most of them in headers, where they hurt."""
    stream = bytearray(draw(streams))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, min(len(stream), 20)) | st.integers(0, len(stream)))
        match draw(st.sampled_from(["flip", "set", "cut", "put"])):
            case "flip" if position < len(stream):
                stream[position] ^= 1 << draw(st.integers(0, 7))
            case "set" if position < len(stream):
                stream[position] = draw(st.sampled_from([0x00, 0x01, 0x80, 0x81, 0x88, 0xFE, 0xFF]))
            case "cut":
                del stream[position : position + draw(st.integers(1, 5))]
            case "put":
                stream[position:position] = draw(st.binary(min_size=1, max_size=8))
    return bytes(stream)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Split a stream; places beyond its end wrap around."""
    cuts = sorted({place % (len(stream) + 1) for place in places})
    return [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]


places = st.lists(st.integers(0, 5_000), max_size=12)


# The two readers


def ours(pieces: Iterable[bytes]) -> list[Event]:
    reader = FrameReader(max_message=LIMIT, max_fragments=LIMIT)
    return [event for piece in pieces for event in reader.feed(piece)]


def theirs(stream: bytes) -> list[Event]:
    """What websockets makes of it, its frames put together to messages, UTF-8 checked with each frame."""
    server = ServerProtocol(state=State.OPEN, max_size=LIMIT, logger=LOGGER)
    server.receive_data(stream)
    events: list[Event] = []
    text, message = False, b""
    for frame in server.events_received():
        assert isinstance(frame, Frame)
        data = bytes(frame.data)
        match frame.opcode:
            case Opcode.PING:
                events.append(Ping(data))
            case Opcode.PONG:
                events.append(Pong(data))
            case Opcode.CLOSE:
                close = Close.parse(data)
                return [*events, Closed(close.code if data else None, close.reason)]
            case opcode:
                if opcode is not Opcode.CONT:
                    text, message = opcode is Opcode.TEXT, b""
                message += data
                if text and not _is_utf8(message, final=frame.fin):
                    return [*events, Failed(1007, "")]
                if frame.fin:
                    events.append(Text(message.decode()) if text else Binary(message))
    if server.close_sent is not None:
        events.append(Failed(server.close_sent.code, server.close_sent.reason))
    return events


def _is_utf8(data: bytes, *, final: bool) -> bool:
    try:
        codecs.utf_8_decode(data, "strict", final)
    except UnicodeDecodeError:
        return False
    return True


def assert_agreement(mine: Sequence[Event], reference: Sequence[Event]) -> None:
    """Allow what the RFC leaves open, or what it forbids and websockets lets pass; see each case."""
    *before, last = mine
    if isinstance(last, Failed) and last.reason in STRICTER:
        assert before == reference[: len(before)]
        return
    assert before == reference[:-1]
    other = reference[-1]
    if isinstance(other, Closed):
        assert last == other
    elif isinstance(last, Closed):
        # A control frame may stand between fragments (5.4); websockets allows all of them but a close.
        assert other == Failed(1002, "incomplete fragmented message")
    else:
        assert isinstance(last, Failed)
        assert isinstance(other, Failed)
        # Where a frame is wrong and too big, the RFC does not say which of the two to name.
        assert last.code == other.code or (last.code, other.code) == (1002, 1009)


@given(streams, places)
@MANY
def test_whole_streams_read_alike(stream: bytes, places: list[int]) -> None:
    assert_agreement(ours([*cut(stream, places), REST]), theirs(stream + REST))


@given(mutated() | shuffled, places)
@MANY
def test_broken_streams_fail_alike(stream: bytes, places: list[int]) -> None:
    assert_agreement(ours([*cut(stream, places), REST]), theirs(stream + REST))


@given(mutated() | streams, places)
@MANY
def test_cuts_do_not_matter(stream: bytes, places: list[int]) -> None:
    together = ours([stream])
    assert ours(cut(stream, places)) == together
    assert ours(stream[i : i + 1] for i in range(len(stream))) == together


@given(st.binary(max_size=200))
@MANY
def test_whatever_comes_nothing_is_raised(noise: bytes) -> None:
    assert_agreement(ours([noise, REST]), theirs(noise + REST))


# Frames out


@given(st.text(max_size=200), st.sampled_from([1, 200, 40_000]), st.binary(max_size=125))
@MANY
def test_websockets_reads_our_frames(text: str, times: int, payload: bytes) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, logger=LOGGER, max_size=None)
    client.receive_data(text_frame((text[:2] * times).encode()) + ping_frame(payload) + pong_frame(payload))
    assert client.events_received() == [
        Frame(Opcode.TEXT, (text[:2] * times).encode()),
        Frame(Opcode.PING, payload),
        Frame(Opcode.PONG, payload),
    ]
    assert client.state is State.OPEN


@given(codes, st.text(max_size=200))
@MANY
def test_websockets_reads_our_closes(code: int, reason: str) -> None:
    try:
        frame = close_frame(code, reason)
    except ValueError:
        with pytest.raises(ProtocolError):
            Close(code, "").check()
        return
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, logger=LOGGER)
    client.receive_data(frame)
    assert client.close_rcvd is not None
    assert client.close_rcvd.code == code
    assert reason.startswith(client.close_rcvd.reason)
    assert client.close_rcvd.reason == reason or len(client.close_rcvd.reason.encode()) > 123 - 4


# The handshake


def headers_of(request: Request) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.raw_items()]


def test_websockets_shakes_hands_with_us() -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), logger=LOGGER)
    request = client.connect()
    client.send_request(request)
    client.receive_data(response_head(accept(headers_of(request), "GET", "1.1")) + text_frame(b"hello"))
    response, frame = client.events_received()
    assert isinstance(response, Response)
    assert client.handshake_exc is None
    assert client.state is State.OPEN
    assert frame == Frame(Opcode.TEXT, b"hello")


values = {
    "Connection": ["Upgrade", "keep-alive, upgrade", "keep-alive", "close", "upgrade, x, Upgrade"],
    "Upgrade": ["websocket", "WebSocket", "h2c", "websockets"],
    "Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", "AAAA", "", "~" * 24],
    "Sec-WebSocket-Version": ["13", "8", "13, 8", "014"],
}


@st.composite
def handshakes(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Headers right and wrong, each there once as a rule."""
    headers = [("Host", "localhost")]
    for name, choices in values.items():
        count = draw(st.sampled_from([1, 1, 1, 1, 1, 0, 2]))
        value = st.just(choices[0]) | st.sampled_from(choices)
        headers.extend((name, draw(value)) for _ in range(count))
    return draw(st.permutations(headers))


@given(handshakes())
@MANY
def test_handshakes_are_refused_alike(headers: list[tuple[str, str]]) -> None:
    response = ServerProtocol(logger=LOGGER).accept(Request("/", Headers(headers)))
    try:
        value = accept([(name.encode(), value.encode()) for name, value in headers], "GET", "1.1").decode()
    except HandshakeRefused:
        value = None
    if value is None:
        assert response.status_code >= 400
    elif response.status_code == 101:
        assert response.headers["Sec-WebSocket-Accept"] == value
    else:
        # websockets wants one protocol in Upgrade; the RFC, that websocket is among them.
        assert [name for name, _ in headers].count("Upgrade") == 2
