"""A primary, its replica, and a sentinel that changes their parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from hub.bus.presence import RedisPresence
from hub.core.model import Attention
from hub.ports import PresenceEntry
from tests.support.clock import ManualClock
from tests.support.redis_bus import ADA, CHANGE, flows, started
from tests.support.valkey import Sentinel, Valkey, sentinel_of, valkey_server


class Trio(NamedTuple):
    primary: Valkey
    replica: Valkey
    sentinel: Sentinel


@pytest.fixture
def trio() -> Iterator[Trio]:
    with valkey_server() as primary, valkey_server() as replica, sentinel_of(primary, replica) as sentinel:
        yield Trio(primary, replica, sentinel)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_after_a_failover_the_new_primary_is_heard(trio: Trio, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, trio.sentinel.url)
    presence, clock = RedisPresence(trio.sentinel.url), ManualClock()
    stack.push_async_callback(presence.close)
    entry = PresenceEntry(ADA, "one", Attention.ACTIVE)
    await bus.subscribe([ADA])
    assert await flows(bus, listener)
    await presence.refresh([entry], clock.now())
    trio.primary.kill()
    assert not await bus.publish([(ADA, CHANGE)])
    await presence.refresh([entry], clock.now())
    await listener.next_gap()
    assert trio.sentinel.primary() == trio.replica.port
    assert await flows(bus, listener)
    assert await bus.healthy()
    presence._commands.try_again()
    await presence.refresh([entry], clock.advance(5))
    assert (await presence.read([ADA], clock.now()))[ADA].last_seen_at == clock.now()


async def test_a_primary_that_lives_on_as_a_replica_is_left(trio: Trio, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, trio.sentinel.url)
    await bus.subscribe([ADA])
    await asyncio.to_thread(trio.sentinel.ask, "SENTINEL", "FAILOVER", "bells")
    await listener.next_gap()
    assert await flows(bus, listener)
    assert [server.port for server in bus._publisher._senders] == [trio.replica.port]


async def test_without_any_sentinel_it_starts_and_waits(trio: Trio, stack: AsyncExitStack) -> None:
    known = trio.sentinel.url.replace("bells", "others")
    bus, listener = await started(stack, known, confirm_within=0.05)
    await bus.subscribe([ADA])
    assert not await bus.healthy()
    assert not await bus.publish([(ADA, CHANGE)])
    trio.sentinel.ask("SENTINEL", "MONITOR", "others", "127.0.0.1", trio.primary.port, 1)
    await listener.next_gap()
    bus._publisher._looking.worked()
    assert await flows(bus, listener)
