"""The fast lane: what is its own. What it has in common with the portable path is tested on both."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from hub.gateway import lane as lane_module
from hub.gateway.lane import MARKS_WAITING, LaneConnection
from hub.gateway.lane_websocket import LaneWebSocket
from hub.gateway.limits import Limits
from hub.gateway.news import News
from tests.support.listener import PATIENCE
from tests.support.live import ADA, GRACE, Node, Socket, open_node
from tests.support.serving import settled


@pytest.fixture
async def node(sqlite_url: str) -> AsyncIterator[Node]:
    async with open_node(sqlite_url) as node:
        yield node


async def reader_of_nothing(node: Node) -> Socket:
    """Connect with the smallest buffers, so that whoever does not read is soon noticed."""
    pipe = socket.socket()
    pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    pipe.connect(("127.0.0.1", node.port))
    pipe.setblocking(False)
    client = Socket(await connect("ws://127.0.0.1/v1/ws", sock=pipe, max_queue=1))
    await client.send({"type": "connect", "token": node.token()})
    await client.expect("ready")
    return client


async def hang_up(client: Socket) -> None:
    client.connection.transport.abort()
    await client.connection.wait_closed()


async def raw(node: Node, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Shake hands as a WebSocket and go on with whatever bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(
        b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(data)
    return reader, writer


def masked(first: int, payload: bytes) -> bytes:
    """Make a short frame of a client, masked with zeros."""
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload


async def test_a_connection_costs_no_task(node: Node) -> None:
    async with await node.ready():
        await node.publish("ada")
        before = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in before if "websocket" in name or "RequestResponseCycle" in name}
        server_side = len(asyncio.all_tasks())
        extra = [await node.ready() for _ in range(5)]
        await settled(lambda: len([t for t in asyncio.all_tasks() if "keepalive" not in repr(t)]) <= server_side + 5)
        for client in extra:
            await client.connection.close()
    await node.empty()


async def test_what_comes_together_is_written_together(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    hear = LaneWebSocket.hear

    def seen(connection: LaneWebSocket, news: News) -> bool:
        writes.append(len(news.outs(0)))
        return hear(connection, news)

    async with await node.ready() as client:
        version = int(client.ready["cursor"].split(".")[1])
        epoch = client.ready["cursor"].split(".")[0]
        monkeypatch.setattr(LaneWebSocket, "hear", seen)
        for number in range(1, 11):
            frame = json.dumps({"type": "item", "number": number}).encode()
            node.gateway.on_change(ADA, LiveChange(epoch, version + number, "item", frame))
        assert [(await client.expect("item"))["number"] for _ in range(10)] == list(range(1, 11))
    assert writes == [10], "one write"


async def test_a_client_that_does_not_read_is_cut_past_its_budget(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(outbox_bytes=8_000)) as node, await node.ready(GRACE) as grace:
        slow = await reader_of_nothing(node)
        published = 0
        while node.gateway.connections > 1:
            await node.publish("ada", body="x" * 3_000)
            published += 1
            assert published < 2_000, "nobody noticed"
        assert node.gateway.metrics._closed["websocket", "too_slow"] == 1
        await node.presence.until(lambda: node.presence.here(ADA) == {})
        await node.publish("grace")
        await grace.expect("item")
        await hang_up(slow)


async def test_a_client_that_does_not_read_for_long_is_cut_within_its_budget(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "STALL_LOOK", 0.01)
    async with open_node(sqlite_url, limits=Limits(outbox_bytes=10**9, write_deadline=0.05)) as node:
        slow = await reader_of_nothing(node)
        async with asyncio.timeout(PATIENCE):
            while node.gateway.connections:
                await node.publish("ada", body="x" * 3_000)
        assert node.gateway.metrics._closed["websocket", "stalled"] == 1
        await hang_up(slow)


async def test_a_client_that_reads_slowly_stays(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "STALL_LOOK", 0.001)
    async with open_node(sqlite_url, limits=Limits(write_deadline=30.0)) as node:
        slow = await reader_of_nothing(node)
        published = 0
        while not node.gateway.lane._stalled:
            await node.publish("ada", body="x" * 3_000)
            published += 1
        for _ in range(3):
            await node.publish("ada", body="later")
        titles = [(await slow.expect("item"))["item"]["body"][:5] for _ in range(published + 3)]
        assert titles == ["xxxxx"] * published + ["later"] * 3, "nothing lost, in order"
        await settled(lambda: not node.gateway.lane._stalled)
        await slow.connection.close()


async def test_a_flood_is_ended_and_the_client_may_come_back(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(message_rate=10, message_burst=20)) as node:
        async with await node.ready() as client:
            for _ in range(19):
                await client.send({"type": "ping"})
            for _ in range(19):
                await client.expect("ping")
            for _ in range(10):
                await client.send({"type": "presence", "state": "active"})
            frame = await client.next()
            assert (frame["type"], frame["code"]) == ("error", "rate_limited")
            assert await client.closed() == 4006
        await node.empty()


async def test_frames_of_one_message_count_each(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(message_rate=10, message_burst=20)) as node:
        async with await node.ready() as client:
            await client.send(*[{"type": "ping"}] * 40)
            assert (await client.next())["code"] == "rate_limited"
        await node.empty()


async def test_pings_of_the_websocket_are_answered_and_counted(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(message_rate=10, message_burst=20)) as node:
        async with await node.ready() as client:
            await (await client.connection.ping(b"are you there"))
            for _ in range(40):
                await client.connection.ping()
            assert (await client.next())["code"] == "rate_limited"
            assert await client.closed() == 4006
        await node.empty()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (masked(0xF1, b"hello"), 1002),  # reserved bits
        (masked(0x81, b"\xff\xfe"), 1007),
        (b"\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff", 1009),
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
async def test_bytes_that_are_no_websocket_end_it(node: Node, data: bytes, code: int) -> None:
    reader, writer = await raw(node, data)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readexactly(2)
        payload = await reader.readexactly(head[1])
    assert head[0] == 0x88
    assert int.from_bytes(payload[:2]) == code
    writer.write(masked(0x88, payload[:2]))
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()
    await node.empty()
    assert node.gateway.metrics._closed == {("websocket", "protocol_error"): 1}


async def test_who_does_not_answer_a_close_is_cut(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(close_timeout=0.05)) as node:
        reader, writer = await raw(node, masked(0x82, b"binary"))
        async with asyncio.timeout(PATIENCE):
            await node.empty()
            seen = await reader.read(1_000)
        assert b"\x10\x04binary_frame" in seen or b"binary_frame" in seen
        assert node.gateway.metrics._closed == {("websocket", "bad_frame"): 1}
        writer.close()


async def test_a_client_that_hangs_up_without_a_word_is_gone(node: Node) -> None:
    client = await node.ready()
    await hang_up(client)
    await node.empty()
    assert node.gateway.metrics._closed["websocket", "client"] == 1


async def test_many_marks_are_applied_in_order_while_reading_rests(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    identifier = await node.publish("ada")
    rested: list[bool] = []
    async with await node.ready() as client:
        connection = next(iter(node.gateway._registry.connections(ADA)))
        assert isinstance(connection, LaneConnection)
        mark = connection.mark

        def seen(what: object) -> None:
            mark(what)  # type: ignore[arg-type]  # passed through
            rested.append(connection.transport is not None and not connection.transport.is_reading())

        monkeypatch.setattr(LaneConnection, "mark", lambda _, what: seen(what))
        number = 3 * MARKS_WAITING
        for kind in ["read", "unread"] * (number // 2):
            await client.send({"type": kind, "ids": [identifier]})
        fields = [(await client.expect("change"))["fields"]["read_at"] is not None for _ in range(number)]
        assert fields == [True, False] * (number // 2)
        assert any(rested), "reading rests while many wait"
        await settled(lambda: connection._marks is None)


async def test_a_client_that_talks_on_a_stream_is_cut(node: Node) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    request = f"GET /v1/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.token()}\r\n\r\n".encode()
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"event: ready")
        writer.write(request)
        with suppress(ConnectionError):
            while await reader.read(1_000):
                pass
    await node.empty()
    writer.close()


async def test_two_requests_at_once_do_not_leave_a_task_behind(node: Node) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    request = f"GET /v1/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.token()}\r\n\r\n".encode()
    writer.write(request + request)
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    await node.empty()


async def test_every_event_of_a_stream_has_its_own_id(node: Node) -> None:
    async with node.http() as http, http.stream("GET", "/v1/sse", headers=node.bearer()) as response:
        lines = response.aiter_lines()
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.headers["cache-control"] == "no-store"
        ids: list[str] = []
        for _ in range(3):
            await node.publish("ada")
        async with asyncio.timeout(PATIENCE):
            while len(ids) < 3 or ids[-1].split(".")[1] != "3":
                line = await anext(lines)
                if line.startswith("id: "):
                    ids.append(line.removeprefix("id: "))
    assert len(set(ids)) == len(ids)


async def test_nobody_gets_in_beyond_the_rate(sqlite_url: str) -> None:
    limits = Limits(admission_rate=0.001, admission_burst=2)
    async with open_node(sqlite_url, limits=limits) as node, await node.ready(), await node.ready(GRACE):
        with pytest.raises(InvalidStatus) as refused:
            await node.open_socket()
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert json.loads(response.body or b"")["status"] == 503
        async with node.http() as http:
            for path in ("/v1/sse", "/v1/poll"):
                answer = await http.get(path, headers={"Authorization": "Bearer not even a token"})
                assert answer.status_code == 503, "before anybody looks at the token"
                assert int(answer.headers["retry-after"]) > 0
        assert node.gateway.connections == 2


async def test_leaving_and_coming_back_keeps_the_subscription(node: Node) -> None:
    for _ in range(3):
        async with await node.ready() as client:
            await node.publish("ada")
            await client.expect("item")
    await node.empty()
    await settled(lambda: InboxKey("default", "ada") not in node.bus.subscribed)
