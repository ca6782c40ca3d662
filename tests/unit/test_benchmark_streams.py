"""The benchmark's clients: what they accept as delivered, and what fails a run."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tests.benchmarks.gateway.streams import (
    EventStream,
    NchanSocket,
    Refused,
    SocketIoStream,
    Stream,
    WebSocketStream,
    mark,
)
from tests.benchmarks.gateway.swarm import LoadFailed, Swarm

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
STREAMING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


def opened(kind: type[Stream], name: int = 0) -> tuple[Swarm, Stream, Transport]:
    swarm = Swarm(kind, 0, lambda number: b"request %d" % number)
    stream, transport = kind(swarm, name), Transport()
    stream.connection_made(cast(asyncio.Transport, transport))
    swarm.streams.append(stream)
    return swarm, stream, transport


def frame(text: str, opcode: int = 0x81) -> bytes:
    payload = text.encode()
    if len(payload) < 126:
        return bytes((opcode, len(payload))) + payload
    return bytes((opcode, 126)) + len(payload).to_bytes(2) + payload


def event(text: str, *, identified: bool = True) -> bytes:
    return (f"event: item\ndata: {text}\n" + ("id: e.1.0\n" if identified else "") + "\n").encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def is_up(stream: Stream) -> bool:
    return stream.up is not None and stream.up.done() and stream.up.exception() is None


async def test_messages_are_counted_however_the_bytes_are_cut() -> None:
    swarm, stream, _ = opened(WebSocketStream)
    swarm.expect(3)
    texts = (mark(0), mark(1).ljust(300, "x"), f"{mark(2)}")
    sent = UPGRADED + frame('{"type":"ready"}') + b"".join(frame(text) for text in texts)
    for byte in sent:
        stream.data_received(bytes((byte,)))
    assert is_up(stream)
    await swarm.arrive()


async def test_messages_joined_in_one_frame_are_each_counted() -> None:
    swarm, stream, _ = opened(WebSocketStream)
    swarm.expect(2)
    stream.data_received(UPGRADED + frame(f"{mark(0)}\n{mark(1)}"))
    await swarm.arrive()


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([mark(0), mark(0)], id="twice"),
        pytest.param([mark(1), mark(0)], id="out of order"),
        pytest.param([mark(0, 7)], id="somebody else's"),
        pytest.param([mark(0), mark(1), mark(2)], id="never announced, as the third of two"),
        pytest.param(['{"type":"error","code":"x"}'], id="an error"),
    ],
)
async def test_what_should_not_have_come_fails_the_run(texts: list[str]) -> None:
    swarm, stream, _ = opened(WebSocketStream)
    swarm.expect(2)
    stream.data_received(UPGRADED + b"".join(map(frame, texts)))
    with pytest.raises(LoadFailed):
        swarm.check()


async def test_messages_published_side_by_side_may_come_in_any_order_but_once() -> None:
    swarm, stream, _ = opened(WebSocketStream)
    swarm.ordered = False
    swarm.expect(3)
    stream.data_received(UPGRADED + frame(mark(2)) + frame(mark(1)) + frame(mark(0)))
    await swarm.arrive()
    swarm.expect(3)
    stream.data_received(frame(mark(4)) + frame(mark(4)))
    with pytest.raises(LoadFailed):
        swarm.check()


async def test_a_lost_connection_fails_the_run() -> None:
    swarm, stream, _ = opened(WebSocketStream)
    swarm.expect()
    stream.up = None
    stream.connection_lost(None)
    with pytest.raises(LoadFailed):
        swarm.check()


async def test_pings_are_answered() -> None:
    _, stream, transport = opened(WebSocketStream)
    stream.data_received(UPGRADED + frame("hello", 0x89))
    assert transport.written == [b"request 0", b"\x8a\x85\0\0\0\0hello"]


async def test_socket_io_is_up_once_it_is_connected_to_its_namespace() -> None:
    _, stream, transport = opened(SocketIoStream)
    stream.data_received(UPGRADED + frame('0{"sid":"a"}') + frame("2"))
    assert not is_up(stream)
    assert transport.written[1:] == [b"\x81\x82\0\0\0\x0040", b"\x81\x81\0\0\0\x003"]
    stream.data_received(frame('40{"sid":"b"}'))
    assert is_up(stream)


async def test_nchan_is_up_with_the_handshake() -> None:
    _, stream, _ = opened(NchanSocket)
    stream.data_received(UPGRADED)
    assert is_up(stream)


async def test_events_are_counted_however_they_are_cut_and_chunked() -> None:
    swarm, stream, _ = opened(EventStream, name=3)
    swarm.expect(2)
    events = event('{"type":"ready"}') + event(mark(0, 3)) + event(mark(1))
    chunks = b"".join(chunk(events[at : at + 7]) for at in range(0, len(events), 7))
    for byte in STREAMING + chunks:
        stream.data_received(bytes((byte,)))
    assert is_up(stream)
    await swarm.arrive()


async def test_an_event_without_an_id_fails_the_run() -> None:
    swarm, stream, _ = opened(EventStream)
    swarm.expect(2)
    stream.data_received(STREAMING + chunk(event(mark(0)) + event(mark(1), identified=False)))
    with pytest.raises(LoadFailed, match="without an id"):
        swarm.check()


async def test_an_item_of_a_catch_up_has_no_id_of_its_own() -> None:
    swarm, stream, _ = opened(EventStream)
    swarm.expect(2)
    for cursor in ("", ',"cursor":"e.1.0"'):
        text = f'{{"type":"item","item":{{"title":"{mark(stream._next)}"}}{cursor}}}'
        stream.data_received((STREAMING if not cursor else b"") + chunk(event(text, identified=False)))
    with pytest.raises(LoadFailed, match="cursor"):
        swarm.check()


async def test_who_is_turned_away_learns_when_to_come_back() -> None:
    _, stream, transport = opened(WebSocketStream)
    stream.data_received(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n")
    assert stream.up is not None
    with pytest.raises(Refused) as refused:
        await stream.up
    assert refused.value.retry_after == 3
    assert transport.aborted


async def test_who_is_sent_elsewhere_after_the_handshake_comes_back_too() -> None:
    _, stream, _ = opened(WebSocketStream)
    stream.data_received(UPGRADED + frame('{"type":"reconnect","after_ms":1500}'))
    stream.connection_lost(None)
    assert stream.up is not None
    with pytest.raises(Refused) as refused:
        await stream.up
    assert refused.value.retry_after == 1.5
