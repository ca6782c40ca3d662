"""The fast lane when a client, a peer's timing or our own code is at fault: nobody else may notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from hub.core.model import Changes
from hub.gateway.connection import Connection
from hub.gateway.lane_websocket import LaneWebSocket
from hub.gateway.limits import Limits
from hub.gateway.reads import AT_ONCE
from hub.gateway.upgrade import Upgrade
from tests.support.listener import PATIENCE
from tests.support.live import GRACE, Node, open_node
from tests.support.serving import settled

HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
async def node(sqlite_url: str) -> AsyncIterator[Node]:
    async with open_node(sqlite_url) as node:
        yield node


def masked(first: int, payload: bytes) -> bytes:
    """Make a frame of a client, masked with zeros."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return bytes([first]) + size + bytes(4) + payload


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await reader.read(-1)


@pytest.mark.parametrize("cut_at", [0, 1, 20, 9_999])
async def test_frames_right_behind_the_handshake_are_heard(node: Node, cut_at: int) -> None:
    """`cut_at`: how many bytes of the frame come with the request."""
    frame = masked(0x81, json.dumps({"type": "connect", "token": node.token()}).encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(HANDSHAKE + b"\r\n" + frame[:cut_at])
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame[cut_at:])
        await reader.readuntil(b'"type":"ready"')
    writer.transport.abort()
    await node.empty()


async def test_a_handshake_behind_a_request_under_way_ends_the_connection(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    poll = f"GET /v1/poll?timeout=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.token()}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(poll + HANDSHAKE + b"\r\n")
    seen = await read_all(reader)
    assert seen.startswith(b"HTTP/1.1 200 ")
    assert seen.count(b"HTTP/1.1") == 1, "answers come in order, or not at all"
    writer.close()
    await node.empty()
    assert not caplog.records


async def test_a_connection_that_cannot_be_detached_is_forgotten(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Upgrade, "detach", lambda *_: False)
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(HANDSHAKE + b"\r\n")
    assert (await read_all(reader)).endswith(b"\r\n\r\n"), "nothing behind the head"
    writer.close()
    await node.empty()


async def test_a_bad_token_in_the_handshake_locks_nobody_out(sqlite_url: str) -> None:
    limits = Limits(strangers=2, strangers_per_address=1, close_timeout=3_600)
    async with open_node(sqlite_url, limits=limits) as node:
        lingering = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port, local_addr=("127.0.0.2", 0))
            writer.write(HANDSHAKE + b"Authorization: Bearer a.b.c\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b"\r\n\r\n")
            lingering.append(writer)
        async with await node.ready():
            pass
        for writer in lingering:
            writer.transport.abort()
        await node.empty()


async def test_pongs_that_nobody_asked_for_count(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(message_rate=10, message_burst=20)) as node:
        async with await node.ready() as client:
            for _ in range(40):
                await client.connection.pong()
            assert (await client.next())["code"] == "rate_limited"
            assert await client.closed() == 4006
        await node.empty()


async def test_a_mark_that_fails_ends_the_connection(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_node(sqlite_url) as node:
        identifier = await node.publish("ada")

        async def broken(*_: object) -> None:
            raise RuntimeError("a bug")

        async with await node.ready() as client:
            monkeypatch.setattr(node.hub.inbox, "mark", broken)
            with capture_logs() as logs:
                await client.send({"type": "read", "ids": [identifier]})
                frame = await client.next()
                assert (frame["type"], frame["code"]) == ("error", "internal")
                assert await client.closed() == 4002
        await node.empty()
        assert [entry["event"] for entry in logs] == ["mark_failed"]


async def test_one_catch_up_that_fails_does_not_hold_up_the_others(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed = Connection.resumed

    def broken(connection: Connection, changes: Changes) -> None:
        if connection.session.key != GRACE:
            raise RuntimeError("a bug")
        resumed(connection, changes)

    monkeypatch.setattr(LaneWebSocket, "resumed", broken)
    with capture_logs() as logs:
        reads = node.gateway._reads
        reads._running = AT_ONCE  # so that both share the next batch
        async with await node.socket() as first, await node.socket(GRACE) as second:
            await settled(lambda: len(reads._waiting) == 2)
            reads._running = 0
            reads._start()
            await second.expect("ready")
            with pytest.raises(ConnectionClosed):
                await first.next()
    await node.empty()
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["resume_failed"]


async def test_who_floods_on_instead_of_answering_a_close_is_cut(sqlite_url: str) -> None:
    limits = Limits(message_rate=10, message_burst=20, close_timeout=3_600)
    async with open_node(sqlite_url, limits=limits) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(HANDSHAKE + b"\r\n" + masked(0x82, b"binary") + masked(0x89, b"") * 15)
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"binary_frame")
        assert node.gateway.connections == 1, "what was under way when it was told is forgiven"
        writer.write(masked(0x89, b"") * 40)
        await node.empty()
        writer.transport.abort()
