"""Server-sent events, long polling and their presence call, served by a real uvicorn."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest

from hub.bus.memory import Switchboard
from hub.core.errors import StoreUnavailable
from hub.core.model import MarkAction, Selection
from hub.core.wire import LiveChange, PresenceIn
from hub.gateway.gateway import Gateway
from hub.gateway.limits import Limits
from hub.keyring import LEEWAY_MS
from tests.support.listener import PATIENCE
from tests.support.live import ADA, GRACE, HOUR, Bus, Node, open_node
from tests.support.serving import settled


@pytest.fixture(params=[True, False], ids=["lane", "portable"])
async def node(sqlite_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    async with open_node(sqlite_url, lane=request.param) as node:
        yield node


class Stream:
    """An open event stream."""

    def __init__(self, events: AsyncIterator[httpx2.ServerSentEvent]) -> None:
        self._events = events

    async def next(self, *, pings: bool = False) -> httpx2.ServerSentEvent:
        """Return the next event; pings count only if asked for, since the first comes at random."""
        async with asyncio.timeout(PATIENCE):
            while (event := await anext(self._events)).event == "ping" and not pings:
                pass
        return event

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next event's object; the event has to have its name."""
        event = await self.next(pings=kind == "ping")
        data: dict[str, Any] = json.loads(event.data)
        assert event.event == data["type"] == kind
        return data


@asynccontextmanager
async def stream(node: Node, query: str = "", headers: Mapping[str, str] | None = None) -> AsyncIterator[Stream]:
    given = node.bearer() if headers is None else headers
    async with node.http() as client, client.sse(f"/v1/sse{query}", headers=given) as source:
        yield Stream(source.__aiter__())


async def problem(node: Node, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """GET what is refused; returns status and the problem's slug."""
    async with node.http() as client:
        response = await client.get(path, headers=node.bearer() if headers is None else headers)
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["type"].rpartition("/")[2]


# Server-sent events


async def test_events_carry_the_frames_and_the_cursor_as_id(node: Node) -> None:
    async with stream(node) as events:
        ready = await events.next()
        assert ready.id == json.loads(ready.data)["cursor"]
        identifier = await node.publish("ada", title="two\r\nlines")
        event = await events.next()
        frame = json.loads(event.data)
        assert (event.event, event.id) == ("item", frame["cursor"])
        assert (frame["item"]["id"], frame["item"]["title"]) == (identifier, "two\r\nlines")
        await node.hub.inbox.mark(ADA, MarkAction.READ, Selection(ids=(UUID(identifier),)))
        assert (await events.expect("change"))["ids"] == [identifier]


async def test_the_answer_is_an_unbuffered_event_stream(node: Node) -> None:
    async with node.http() as client, client.stream("GET", "/v1/sse", headers=node.bearer()) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("by", ["header", "query", "header before query"])
async def test_a_stream_resumes(node: Node, by: str) -> None:
    async with stream(node) as events:
        first = (await events.next()).id
        await node.publish("ada", title="seen")
        cursor = (await events.next()).id
    await node.publish("ada", title="missed")
    query = {"query": f"?cursor={cursor}", "header before query": f"?cursor={first}"}.get(by, "")
    headers = node.bearer() | ({} if by == "query" else {"Last-Event-ID": cursor})
    async with stream(node, query, headers) as events:
        event = await events.next()
        assert json.loads(event.data)["item"]["title"] == "missed"
        assert event.id == ""
        ready = await events.next()
        assert (ready.event, ready.id) == ("ready", json.loads(ready.data)["cursor"])


async def test_a_garbage_cursor_is_a_resync(node: Node) -> None:
    async with stream(node, "?cursor=garbage") as events:
        assert (await events.expect("resync"))["reason"] == "bad_cursor"
        await events.expect("ready")


async def buy_ticket(node: Node, ttl: int = HOUR) -> str:
    now = node.clock.now()
    return (await node.hub.access.issue_ticket(node.keyring.user(node.token(GRACE, ttl), now))).ticket


async def test_what_a_ticket_opens_ends_with_the_token_that_bought_it(node: Node) -> None:
    async with stream(node, f"?ticket={await buy_ticket(node, 90_000)}", {}) as events:
        await events.expect("ready")
        [connection] = node.gateway._connections
        deadline = connection.session._expires_at
        assert deadline is not None
        assert deadline - node.gateway.monotonic() <= 90_000 + LEEWAY_MS
        connection.session.tick(deadline)
        connection.tick()
        assert (await events.expect("error"))["code"] == "token_expired"


@pytest.mark.parametrize("tampered", ["{}0", "{}", "{}.9999999999999"])
async def test_a_ticket_cannot_be_made_to_last(node: Node, tampered: str) -> None:
    ticket = tampered.format((await buy_ticket(node)).rpartition(".")[0])
    assert await problem(node, f"/v1/sse?ticket={ticket}", {}) == (401, "unauthenticated")


async def test_a_ticket_opens_one_stream_only(node: Node) -> None:
    ticket = await buy_ticket(node)
    async with stream(node, f"?ticket={ticket}", {}) as events:
        assert (await events.expect("ready"))["user"] == "grace"
    assert await problem(node, f"/v1/sse?ticket={ticket}", {}) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", {}, (401, "unauthenticated")),
        ("", {"Authorization": "Bearer nonsense"}, (401, "unauthenticated")),
        ("", {"Authorization": "Basic YWRhOmFkYQ=="}, (401, "unauthenticated")),
        ("?ticket=unknown", {}, (401, "unauthenticated")),
        ("?ticket=%00", {}, (401, "unauthenticated")),
        ("?state=asleep", None, (422, "invalid-request")),
        ("?curser=1", None, (422, "invalid-request")),
        ("?cursor=1&cursor=2", None, (422, "invalid-request")),
    ],
)
async def test_bad_stream_requests(
    node: Node, query: str, headers: Mapping[str, str] | None, expected: tuple[int, str]
) -> None:
    assert await problem(node, f"/v1/sse{query}", headers) == expected
    await node.empty()


async def test_head_opens_no_stream(node: Node) -> None:
    async with node.http() as client:
        response = await client.head("/v1/sse", headers=node.bearer())
    assert (response.status_code, response.content) == (200, b"")
    await node.empty()


async def test_a_full_node_refuses_streams_and_polls(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(connections=1)) as node, await node.ready():
        assert await problem(node, "/v1/sse") == (503, "unavailable")
        assert await problem(node, "/v1/poll") == (503, "unavailable")


async def test_nothing_is_left_after_a_stream(node: Node) -> None:
    async with node.http() as client:  # sse-starlette keeps one task for the process once a stream has been open
        async with client.sse("/v1/sse", headers=node.bearer()) as source:
            await anext(source.__aiter__())
        await node.empty()
        tasks = len(asyncio.all_tasks())
    async with stream(node) as events:
        ready = await events.expect("ready")
        await node.presence.until(lambda: node.presence.here(ADA) == {ready["connection"]: "active"})
    await node.empty()
    await settled(lambda: node.bus.subscribed == set())
    await node.presence.until(lambda: not node.presence.here(ADA))
    await settled(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_drain_ends_streams_with_a_reconnect(node: Node) -> None:
    async with stream(node) as events:
        await events.expect("ready")
        await node.gateway.drain()
        assert (await events.expect("reconnect"))["after_ms"] >= 0
        with pytest.raises(StopAsyncIteration):
            await events.next()
    assert await problem(node, "/v1/sse") == (503, "unavailable")


async def test_a_stream_that_nobody_reads_is_cut(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(outbox_bytes=8_000)) as node, await node.ready(GRACE) as grace:
        loop = asyncio.get_running_loop()
        with socket.socket() as pipe:
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            pipe.setblocking(False)
            await loop.sock_connect(pipe, ("127.0.0.1", node.port))
            request = f"GET /v1/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.token()}\r\n\r\n"
            await loop.sock_sendall(pipe, request.encode())
            await settled(lambda: len(node.gateway._registry.connections(ADA)) == 1)
            published = 0
            while node.gateway.connections > 1:
                await node.publish("ada", body="x" * 3_000)
                published += 1
                assert published < 2_000, "nobody noticed"
            await node.presence.until(lambda: node.presence.here(ADA) == {})
        await node.publish("grace")
        await grace.expect("item")


# Long polling


async def poll(node: Node, **query: str | int) -> Any:
    async with node.http() as client:
        response = await client.get("/v1/poll", params=query, headers=node.bearer())
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


def kinds(answer: Any) -> list[str]:
    return [frame["type"] for frame in answer["frames"]]


async def test_the_first_poll_answers_at_once(node: Node) -> None:
    await node.publish("ada")
    answer = await poll(node)
    assert kinds(answer) == ["ready"]
    assert answer["frames"][0]["counts"]["unread"] == 1
    assert answer["cursor"] == answer["frames"][0]["cursor"]


async def test_a_poll_answers_at_once_with_what_was_missed(node: Node) -> None:
    cursor = (await poll(node))["cursor"]
    await node.publish("ada")
    answer = await poll(node, cursor=cursor)
    assert kinds(answer) == ["item", "ready"]
    assert answer["cursor"] == (await node.hub.inbox.count(ADA)).cursor


async def test_a_poll_waits_for_the_first_change(node: Node) -> None:
    cursor = (await poll(node))["cursor"]
    waiting = asyncio.create_task(poll(node, cursor=cursor, timeout=55))
    await settled(lambda: node.gateway.connections == 1)
    await node.publish("ada")
    answer = await waiting
    assert kinds(answer)[-1] == "item"
    assert answer["cursor"] == answer["frames"][-1].get("cursor", answer["cursor"])
    assert kinds(await poll(node, cursor=answer["cursor"], timeout=0)) == ["ready"]


async def test_a_poll_without_news_ends_empty_after_its_timeout(node: Node) -> None:
    cursor = (await poll(node))["cursor"]
    answer = await poll(node, cursor=cursor, timeout=0)
    assert (kinds(answer), answer["cursor"]) == (["ready"], cursor)


async def test_a_change_at_the_moment_when_a_poll_ends_is_in_its_answer(node: Node) -> None:
    cursor = (await poll(node))["cursor"]
    waiting = asyncio.create_task(poll(node, cursor=cursor, timeout=1))
    await settled(lambda: node.gateway.connections == 1)
    (connection,) = node.gateway._connections
    await settled(lambda: connection.session.cursor is not None)
    seen = connection.session.cursor
    assert seen is not None
    frame = b'{"type":"item"}'
    loop = asyncio.get_running_loop()
    # A busy loop finds both timers expired in one turn: the change comes first, then patience ends.
    loop.call_later(0.5, lambda: node.gateway.on_change(ADA, LiveChange(seen.epoch, seen.version + 1, "item", frame)))
    loop.call_later(0.4, time.sleep, 1)
    answer = await waiting
    assert ("item" in kinds(answer)) is (answer["cursor"] != cursor)


async def test_a_poll_with_a_garbage_cursor_answers_at_once(node: Node) -> None:
    assert kinds(await poll(node, cursor="garbage", timeout=55)) == ["resync", "ready"]


async def test_polls_of_one_client_are_one_connection_to_presence(node: Node) -> None:
    name = (await poll(node, state="away"))["frames"][0]["connection"]
    again = await poll(node, connection=name, state="active")
    assert again["frames"][0]["connection"] == name
    await node.presence.until(lambda: node.presence.here(ADA) == {name: "active"})


async def test_between_polls_presence_fades_instead_of_ending(node: Node) -> None:
    answer = await poll(node, state="away")
    await node.gateway.close()
    assert node.presence.here(ADA) == {answer["frames"][0]["connection"]: "away"}


async def test_a_poll_whose_client_hangs_up_leaves_nothing(node: Node) -> None:
    cursor = (await poll(node))["cursor"]
    waiting = asyncio.create_task(poll(node, cursor=cursor, timeout=55, connection="mine"))
    await node.presence.until(lambda: "mine" in node.presence.here(ADA))
    waiting.cancel()
    await node.empty()
    await node.presence.until(lambda: "mine" not in node.presence.here(ADA))


async def test_drain_answers_waiting_polls(node: Node) -> None:
    cursor = (await poll(node))["cursor"]
    waiting = asyncio.create_task(poll(node, cursor=cursor, timeout=55))
    await node.presence.until(lambda: node.presence.refreshed >= 1 and node.gateway.connections)
    (connection,) = node.gateway._connections
    await settled(lambda: connection.session.cursor is not None)
    await node.gateway.drain()
    answer = await waiting
    assert kinds(answer)[-1] == "reconnect"
    assert answer["cursor"] == cursor


async def test_a_poll_while_the_database_is_away(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(wanted: object) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(node.hub.inbox, "catch_up", away)
    assert await problem(node, "/v1/poll") == (503, "unavailable")
    await node.empty()


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", {}, (401, "unauthenticated")),
        ("?timeout=56", None, (422, "invalid-request")),
        ("?timeout=-1", None, (422, "invalid-request")),
        ("?timeout=1.5", None, (422, "invalid-request")),
        ("?timeout=٣", None, (422, "invalid-request")),
        ("?timeout=", None, (422, "invalid-request")),
        ("?connection=a%20b", None, (422, "invalid-request")),
        ("?connection=", None, (422, "invalid-request")),
        ("?state=asleep", None, (422, "invalid-request")),
        ("?ticket=t", None, (422, "invalid-request")),
    ],
)
async def test_bad_polls(node: Node, query: str, headers: Mapping[str, str] | None, expected: tuple[int, str]) -> None:
    assert await problem(node, f"/v1/poll{query}", headers) == expected


# Attention of clients that cannot send frames


async def attend(node: Node, body: bytes, headers: Mapping[str, str] | None = None) -> httpx2.Response:
    async with node.http() as client:
        given = node.bearer() if headers is None else headers
        return await client.post("/v1/presence", content=body, headers=given)


def _attention(connection: str, state: str) -> bytes:
    return json.dumps({"connection": connection, "state": state}).encode()


async def test_attention_of_a_stream(node: Node) -> None:
    async with stream(node) as events:
        name = (await events.expect("ready"))["connection"]
        assert (await attend(node, _attention(name, "away"))).status_code == 204
        await node.presence.until(lambda: node.presence.here(ADA) == {name: "away"})


async def test_attention_reaches_the_node_that_has_the_stream(sqlite_url: str) -> None:
    switchboard = Switchboard()
    async with open_node(sqlite_url, switchboard=switchboard) as node, stream(node) as events:
        name = (await events.expect("ready"))["connection"]
        elsewhere = Bus(switchboard)
        other = Gateway(node.hub, node.keyring, elsewhere, node.presence)
        await elsewhere.start(other)
        await other.attend(ADA, PresenceIn(name, "away"))
        await node.presence.until(lambda: node.presence.here(ADA) == {name: "away"})
        await elsewhere.publish([(ADA, LiveChange("", 0, "presence", b"from another version"))])
        await node.publish("ada")
        await events.expect("item")


async def test_attention_of_somebody_elses_connection_changes_nothing(node: Node) -> None:
    async with stream(node) as events:
        name = (await events.expect("ready"))["connection"]
        assert (await attend(node, _attention(name, "away"), node.bearer(GRACE))).status_code == 204
        await attend(node, _attention("unknown", "away"))
        assert (await attend(node, _attention(name, "active"))).status_code == 204
        await node.presence.until(lambda: node.presence.here(ADA) == {name: "active"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 900, 422),
        (b"{}", 422),
        (b'{"connection":"c","state":"asleep"}', 422),
        (b'{"connection":"c","state":"away","x":1}', 422),
        (b'{"connection":1,"state":"away"}', 422),
        (b" " * 2_000, 413),
    ],
)
async def test_bad_attention(node: Node, body: bytes, status: int) -> None:
    assert (await attend(node, body)).status_code == status
    assert (await attend(node, body, {})).status_code == 401
