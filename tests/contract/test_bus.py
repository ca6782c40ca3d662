"""What every `Bus` does; run on each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from hub.bus.memory import MemoryBus, Switchboard
from hub.bus.redis import RedisBus
from hub.core.model import BROADCAST, InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange
from hub.ports import Bus
from tests.support.listener import PATIENCE, RecordingListener

ADA = InboxKey("default", "ada")
BOB = InboxKey("default", "bob")
SALES = TopicKey("default", "sales")
LAST = tuple(InboxKey("default", f"last-{number}") for number in range(24))
"""Enough for every part of a cluster to be the home of some."""


URLS = {"redis": "flushed_redis_url", "cluster": "flushed_redis_cluster_url"}


def change(version: int, frame: bytes | None = b'{"type":"item"}') -> LiveChange:
    return LiveChange(epoch="0123456789ab", version=version, event="item", frame=frame)


class Cluster:
    """Buses that hear each other, each with a listener."""

    def __init__(self, make: Callable[[], Bus], stack: AsyncExitStack) -> None:
        self._make = make
        self._stack = stack

    async def node(self) -> tuple[Bus, RecordingListener]:
        bus, listener = self._make(), RecordingListener()
        self._stack.push_async_callback(bus.close)
        await bus.start(listener)
        return bus, listener


@pytest.fixture(params=["memory", "redis", "cluster"])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    make: Callable[[], Bus]
    if request.param == "memory":
        switchboard = Switchboard()

        def make() -> Bus:
            return MemoryBus(switchboard)

    else:
        url: str = request.getfixturevalue(URLS[request.param])

        def make() -> Bus:
            return RedisBus(url, confirm_within=PATIENCE, dead_after=PATIENCE, timeout=PATIENCE)

    async with AsyncExitStack() as stack:
        yield Cluster(make, stack)


async def heard_until_last(bus: Bus, listener: RecordingListener) -> list[tuple[InboxKey, LiveChange]]:
    """Everything heard up to markers sent now: what is not in it was not delivered."""
    await bus.subscribe(LAST)
    assert await bus.publish([(last, change(1)) for last in LAST])
    heard, missing = [], set(LAST)
    while missing:
        news = await listener.next_change()
        if news[0] in missing:
            missing.discard(news[0])
        else:
            heard.append(news)
    return heard


async def test_a_subscriber_hears_a_change_as_it_was_sent(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([ADA])
    sent = change(7, '{"title":"Grüße \\u2028"}'.encode())
    assert await bus.publish([(ADA, sent)])
    assert await listener.next_change() == (ADA, sent)


async def test_a_hint_without_a_frame_arrives_as_one(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([ADA])
    await bus.publish([(ADA, change(8, None))])
    assert await listener.next_change() == (ADA, change(8, None))


async def test_every_node_that_subscribed_hears_it_and_no_other(cluster: Cluster) -> None:
    first, first_heard = await cluster.node()
    second, second_heard = await cluster.node()
    third, third_heard = await cluster.node()
    await first.subscribe([ADA])
    await second.subscribe([ADA])
    await third.subscribe([BOB])
    await second.publish([(ADA, change(1))])
    assert await first_heard.next_change() == (ADA, change(1))
    assert await second_heard.next_change() == (ADA, change(1))
    assert await heard_until_last(third, third_heard) == []


async def test_an_inbox_that_any_node_subscribed_to_is_heard(cluster: Cluster) -> None:
    first, _ = await cluster.node()
    second, _ = await cluster.node()
    await second.subscribe([ADA])
    assert first.hears(ADA)
    assert second.hears(ADA)


async def test_in_one_process_it_is_known_that_nobody_hears() -> None:
    switchboard = Switchboard()
    first, second = MemoryBus(switchboard), MemoryBus(switchboard)
    await first.start(RecordingListener())
    await second.start(RecordingListener())
    await second.subscribe([ADA])
    assert not first.hears(BOB)
    await second.unsubscribe([ADA])
    assert not first.hears(ADA)


async def test_changes_of_one_publisher_keep_their_order(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([ADA])
    calls = [bus.publish([(ADA, change(version))]) for version in range(50)]
    assert all(await asyncio.gather(*calls))
    assert [(await listener.next_change())[1].version for _ in range(50)] == list(range(50))


async def test_many_users_in_one_publish(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    keys = [InboxKey("default", f"user-{number}") for number in range(1_200)]
    await bus.subscribe(keys)
    assert await bus.publish([(key, change(3, b"x" * 2_000)) for key in keys])
    assert sorted([(await listener.next_change())[0] for _ in keys]) == sorted(keys)


async def test_subscribing_and_unsubscribing_nobody_returns_at_once(cluster: Cluster) -> None:
    bus, _ = await cluster.node()
    await bus.subscribe([])
    await bus.unsubscribe([])


async def test_a_user_named_twice_in_a_call_is_heard_once(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([ADA, ADA, BOB])
    await bus.publish([(ADA, change(1))])
    assert await heard_until_last(bus, listener) == [(ADA, change(1))]
    await bus.unsubscribe([ADA, ADA, BOB])
    await bus.publish([(ADA, change(2))])
    assert await heard_until_last(bus, listener) == []


async def test_publishing_nothing_is_whole(cluster: Cluster) -> None:
    bus, _ = await cluster.node()
    assert await bus.publish([])


async def test_nothing_is_heard_after_unsubscribe(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([ADA])
    await bus.unsubscribe([ADA])
    await bus.unsubscribe([ADA])
    await bus.publish([(ADA, change(1))])
    assert await heard_until_last(bus, listener) == []


async def test_subscribing_twice_hears_once(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await asyncio.gather(bus.subscribe([ADA]), bus.subscribe([ADA]))
    await bus.subscribe([ADA])
    await bus.publish([(ADA, change(1))])
    assert await heard_until_last(bus, listener) == [(ADA, change(1))]


async def test_the_last_of_racing_calls_wins(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    for _ in range(20):
        await asyncio.gather(
            bus.subscribe([ADA]),
            bus.unsubscribe([ADA]),
            bus.subscribe([ADA]),
            bus.subscribe([BOB]),
            bus.unsubscribe([BOB]),
        )
        await bus.publish([(ADA, change(1)), (BOB, change(1))])
        assert await heard_until_last(bus, listener) == [(ADA, change(1))]
        await asyncio.gather(bus.unsubscribe([ADA]), bus.subscribe([BOB]))
        await bus.publish([(ADA, change(2)), (BOB, change(2))])
        assert await heard_until_last(bus, listener) == [(BOB, change(2))]
        await bus.unsubscribe([BOB])


async def test_whoever_subscribes_again_right_after_unsubscribe_misses_nothing(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    for version in range(50):
        await bus.subscribe([ADA])
        assert await bus.publish([(ADA, change(version))])
        assert await listener.next_change() == (ADA, change(version))
        await bus.unsubscribe([ADA])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (InboxKey("a", "b:c"), InboxKey("a:b", "c")),
        (InboxKey("1", "1:ab"), InboxKey("11", ":ab")),
        (InboxKey("", "ab"), InboxKey("a", "b")),
        (InboxKey("default", "*"), InboxKey("default", "ada")),
        (InboxKey("default", "a\r\nb \x00"), InboxKey("default", "a")),
        (InboxKey("default", "日本"), InboxKey("default", "\U0001f514")),
    ],
)
async def test_users_and_tenants_of_any_characters_are_kept_apart(
    cluster: Cluster, one: InboxKey, other: InboxKey
) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([one])
    await bus.publish([(other, change(1)), (one, change(2))])
    assert await heard_until_last(bus, listener) == [(one, change(2))]


async def test_a_topics_events_are_heard_by_the_nodes_that_subscribed_to_it(cluster: Cluster) -> None:
    bus, heard = await cluster.node()
    other, heard_elsewhere = await cluster.node()
    third, heard_by_third = await cluster.node()
    everyone = TopicKey("default", BROADCAST)
    await bus.subscribe([ADA, SALES])
    await other.subscribe([SALES, everyone])
    assert await third.publish([(SALES, SharedChange(7, 3)), (everyone, SharedChange(8, 0)), (ADA, change(1))])
    assert await heard.next_shared() == (SALES, SharedChange(7, 3))
    assert await heard.next_change() == (ADA, change(1))
    assert {await heard_elsewhere.next_shared() for _ in range(2)} == {
        (SALES, SharedChange(7, 3)),
        (everyone, SharedChange(8, 0)),
    }
    assert await heard_until_last(third, heard_by_third) == []
    assert heard.shared.empty()
    assert heard_by_third.shared.empty()


async def test_a_topics_events_keep_their_order(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([SALES])
    sent = [SharedChange(position, position - 1) for position in range(1, 51)]
    assert all(await asyncio.gather(*(bus.publish([(SALES, event)]) for event in sent)))
    assert [(await listener.next_shared())[1] for _ in sent] == sent


async def test_a_topic_is_heard_no_more_after_unsubscribe(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    await bus.subscribe([SALES, ADA])
    await bus.unsubscribe([SALES])
    await bus.publish([(SALES, SharedChange(1, 0)), (ADA, change(1))])
    assert await heard_until_last(bus, listener) == [(ADA, change(1))]
    await bus.subscribe([SALES])
    await bus.publish([(SALES, SharedChange(2, 1))])
    assert await listener.next_shared() == (SALES, SharedChange(2, 1))
    assert listener.shared.empty()


async def test_a_topic_and_a_user_of_one_name_are_kept_apart(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    namesake = TopicKey(*ADA)
    await bus.subscribe([namesake])
    await bus.publish([(ADA, change(1)), (namesake, SharedChange(1, 0))])
    assert await listener.next_shared() == (namesake, SharedChange(1, 0))
    assert await heard_until_last(bus, listener) == []
    await bus.subscribe([ADA])
    await bus.unsubscribe([namesake])
    await bus.publish([(namesake, SharedChange(2, 1)), (ADA, change(2))])
    assert await heard_until_last(bus, listener) == [(ADA, change(2))]
    assert listener.shared.empty()


async def test_everybody_hears_what_is_due(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    _, other = await cluster.node()
    await bus.announce_due(1_800_000_000_000)
    assert await listener.next_due() == 1_800_000_000_000
    assert await other.next_due() == 1_800_000_000_000


async def test_it_is_healthy_and_nothing_was_missed_so_far(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    assert await bus.healthy()
    assert await heard_until_last(bus, listener) == []
    assert listener.gaps.empty()


async def test_a_closed_bus_tells_nothing_and_closes_twice(cluster: Cluster) -> None:
    bus, listener = await cluster.node()
    other, _ = await cluster.node()
    await bus.subscribe([ADA])
    await bus.close()
    await bus.close()
    await other.publish([(ADA, change(1))])
    assert listener.changes.empty()
