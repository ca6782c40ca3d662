"""The hub behaves the same on every ASGI server, and inside somebody else's app."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
import websockets

from hub.core.frames import CloseCode
from hub.gateway.limits import Limits
from tests.support.asgi_servers import SERVERS, AsgiServer, ServedHub, events
from tests.support.listener import PATIENCE
from tests.support.live import Socket

SLOW = 160
"""Items of 3.5 kB for somebody who does not read: more than may wait for them anywhere."""

by_server = pytest.mark.parametrize("server", SERVERS, ids=[server.name for server in SERVERS], scope="module")


@pytest.fixture(scope="module")
def hub(server: AsgiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with ServedHub(server, tmp_path_factory.mktemp(server.name)) as hub:
        yield hub
    assert "Traceback" not in hub.output


@pytest.fixture
async def http(hub: ServedHub) -> AsyncIterator[httpx2.AsyncClient]:
    async with hub.http() as client:
        yield client


@by_server
class TestWebSocket:
    async def test_ready_live_and_a_mark_on_another_connection(self, hub: ServedHub) -> None:
        user = hub.user()
        async with await hub.ready(user) as one, await hub.ready(user) as two:
            assert one.ready["user"] == user
            (identifier,) = await hub.publish(user, "live")
            for client in (one, two):
                frame = await client.expect("item")
                assert (frame["item"]["id"], frame["item"]["title"]) == (identifier, "live")
            await one.send({"type": "seen", "ids": [identifier]})
            for client in (one, two):
                frame = await client.expect("change")
                assert frame["ids"] == [identifier]
                assert frame["fields"]["seen_at"]
                assert frame["counts"] == {"unread": 1, "unseen": 0}

    async def test_resuming_tells_exactly_what_was_missed(self, hub: ServedHub) -> None:
        user = hub.user()
        async with await hub.ready(user) as client:
            await hub.publish(user, "before")
            cursor = (await client.expect("item"))["cursor"]
        await hub.publish(user, "missed", "missed too")
        async with await hub.socket(user, cursor) as client:
            assert [(await client.expect("item"))["item"]["title"] for _ in range(2)] == ["missed", "missed too"]
            assert (await client.expect("ready"))["counts"]["unread"] == 3

    async def test_a_token_in_the_handshake_connects_at_once(self, hub: ServedHub) -> None:
        user = hub.user()
        async with Socket(await hub.open_socket("?state=away", hub.bearer(user))) as client:
            assert (await client.expect("ready"))["user"] == user

    @pytest.mark.parametrize("place", ["handshake", "frame"])
    async def test_a_bad_token_is_told_in_a_frame(self, hub: ServedHub, place: str) -> None:
        headers = {"Authorization": "Bearer a.b.c"} if place == "handshake" else {}
        async with Socket(await hub.open_socket(headers=headers)) as client:
            if place == "frame":
                await client.send({"type": "connect", "token": "a.b.c"})
            assert (await client.expect("error"))["code"] == "unauthenticated"
            assert await client.closed() == 4102

    @pytest.mark.parametrize(
        ("message", "code", "close"),
        [
            ('{"type":"ping","x":"' + "x" * 33_000 + '"}', "frame_too_large", 4103),
            (b"\x00\x01", "binary_frame", 4100),
            ("rubbish", "bad_frame", 4100),
        ],
        ids=["too large", "binary", "rubbish"],
    )
    async def test_a_broken_message_is_told_and_ends_it(
        self, hub: ServedHub, message: str | bytes, code: str, close: int
    ) -> None:
        async with await hub.ready(hub.user()) as client:
            await client.connection.send(message)
            assert (await client.expect("error"))["code"] == code
            assert await client.closed() == close

    async def test_whoever_hangs_up_makes_room(self, hub: ServedHub) -> None:
        user = hub.user()
        for _ in range(Limits().per_user):
            client = await hub.ready(user)
            client.connection.transport.abort()
        async with asyncio.timeout(PATIENCE):
            while (frame := await self._first_frame(hub, user))["type"] == "error":
                assert frame["code"] == "too_many"

    async def _first_frame(self, hub: ServedHub, user: str) -> dict[str, object]:
        async with await hub.socket(user) as client:
            return await client.next()

    async def test_a_slow_reader_is_cut_and_resumes(self, hub: ServedHub) -> None:
        user = hub.user()
        with hub.narrow_pipe() as pipe:
            slow = await hub.socket(user, sock=pipe, max_queue=1, compression=None)
            cursor = (await slow.expect("ready"))["cursor"]
            await hub.flood(user, SLOW)
            async with asyncio.timeout(PATIENCE):
                received = [message async for message in _until_the_end(slow.connection)]
            assert len(received) < SLOW
            assert slow.connection.close_code in {CloseCode.TOO_SLOW, 1006}
        async with await hub.socket(user, cursor) as client:
            assert (await client.expect("resync"))["reason"] == "too_large"
            assert (await client.expect("ready"))["counts"]["unread"] == SLOW


@by_server
class TestStream:
    async def test_ready_live_and_a_mark_by_rest(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        user = hub.user()
        headers = hub.bearer(user)
        async with events(http, headers) as stream:
            assert (await stream.expect("ready"))["cursor"] == stream.last_id
            (identifier,) = await hub.publish(user, "live")
            assert (await stream.expect("item"))["item"]["id"] == identifier
            answer = await http.post("/v1/inbox/read", json={"ids": [identifier]}, headers=headers)
            assert answer.status_code == 200, answer.text
            frame = await stream.expect("change")
            assert frame["fields"]["read_at"]
            assert frame["cursor"] == stream.last_id

    async def test_resuming_by_the_last_event_id(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        user = hub.user()
        async with events(http, hub.bearer(user)) as stream:
            await stream.expect("ready")
            last_id = stream.last_id
        await hub.publish(user, "missed")
        async with events(http, {**hub.bearer(user), "Last-Event-ID": last_id}) as stream:
            assert (await stream.expect("item"))["item"]["title"] == "missed"
            assert stream.last_id == "", "a catch-up moves no cursor"
            await stream.expect("ready")

    async def test_it_is_neither_cached_nor_compressed(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        headers = {**hub.bearer(hub.user()), "Accept-Encoding": "gzip, br"}
        async with http.stream("GET", "/v1/sse", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-accel-buffering"] == "no"
            assert "content-encoding" not in answer.headers

    async def test_a_bad_token_is_a_status(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        for path in ("/v1/sse", "/v1/poll"):
            answer = await http.get(path, headers={"Authorization": "Bearer a.b.c"})
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"

    async def test_whoever_hangs_up_makes_room(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        headers = hub.bearer(hub.user())
        for _ in range(Limits().per_user):
            async with events(http, headers) as stream:
                await stream.expect("ready")
        async with asyncio.timeout(PATIENCE):
            while "too_many" in await self._first_event(http, headers):
                pass

    async def _first_event(self, http: httpx2.AsyncClient, headers: dict[str, str]) -> str:
        async with http.stream("GET", "/v1/sse", headers=headers) as answer:
            return await anext(answer.aiter_text())

    async def test_a_slow_reader_is_cut(self, hub: ServedHub) -> None:
        user = hub.user()
        with hub.narrow_pipe() as pipe:
            reader, writer = await asyncio.open_connection(sock=pipe, limit=1_024)
            head = (
                f"GET {hub.server.prefix}/v1/sse HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {hub.token(user)}\r\n"
            )
            writer.write(f"{head}\r\n".encode())
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b"event: ready")
                await hub.flood(user, SLOW)
                received = b""
                with contextlib.suppress(ConnectionError):
                    while part := await reader.read(65_536):
                        received += part
                        assert received.count(b"event: item") < SLOW, "it was never cut"
            writer.transport.abort()


@by_server
class TestPoll:
    async def test_at_once_then_the_first_change(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        user = hub.user()
        headers = hub.bearer(user)
        first = (await http.get("/v1/poll?connection=me", headers=headers)).json()
        assert [frame["type"] for frame in first["frames"]] == ["ready"]
        path = f"/v1/poll?connection=me&cursor={first['cursor']}"
        waiting = asyncio.create_task(http.get(path, headers=headers))
        await hub.publish(user, "news")
        frames = (await waiting).json()["frames"]
        assert [frame["item"]["title"] for frame in frames if frame["type"] == "item"] == ["news"]


@by_server
class TestHttp:
    async def test_publish_read_and_problems(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        user = hub.user()
        (identifier,) = await hub.publish(user, "kept")
        answer = await http.get("/v1/inbox", headers=hub.bearer(user))
        assert [item["id"] for item in answer.json()["data"]] == [identifier]
        assert answer.json()["unread_count"] == 1
        missing = await http.get("/v1/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")

    @pytest.mark.parametrize("path", ["/", "/docs"])
    async def test_everything_that_a_page_names_is_there(self, http: httpx2.AsyncClient, path: str) -> None:
        page = await http.get(path)
        assert page.status_code == 200, page.text
        named = re.findall(r"""(?:src|href)="([^"#]+)""", page.text)
        assert len(named) >= 3
        for reference in named:
            answer = await http.get(page.url.join(reference))
            assert answer.status_code == 200, f"{page.url} names {reference}"

    async def test_where_it_is_mounted_is_known(self, hub: ServedHub, http: httpx2.AsyncClient) -> None:
        document = (await http.get("/openapi.json")).json()
        assert document["servers"] == [{"url": hub.server.prefix or "/"}]


@by_server
async def test_a_server_that_stops_lets_clients_resume(server: AsgiServer, tmp_path: Path) -> None:
    hub = ServedHub(server, tmp_path)
    await asyncio.to_thread(hub.start)
    try:
        user = hub.user()
        async with hub.http() as http, await hub.ready(user) as client:
            async with events(http, hub.bearer(user)) as stream:
                await stream.expect("ready")
                await hub.publish(user, "before")
                cursor = (await client.expect("item"))["cursor"]
                await stream.expect("item")
                stopping = asyncio.create_task(asyncio.to_thread(hub.stop))
                if server.farewell == CloseCode.GOING_AWAY:
                    assert (await client.expect("reconnect"))["after_ms"] >= 0
                assert await _end(client) == server.farewell
                if server.streams_too:
                    assert (await stream.expect("reconnect"))["after_ms"] >= 0
                    await stream.ended()
                else:
                    with pytest.raises(httpx2.RemoteProtocolError):
                        await stream.ended()
            assert await stopping in {0, -15}
        await asyncio.to_thread(hub.start)
        await hub.publish(user, "after")
        async with await hub.socket(user, cursor) as client:
            assert (await client.expect("item"))["item"]["title"] == "after"
            await client.expect("ready")
    finally:
        await asyncio.to_thread(hub.stop)


async def _until_the_end(connection: websockets.ClientConnection) -> AsyncIterator[str | bytes]:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            yield await connection.recv()


async def _end(client: Socket) -> int | None:
    """Wait for the end, and return its code; None if the connection broke."""
    with pytest.raises(websockets.ConnectionClosed) as end:
        raise AssertionError(await client.next())
    return end.value.rcvd.code if end.value.rcvd else None
