"""A real Redis Cluster while it moves slots, fails over, and loses a part."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from hub.bus.names import SLOTS, channel_of, partition_in
from hub.bus.presence import RedisPresence
from hub.core.model import Attention, InboxKey
from hub.ports import PresenceEntry
from tests.support.clock import ManualClock
from tests.support.listener import PATIENCE
from tests.support.redis_bus import CHANGE, flows, started
from tests.support.valkey import Valkey, ValkeyCluster, valkey_cluster


@pytest.fixture(scope="module")
def shared() -> Iterator[ValkeyCluster]:
    """A cluster whose slots may lie anywhere, as tests move them."""
    with valkey_cluster() as cluster:
        yield cluster


@pytest.fixture
def breakable() -> Iterator[ValkeyCluster]:
    with valkey_cluster() as cluster:
        yield cluster


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def users_of(cluster: ValkeyCluster, node: Valkey) -> Iterator[InboxKey]:
    """Yield users that live on a node, each in a slot of its own."""
    slots = set()
    for number in itertools.count():
        key = InboxKey("default", f"user-{number}")
        slot = SLOTS[channel_of(key)[0]]
        if slot not in slots and cluster.node_of(slot) is node:
            slots.add(slot)
            yield key


def slot_of(key: InboxKey) -> int:
    return SLOTS[channel_of(key)[0]]


def test_partitions_are_slots_as_the_server_counts_them(shared: ValkeyCluster) -> None:
    for number in range(20):
        partition, channel = channel_of(InboxKey("default", f"}}user{{{number}"))
        assert partition_in(channel) == partition
        assert shared.nodes[0].ask("CLUSTER", "KEYSLOT", channel) == SLOTS[partition]


async def test_a_slot_that_moves_takes_its_users_along_and_harms_no_other(
    shared: ValkeyCluster, stack: AsyncExitStack
) -> None:
    source, target = shared.nodes[:2]
    moving, staying, theirs = (
        *itertools.islice(users_of(shared, source), 2),
        next(users_of(shared, target)),
    )
    bus, listener = await started(stack, shared.url, probe_every=PATIENCE)
    await bus.subscribe([moving, staying, theirs])
    assert bus._subscriber is not None
    before = dict(bus._subscriber._links)
    await asyncio.to_thread(shared.migrate, slot_of(moving), target)
    await listener.next_gap()
    for key in (moving, staying, theirs):
        assert await flows(bus, listener, key)
    assert before == bus._subscriber._links, "no connection was made anew"
    assert all(link.listening for link in before.values())


async def test_a_publisher_that_knows_an_old_place_is_told_the_new_one(
    shared: ValkeyCluster, stack: AsyncExitStack
) -> None:
    source, target = shared.nodes[1:3]
    key, other = itertools.islice(users_of(shared, source), 2)
    publisher, _ = await started(stack, shared.url, probe_every=PATIENCE)
    bus, listener = await started(stack, shared.url)
    assert await publisher.publish([(key, CHANGE)])
    await asyncio.to_thread(shared.migrate, slot_of(key), target)
    await bus.subscribe([key, other])
    while listener.changes.empty():  # until the subscriber has followed, too
        assert await publisher.publish([(key, CHANGE), (other, CHANGE)])
        if (await listener.next_change())[0] == key:
            break


async def test_presence_follows_a_slot(shared: ValkeyCluster, stack: AsyncExitStack) -> None:
    source, target = shared.nodes[2], shared.nodes[0]
    user, clock = next(users_of(shared, source)), ManualClock()
    presence = RedisPresence(shared.url)
    stack.push_async_callback(presence.close)
    await presence.read([user], clock.now())
    shared.flush()
    await asyncio.to_thread(shared.migrate, slot_of(user), target)
    await presence.refresh([PresenceEntry(user, "one", Attention.ACTIVE)], clock.now())
    assert (await presence.read([user], clock.now()))[user].attention is Attention.ACTIVE


async def test_a_lost_part_is_missed_by_its_own_users_only(breakable: ValkeyCluster, stack: AsyncExitStack) -> None:
    lost, kept = (next(users_of(breakable, node)) for node in breakable.nodes[:2])
    clock = ManualClock()
    bus, listener = await started(stack, breakable.url)
    presence = RedisPresence(breakable.url)
    stack.push_async_callback(presence.close)
    await bus.subscribe([lost, kept])
    entries = [PresenceEntry(key, "one", Attention.ACTIVE) for key in (lost, kept)]
    await presence.refresh(entries, clock.now())
    breakable.nodes[0].kill()
    assert not await bus.publish([(lost, CHANGE), (kept, CHANGE)])
    assert await listener.next_change() == (kept, CHANGE)
    for _ in range(3):
        assert await flows(bus, listener, kept)
    assert await bus.healthy()
    await presence.refresh(entries, clock.advance(5))
    states = await presence.read([lost, kept], clock.now())
    assert [states[lost].attention, states[kept].attention] == [Attention.UNKNOWN, Attention.ACTIVE]
    assert states[kept].last_seen_at == clock.now()


async def test_a_promoted_replica_is_found_and_its_users_hear_again(
    breakable: ValkeyCluster, stack: AsyncExitStack
) -> None:
    with ExitStack() as servers:
        await asyncio.to_thread(breakable.add_replica, breakable.nodes[0], servers)
        failing, kept = (next(users_of(breakable, node)) for node in breakable.nodes[:2])
        bus, listener = await started(stack, breakable.url)
        await bus.subscribe([failing, kept])
        assert await flows(bus, listener, failing)
        breakable.nodes[0].kill()
        assert await flows(bus, listener, kept)
        await listener.next_gap()
        assert await flows(bus, listener, failing)
