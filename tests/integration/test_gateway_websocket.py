"""The WebSocket, served by a real uvicorn and called by a real client."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import connect

from hub.bus.memory import Switchboard
from hub.core.errors import StoreUnavailable
from hub.core.model import InboxKey, MarkAction, Selection
from hub.gateway import websocket
from hub.gateway.limits import Limits
from hub.gateway.requests import origin_of
from hub.service import Acknowledged
from tests.support.live import ADA, GRACE, Node, Socket, open_node
from tests.support.serving import settled


@pytest.fixture(params=[True, False], ids=["lane", "portable"])
async def node(sqlite_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    async with open_node(sqlite_url, lane=request.param) as node:
        yield node


async def test_a_publish_reaches_every_tab_of_its_user_and_nobody_else(node: Node) -> None:
    async with await node.ready() as one, await node.ready() as two, await node.ready(GRACE) as grace:
        identifier = await node.publish("ada", title="for Ada")
        await node.publish("grace", title="for Grace")
        for tab in (one, two):
            frame = await tab.expect("item")
            assert (frame["item"]["id"], frame["item"]["title"]) == (identifier, "for Ada")
            assert frame["counts"] == {"unread": 1, "unseen": 1}
            assert frame["cursor"].split(".")[1] == "1"
        assert (await grace.expect("item"))["item"]["title"] == "for Grace"


async def test_ready_says_who_and_where(node: Node) -> None:
    await node.publish("ada")
    async with await node.socket() as client:
        ready = await client.expect("ready")
        assert ready["user"] == "ada"
        assert ready["counts"] == {"unread": 1, "unseen": 1}
        assert ready["cursor"] == (await node.hub.inbox.count(ADA)).cursor
        await node.presence.until(lambda: node.presence.here(ADA) == {ready["connection"]: "active"})


async def test_a_mark_on_one_tab_shows_on_the_other(node: Node) -> None:
    async with await node.ready() as one, await node.ready() as two:
        identifier = await node.publish("ada")
        await one.expect("item")
        await two.expect("item")
        await one.send({"type": "read", "ids": [identifier]})
        for tab in (one, two):
            frame = await tab.expect("change")
            assert frame["ids"] == [identifier]
            assert frame["fields"]["read_at"]
            assert frame["counts"] == {"unread": 0, "unseen": 0}


async def test_a_mark_shows_at_once_even_when_the_bus_loses_it(node: Node) -> None:
    async with await node.ready() as one, await node.ready() as two:
        identifier = await node.publish("ada")
        await one.expect("item")
        await two.expect("item")
        node.bus.losing = True
        await one.send({"type": "archive", "ids": [identifier]})
        assert (await one.expect("change"))["fields"]["archived_at"]
        assert (await two.expect("change"))["fields"]["archived_at"]


async def test_marks_of_one_message_are_applied_in_order(node: Node) -> None:
    identifier = await node.publish("ada")
    async with await node.ready() as client:
        marks = [{"type": kind, "ids": [identifier]} for kind in ("read", "unread", "read", "unread")]
        await client.send(*marks)
        fields = [(await client.expect("change"))["fields"]["read_at"] is not None for _ in marks]
        assert fields == [True, False, True, False]


async def test_a_refused_mark_names_its_ref_and_the_connection_stays(node: Node) -> None:
    async with await node.ready() as client:
        await client.send({"type": "snooze", "all": True, "until": "1999-01-01T00:00:00Z", "ref": "s1"})
        error = await client.expect("error")
        assert (error["code"], error["ref"]) == ("invalid_request", "s1")
        await node.publish("ada")
        await client.expect("item")


async def test_a_mark_while_the_database_is_away_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(key: InboxKey, action: MarkAction, selection: Selection, until: int | None = None) -> Acknowledged:
        raise StoreUnavailable("away")

    async with await node.ready() as client:
        monkeypatch.setattr(node.hub.inbox, "mark", away)
        await client.send({"type": "read", "all": True, "ref": 1})
        error = await client.expect("error")
        assert (error["code"], error["ref"]) == ("unavailable", 1)


async def test_resuming_tells_exactly_what_was_missed(node: Node) -> None:
    async with await node.ready() as client:
        await node.publish("ada", title="before")
        cursor = (await client.expect("item"))["cursor"]
    await node.publish("ada", title="missed")
    async with await node.socket(cursor=cursor) as client:
        frame = await client.expect("item")
        assert frame["item"]["title"] == "missed"
        assert "cursor" not in frame
        ready = await client.expect("ready")
        assert ready["counts"] == {"unread": 2, "unseen": 2}
        await node.publish("ada", title="after")
        assert (await client.expect("item"))["item"]["title"] == "after"


@pytest.mark.parametrize(
    ("cursor", "reason"), [("garbage", "bad_cursor"), ("0123456789ab.3.0", "unknown_epoch"), ("", "bad_cursor")]
)
async def test_a_cursor_of_no_use_is_a_resync(node: Node, cursor: str, reason: str) -> None:
    await node.publish("ada")
    async with await node.socket(cursor=cursor) as client:
        assert (await client.expect("resync"))["reason"] == reason
        ready = await client.expect("ready")
        assert ready["counts"]["unread"] == 1


async def test_a_token_in_the_handshake_connects_at_once(node: Node) -> None:
    async with await node.ready() as client:
        cursor = client.ready["cursor"]
    await node.publish("ada")
    async with Socket(await node.open_socket(f"?cursor={cursor}", node.bearer())) as client:
        await client.expect("item")
        await client.expect("ready")
        await client.send({"type": "connect", "token": node.token()})
        assert (await client.expect("error"))["code"] == "already_connected"
        assert await client.closed() == 4100


async def test_state_at_connect_is_the_presence(node: Node) -> None:
    async with await node.socket(state="away") as client:
        ready = await client.expect("ready")
        await node.presence.until(lambda: node.presence.here(ADA) == {ready["connection"]: "away"})
        await client.send({"type": "presence", "state": "active"})
        await node.presence.until(lambda: node.presence.here(ADA) == {ready["connection"]: "active"})
        await client.send({"type": "ping"})
        assert (await client.expect("ping"))["cursor"] == ready["cursor"]
    await node.presence.until(lambda: not node.presence.here(ADA))


# Refusals


@pytest.mark.parametrize("expired", [True, False], ids=["expired", "forged"])
async def test_a_bad_token_is_an_error_that_a_browser_can_see(node: Node, *, expired: bool) -> None:
    token = node.token()
    if expired:
        node.clock.advance(2 * 3_600_000)
    else:
        token = token[:-4] + "AAAA"
    for in_handshake in (True, False):
        headers = {"Authorization": f"Bearer {token}"} if in_handshake else {}
        async with Socket(await node.open_socket(headers=headers)) as client:
            if not in_handshake:
                await client.send({"type": "connect", "token": token})
            assert (await client.expect("error"))["code"] == "unauthenticated"
            assert await client.closed() == 4102
    await node.empty()
    assert node.bus.subscribed == set()


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        (b"\x00\x01", "binary_frame", 4100),
        ("hello", "bad_frame", 4100),
        ('{"type":"subscribe"}', "bad_frame", 4100),
        ('{"type":"connect","token":"t","admin":true}', "bad_frame", 4100),
        ('{"type":"ping"}', "connect_first", 4101),
        ("x" * 33_000, "frame_too_large", 4103),
        ('{"type":"connect"}', "unauthenticated", 4102),
    ],
)
async def test_bad_first_messages(node: Node, message: str | bytes, code: str, close: int) -> None:
    async with await node.ready() as bystander:
        async with Socket(await node.open_socket()) as client:
            await client.connection.send(message)
            assert (await client.expect("error"))["code"] == code
            assert await client.closed() == close
        await node.publish("ada")
        await bystander.expect("item")


@pytest.mark.parametrize(("message", "close"), [(b"\x00", 4100), ("[]", 4100), ("x" * 33_000, 4103)])
async def test_bad_messages_of_a_live_client(node: Node, message: str | bytes, close: int) -> None:
    async with await node.ready() as client:
        await client.connection.send(message)
        await client.expect("error")
        assert await client.closed() == close
    await node.empty()


async def test_a_bad_query_in_the_handshake(node: Node) -> None:
    async with Socket(await node.open_socket("?curser=1", node.bearer())) as client:
        assert (await client.expect("error"))["code"] == "invalid_request"
        assert await client.closed() == 4100


async def test_silence_is_closed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of sessions jumps; only the wait for it to be looked at is real."""
    start = node.gateway.monotonic()
    async with Socket(await node.open_socket()) as client:
        await settled(lambda: node.gateway.connections == 1)
        (connection,) = node.gateway._connections
        monkeypatch.setattr(node.gateway, "monotonic", lambda: start + 3_600_000)
        connection.tick()
        assert (await client.expect("error"))["code"] == "connect_timeout"
        assert await client.closed() == 4004


async def test_an_expiring_token_ends_the_connection(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await node.ready() as client:
        (connection,) = node.gateway._connections
        now = node.gateway.monotonic()
        monkeypatch.setattr(node.gateway, "monotonic", lambda: now + 2 * 3_600_000)
        connection.tick()
        assert (await client.expect("error"))["code"] == "token_expired"
        assert await client.closed() == 4003


# Gaps


async def test_a_lost_change_is_found_when_the_next_one_comes(node: Node) -> None:
    async with await node.ready() as client:
        node.bus.losing = True
        await node.publish("ada", title="lost")
        node.bus.losing = False
        await node.publish("ada", title="heard")
        titles = [(await client.expect("item"))["item"]["title"] for _ in range(2)]
        assert titles == ["lost", "heard"]
        assert (await client.expect("ready"))["counts"]["unread"] == 2


async def test_lost_changes_are_found_after_a_gap_in_the_bus(node: Node) -> None:
    async with await node.ready() as ada, await node.ready(GRACE) as grace:
        node.bus.losing = True
        await node.publish("ada", "grace")
        node.gateway.on_gap()
        for client in (ada, grace):
            await client.expect("item")
            await client.expect("ready")


async def test_lost_changes_are_found_by_the_periodic_comparison(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(reconcile_interval=0.01, reconcile_batch=1)) as node:
        node.bus.losing = True
        async with await node.ready() as ada, await node.ready(GRACE) as grace:
            await node.publish("ada", "grace")
            await ada.expect("item")
            await grace.expect("item")


async def test_the_comparison_survives_an_absent_database(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await node.ready() as client:
        node.bus.losing = True
        await node.publish("ada")
        versions, failed = node.hub.inbox.versions, asyncio.Event()

        async def away(keys: object) -> Mapping[InboxKey, object]:
            failed.set()
            raise StoreUnavailable("away")

        monkeypatch.setattr(node.hub.inbox, "versions", away)
        node.gateway.on_gap()
        await failed.wait()
        monkeypatch.setattr(node.hub.inbox, "versions", versions)
        node.gateway.on_gap()
        await client.expect("item")


async def test_what_is_too_large_for_the_bus_arrives_all_the_same(node: Node) -> None:
    async with await node.ready() as client:
        await node.publish("ada", body="x" * 5_000)
        assert len((await client.expect("item"))["item"]["body"]) == 5_000
        await client.expect("ready")


async def test_tabs_with_the_same_gap_share_one_read(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    tabs = [await node.ready() for _ in range(3)]
    catch_up, reads = node.hub.inbox.catch_up, 0

    async def counted(wanted: Sequence[Any]) -> Any:
        nonlocal reads
        reads += len(wanted)
        return await catch_up(wanted)

    monkeypatch.setattr(node.hub.inbox, "catch_up", counted)
    node.bus.losing = True
    await node.publish("ada")
    node.gateway.on_gap()
    for tab in tabs:
        await tab.expect("item")
        await tab.connection.close()
    assert reads == 1


async def test_what_comes_while_the_first_read_is_under_way_is_not_lost(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up, reading, go = node.hub.inbox.catch_up, asyncio.Event(), asyncio.Event()

    async def slow(wanted: Sequence[Any]) -> Any:
        changes = await catch_up(wanted)
        reading.set()
        await go.wait()
        return changes

    monkeypatch.setattr(node.hub.inbox, "catch_up", slow)
    async with await node.socket() as client:
        await reading.wait()
        await node.publish("ada", title="meanwhile")
        go.set()
        assert (await client.expect("ready"))["counts"]["unread"] == 0
        assert (await client.expect("item"))["item"]["title"] == "meanwhile"


async def test_a_read_that_fails_sends_the_client_away_to_come_back(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(wanted: object) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(node.hub.inbox, "catch_up", away)
    async with await node.socket() as client:
        assert (await client.expect("error"))["code"] == "unavailable"
        assert await client.closed() == 4002
    await node.empty()


# Room


async def test_a_client_that_does_not_read_is_dropped_and_hurts_nobody(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "FAREWELL_SECONDS", 0.01)
    async with open_node(sqlite_url, limits=Limits(outbox_bytes=8_000)) as node, await node.ready(GRACE) as grace:
        pipe = socket.socket()
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        pipe.connect(("127.0.0.1", node.port))
        pipe.setblocking(False)
        slow = Socket(await connect("ws://127.0.0.1/v1/ws", sock=pipe, max_queue=1))
        await slow.send({"type": "connect", "token": node.token()})
        await slow.expect("ready")
        published = 0
        while node.gateway.connections > 1:
            await node.publish("ada", body="x" * 3_000)
            published += 1
            assert published < 2_000, "nobody noticed"
        await node.presence.until(lambda: node.presence.here(ADA) == {})
        await node.publish("grace")
        await grace.expect("item")
        slow.connection.transport.abort()


async def test_a_full_node_sends_clients_elsewhere(sqlite_url: str) -> None:
    async with (
        open_node(sqlite_url, limits=Limits(connections=1)) as node,
        await node.ready(),
        Socket(await node.open_socket()) as client,
    ):
        assert (await client.expect("reconnect"))["after_ms"] >= 0
        assert await client.closed() == 4000


async def test_one_address_cannot_take_all_the_room_for_strangers(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(strangers=3, strangers_per_address=2)) as node:
        gateway = node.gateway
        waiting = [gateway.open(origin="192.0.2.1") for _ in range(2)]
        refused = [gateway.open(origin="192.0.2.1") for _ in range(5)]
        assert [connection.ended for connection in waiting + refused] == [False] * 2 + [True] * 5
        other = gateway.open(origin="192.0.2.2")
        assert not other.ended, "those who were sent away take nobody's place"
        assert gateway.open(origin="192.0.2.3").ended, "the limit for all of them stands"
        waiting[0].text(json.dumps({"type": "connect", "token": node.token()}))
        assert not gateway.open(origin="192.0.2.1").ended, "who has said who they are makes room"
        for connection in [*gateway._connections]:
            gateway.disconnect(connection)
        assert not gateway._strangers
        assert not gateway._origins


@pytest.mark.parametrize(
    ("client", "origin"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.1", 1), "192.0.2.1"),
        (("somewhere", 1), "somewhere"),
        (None, ""),
    ],
)
def test_an_origin_is_an_address_or_an_ipv6_network(client: tuple[str, int] | None, origin: str) -> None:
    assert origin_of(HTTPConnection({"type": "websocket", "client": client, "headers": []})) == origin


async def test_strangers_are_limited_but_not_those_who_are_known(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(strangers=1)) as node, Socket(await node.open_socket()):
        await settled(lambda: node.gateway.connections == 1)
        async with Socket(await node.open_socket()) as client:
            await client.expect("reconnect")
        async with Socket(await node.open_socket(headers=node.bearer())) as client:
            await client.expect("ready")


async def test_one_user_cannot_take_all_the_room(sqlite_url: str) -> None:
    async with open_node(sqlite_url, limits=Limits(per_user=1)) as node, await node.ready() as first:
        async with await node.socket() as second, await node.ready(GRACE):
            assert (await second.expect("error"))["code"] == "too_many"
            assert await second.closed() == 4104
        await node.publish("ada")
        await first.expect("item")


# Endings


async def test_nothing_is_left_after_disconnects(node: Node) -> None:
    tasks = len(asyncio.all_tasks())
    clients = [await node.ready() for _ in range(3)] + [await node.ready(GRACE)]
    assert node.bus.subscribed == {ADA, GRACE}
    clients.pop().connection.transport.abort()
    for client in clients:
        await client.connection.close()
    await node.empty()
    await settled(lambda: node.bus.subscribed == set())
    assert node.gateway._registry.keys() == []
    await node.presence.until(lambda: not node.presence.here(ADA) and not node.presence.here(GRACE))
    await settled(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_a_mark_is_applied_though_its_sender_leaves_at_once(node: Node) -> None:
    identifier = await node.publish("ada")
    async with await node.ready() as client:
        await client.send({"type": "read", "ids": [identifier]})
    await node.empty()
    assert (await node.hub.inbox.count(ADA)).unread_count == 0


async def test_a_mark_under_way_outlives_its_connection(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, marking, go = node.hub.inbox.mark, asyncio.Event(), asyncio.Event()

    async def slow(key: InboxKey, action: MarkAction, selection: Selection, until: int | None = None) -> Acknowledged:
        marking.set()
        await go.wait()
        return await mark(key, action, selection, until)

    monkeypatch.setattr(node.hub.inbox, "mark", slow)
    identifier = await node.publish("ada")
    client = await node.ready()
    await client.send({"type": "read", "ids": [identifier]})
    await marking.wait()
    client.connection.transport.abort()
    while node.gateway.connections:  # the reader waits for the mark: it is the writer who finds the client gone
        await node.publish("ada")
    go.set()
    await node.empty()
    assert (await node.hub.inbox.item(ADA, UUID(identifier))).read_at is not None


async def test_drain_sends_everybody_elsewhere_and_takes_nobody_new(node: Node) -> None:
    clients = [await node.ready(), await node.ready(GRACE)]
    await node.gateway.drain()
    for client in clients:
        assert (await client.expect("reconnect"))["after_ms"] >= 0
        assert await client.closed() == 4000
    async with Socket(await node.open_socket()) as late:
        await late.expect("reconnect")
        assert await late.closed() == 4000
    await node.empty()


async def test_a_client_moves_to_another_node_with_its_cursor(sqlite_url: str) -> None:
    """Two nodes on one switchboard and one database: what the first publishes, the second tells."""
    switchboard = Switchboard()
    async with open_node(sqlite_url, switchboard=switchboard) as one:
        async with await one.ready() as client:
            await one.publish("ada", title="first")
            cursor = (await client.expect("item"))["cursor"]
        await one.publish("ada", title="second")
    async with open_node(sqlite_url, switchboard=switchboard) as two, await two.socket(cursor=cursor) as client:
        assert (await client.expect("item"))["item"]["title"] == "second"
        assert (await client.expect("ready"))["counts"]["unread"] == 2
