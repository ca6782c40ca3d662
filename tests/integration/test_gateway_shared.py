"""Topics and broadcasts on live connections, served by a real uvicorn and called by real clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest

from hub.bus.memory import Switchboard
from hub.core import wire
from hub.core.model import BROADCAST, InboxKey, InboxQuery, MarkAction, Selection
from hub.core.views import rfc3339
from hub.gateway.topics import SLICE
from hub.service.upkeep import LEFTOVER_AGE
from tests.support.live import ADA, GRACE, TENANT, Node, Socket, open_node
from tests.support.serving import settled


@pytest.fixture(params=[True, False], ids=["lane", "portable"])
async def node(sqlite_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    async with open_node(sqlite_url, lane=request.param) as node:
        yield node


async def told(client: Socket) -> dict[str, Any]:
    """Take an item of a topic as all its members get it."""
    frame = await client.expect("item")
    assert frame["delta"] == {"unread": 1, "unseen": 1}
    assert not {"cursor", "counts"} & set(frame)
    item: dict[str, Any] = frame["item"]
    return item


async def read(client: Socket) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take an item of a topic that was read from the database: the `ready` behind it has cursor and counts."""
    item, ready = await client.expect("item"), await client.expect("ready")
    assert not {"cursor", "counts", "delta"} & set(item)
    return item["item"], ready


async def test_a_publish_to_a_topic_reaches_its_members_at_once_and_nobody_else(node: Node) -> None:
    await node.join("news", "ada")
    async with await node.ready() as one, await node.ready() as two, await node.ready(GRACE) as grace:
        identifier = await node.publish_shared("news", title="for the members")
        for tab in (one, two):
            item = await told(tab)
            assert (item["id"], item["title"], item["read_at"]) == (identifier, "for the members", None)
        await node.publish("grace", title="for Grace")
        assert (await grace.expect("item"))["item"]["title"] == "for Grace"


async def test_a_broadcast_reaches_everybody_who_is_there(node: Node) -> None:
    async with await node.ready() as ada, await node.ready(GRACE) as grace:
        identifier = await node.publish_shared()
        for client in (ada, grace):
            assert (await told(client))["id"] == identifier


async def test_joining_and_leaving_counts_from_that_moment_without_connecting_anew(node: Node) -> None:
    async with await node.ready() as ada:
        await node.publish_shared("news", title="too early")
        await node.join("news", "ada", "grace")
        await ada.expect("ready")
        first = await node.publish_shared("news", title="just right")
        assert (await told(ada))["id"] == first
        await node.leave("news", "ada")
        assert (await read(ada))[0]["id"] == first, "once more, as the cursor was not past it"
        await node.publish_shared("news", title="too late")
        own = await node.publish("ada")
        assert {item.id for item in await listed(node)} == {own, first}, "what she had she keeps"
        await ada.expect("ready")  # of an event that is not for her
        assert (await ada.expect("item"))["item"]["id"] == own


async def listed(node: Node) -> Sequence[wire.Item]:
    return (await node.hub.inbox.page(ADA, InboxQuery())).data


async def test_what_was_missed_of_a_topic_comes_with_the_cursor(node: Node) -> None:
    await node.join("news", "ada")
    async with await node.ready() as ada:
        cursor = ada.ready["cursor"]
    await node.empty()
    missed = [await node.publish_shared("news"), await node.publish(), await node.publish_shared()]
    async with await node.socket(cursor=cursor) as ada:
        items = [await ada.expect("item") for _ in missed]
        ready = await ada.expect("ready")
        assert {frame["item"]["id"] for frame in items} == set(missed)
        assert ready["counts"] == {"unread": 3, "unseen": 3}
    async with await node.socket(cursor=ready["cursor"]) as ada:
        await ada.expect("ready")


async def test_an_own_change_between_shared_items_keeps_its_order(node: Node) -> None:
    await node.join("news", "ada")
    async with await node.ready() as ada:
        shared = await node.publish_shared("news")
        await told(ada)
        own = await node.publish("ada")
        frame = await ada.expect("item")
        assert (frame["item"]["id"], frame["counts"]) == (own, {"unread": 2, "unseen": 2})
        assert frame["cursor"] == ada.ready["cursor"].replace(".1.0", ".2.0"), "the shared item was not read"
        await ada.send({"type": "read", "ids": [shared, own]})
        frame = await ada.expect("change")
        assert (set(frame["ids"]), frame["counts"]) == ({shared, own}, {"unread": 0, "unseen": 0})
    async with await node.socket(cursor=frame["cursor"]) as ada:
        item, ready = await read(ada)
        assert (item["id"], ready["counts"]) == (shared, {"unread": 0, "unseen": 0})
        assert item["read_at"] is not None


async def test_what_takes_anothers_place_comes_with_its_removal(node: Node) -> None:
    """In one go: nobody is shown both, or neither."""
    await node.join("news", "ada")
    older = await node.publish_shared("news", collapse_key="match-7")
    async with await node.ready() as ada:
        newer = await node.publish_shared("news", collapse_key="match-7")
        item, change, ready = [await ada.expect(kind) for kind in ("item", "change", "ready")]
        assert item["item"]["id"] == newer
        assert (change["ids"], change["fields"]) == ([older], {"removed": True})
        assert ready["counts"] == {"unread": 1, "unseen": 1}
        own = await node.publish("ada")
        assert (await ada.expect("item"))["item"]["id"] == own, "there was no more to read"


async def until_counts(client: Socket, **counts: int) -> dict[str, Any]:
    """Take frames until one says that so many are unread and unseen."""
    while (frame := await client.next()).get("counts") != counts:
        pass
    return frame


async def test_a_mark_of_a_shared_item_shows_on_the_other_device_and_at_nobody_elses(node: Node) -> None:
    async with await node.ready() as one, await node.ready() as two, await node.ready(GRACE) as grace:
        identifier = await node.publish_shared()
        for client in (one, two, grace):
            await told(client)
        await one.send({"type": "read", "ids": [identifier]})
        for tab in (one, two):
            frame = await tab.expect("change")
            assert frame["ids"] == [identifier]
            assert frame["fields"]["read_at"]
            assert frame["counts"] == {"unread": 0, "unseen": 0}
        await node.publish("grace")
        assert (await until_counts(grace, unread=2, unseen=2)) is not None


async def test_mark_all_through_a_cursor_leaves_what_was_published_after_it(node: Node) -> None:
    await node.join("news", "ada")
    async with await node.ready() as other:
        before = [await node.publish_shared("news"), await node.publish_shared()]
        ada = await node.ready()
        later = await node.publish_shared("news", title="later")
        await told(ada)
        await ada.send({"type": "read", "all": True, "through": ada.ready["cursor"]})
        await until_counts(other, unread=1, unseen=1)
        items = {item.id: item.read_at for item in await listed(node)}
        assert items.pop(later) is None
        assert set(items) == set(before)
        assert None not in items.values()
        await ada.connection.close()


async def test_a_publish_at_one_node_reaches_the_members_at_another(postgres_url: str) -> None:
    switchboard = Switchboard()
    async with (
        open_node(postgres_url, switchboard=switchboard) as here,
        open_node(postgres_url, switchboard=switchboard) as there,
    ):
        async with await here.ready() as ada, await there.ready(GRACE) as grace:
            await here.join("news", "grace")
            await grace.expect("ready")
            identifier = await here.publish_shared("news")
            assert (await told(grace))["id"] == identifier
            assert here.bus.topics == {BROADCAST}, "nobody here is a member"
            assert there.bus.topics == {BROADCAST, "news"}
            await there.publish_shared()
            await told(ada)
            await told(grace)
        await here.empty()
        await there.empty()
        assert here.bus.topics == there.bus.topics == set()


@pytest.mark.parametrize("lost", ["the publish", "the join", "both"])
async def test_what_the_bus_loses_is_found_by_comparing(node: Node, lost: str) -> None:
    async with await node.ready() as ada:
        node.bus.losing = lost != "the publish"
        await node.join("news", "ada")
        if lost == "the join":
            await node.gateway.reconcile()
        if lost != "both":
            node.bus.losing = False
            await ada.expect("ready")
        node.bus.losing = lost != "the join"
        identifier = await node.publish_shared("news")
        node.bus.losing = False
        await node.gateway.reconcile()
        if lost == "the join":
            assert (await told(ada))["id"] == identifier
        else:
            assert (await read(ada))[0]["id"] == identifier
        following = await node.publish_shared("news")
        assert (await told(ada))["id"] == following, "the topic is heard from now on"


async def test_what_a_crash_left_untold_is_told_by_a_sweep(node: Node) -> None:
    async with await node.ready() as ada:
        node.bus.failing = True
        identifier = await node.publish_shared()
        node.bus.failing = False
        node.clock.advance(LEFTOVER_AGE + 1)
        assert await node.hub.upkeep.republish_leftovers() == 1
        assert (await read(ada))[0]["id"] == identifier
        assert await node.hub.upkeep.republish_leftovers() == 0


async def test_a_join_that_nobody_was_told_of_is_told_by_a_sweep(node: Node) -> None:
    async with await node.ready() as ada:
        node.bus.failing = True
        await node.join("news", "ada")
        node.bus.failing = False
        node.clock.advance(LEFTOVER_AGE + 1)
        assert await node.hub.upkeep.republish_leftovers() == 1
        await ada.expect("ready")
        identifier = await node.publish_shared("news")
        assert (await told(ada))["id"] == identifier


async def test_many_members_are_all_told_and_who_comes_meanwhile_is_let_in(sqlite_url: str) -> None:
    async with open_node(sqlite_url) as node:
        users = [f"user-{number}" for number in range(SLICE + 50)]
        await node.join("news", *users)
        clients = [await node.ready(InboxKey(TENANT, user)) for user in users]
        try:
            identifier, ada = await asyncio.gather(node.publish_shared("news"), node.ready())
            for client in clients:
                assert (await told(client))["id"] == identifier
            await ada.connection.close()
        finally:
            await asyncio.gather(*(client.connection.close() for client in clients))
        await node.empty()


async def test_what_is_too_large_for_the_bus_or_appears_later_is_read(node: Node) -> None:
    async with await node.ready() as ada:
        large = await node.publish_shared(body="x" * 5_000)
        assert (await read(ada))[0]["id"] == large
        appears = rfc3339(node.clock.now() + 60_000)
        request = wire.PublishIn(recipients=wire.AudienceIn(broadcast=True), title="later", deliver_at=appears)
        await node.hub.notifications.publish(TENANT, request)
        node.clock.advance(60_000)
        await node.hub.upkeep.apply_timers()
        assert (await read(ada))[0]["appeared_at"] == appears
        small = await node.publish_shared()
        assert (await told(ada))["id"] == small


async def test_a_recall_takes_it_back_also_from_who_was_told_directly(node: Node) -> None:
    async with await node.ready() as ada:
        identifier = await node.publish_shared()
        await told(ada)
        await node.hub.notifications.recall(TENANT, UUID(identifier))
        frame = await ada.expect("change")
        assert (frame["ids"], frame["fields"]) == ([identifier], {"removed": True})
        assert (await ada.expect("ready"))["counts"] == {"unread": 0, "unseen": 0}


async def test_what_is_certain_moves_the_cursor_without_a_read(node: Node) -> None:
    async with await node.ready() as ada:
        first = await node.publish_shared()
        await told(ada)
        await ada.send({"type": "ping"})
        frame = await ada.expect("ping")
        assert frame["cursor"] == ada.ready["cursor"]
        assert frame["counts"] == {"unread": 1, "unseen": 1}
        await node.gateway.reconcile()
        await ada.send({"type": "ping"})
        frame = await ada.expect("ping")
        assert (frame["position"], frame["counts"]) == (1, {"unread": 1, "unseen": 1})
    async with await node.socket(cursor=frame["cursor"]) as ada:
        assert (await ada.expect("ready"))["cursor"] == frame["cursor"], "nothing is told twice"
        await ada.send({"type": "read", "all": True, "through": frame["cursor"]})
        await until_counts(ada, unread=0, unseen=0)
    [item] = await listed(node)
    assert (item.id, item.read_at is not None) == (first, True)


async def test_after_a_join_only_who_joined_reads(node: Node) -> None:
    await node.join("news", "ada")
    async with await node.ready() as ada, await node.ready(GRACE) as grace:
        await node.join("news", "grace")
        identifier = await node.publish_shared("news")
        assert (await told(ada))["id"] == identifier, "she did not read"
        while (frame := await grace.next())["type"] == "ready":
            pass
        assert frame["item"]["id"] == identifier
        await node.leave("news", "grace")
        identifier = await node.publish_shared("news")
        assert (await told(ada))["id"] == identifier


async def test_who_has_left_is_not_told_though_the_node_has_not_heard_of_it(node: Node) -> None:
    await node.join("news", "ada", "grace")
    async with await node.ready() as ada, await node.ready(GRACE) as grace:
        node.bus.losing = True
        await node.leave("news", "ada")
        node.bus.losing = False
        identifier = await node.publish_shared("news", title="for Grace alone")
        assert (await read(grace))[0]["id"] == identifier, "a membership has changed, and nobody here knows whose"
        await ada.expect("ready")
        for_all = await node.publish_shared()
        assert (await told(ada))["id"] == for_all
        following = await node.publish_shared("news")
        assert (await told(grace))["id"] == for_all
        assert (await told(grace))["id"] == following


async def test_a_stream_and_a_poll_hear_of_topics_too(node: Node) -> None:
    await node.join("news", "ada")
    async with node.http() as client:
        first = (await client.get("/v1/poll", headers=node.bearer())).json()
        async with client.sse("/v1/sse", headers=node.bearer()) as source:
            events = source.__aiter__()
            assert (await anext(events)).event == "ready"
            polling = asyncio.create_task(client.get(f"/v1/poll?cursor={first['cursor']}", headers=node.bearer()))
            await settled(lambda: node.gateway.connections == 2)
            identifier = await node.publish_shared("news")
            item = await anext(events)
            assert (item.event, json.loads(item.data)["item"]["id"]) == ("item", identifier)
            assert item.id == first["cursor"], "where to resume has not moved"
            answer = (await polling).json()
            assert [frame["type"] for frame in answer["frames"]][-2:] == ["item", "ready"]
            assert answer["frames"][-2]["item"]["id"] == identifier
            assert answer["cursor"] == answer["frames"][-1]["cursor"] != first["cursor"], "a poll goes on behind it"


async def test_a_snoozed_shared_item_comes_back_by_itself(node: Node) -> None:
    async with await node.ready() as ada:
        identifier = await node.publish_shared()
        await told(ada)
        until = node.clock.now() + 60_000
        await node.hub.inbox.mark(ADA, MarkAction.SNOOZE, Selection(ids=(UUID(identifier),)), until)
        await until_counts(ada, unread=0, unseen=0)
        node.clock.advance(60_000)
        await node.hub.upkeep.apply_timers()
        await until_counts(ada, unread=1, unseen=1)
        assert [item.id for item in await listed(node)] == [identifier]
