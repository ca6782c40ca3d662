"""Presence while Redis is away, empty, hanging or full of foreign data: doubt is UNKNOWN."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from hub.bus.presence import RedisPresence
from hub.core.model import Attention, InboxKey
from hub.ports import OFFLINE_AFTER, PRESENCE_TTL, PresenceEntry, PresenceState
from tests.support.clock import ManualClock
from tests.support.proxy import Proxy, proxy_to
from tests.support.valkey import Valkey, valkey_server

ADA = InboxKey("default", "ada")
BOB = InboxKey("default", "bob")
UNKNOWN = PresenceState(Attention.UNKNOWN, 0, None)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey_server() as server:
        yield server


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def admin(stack: AsyncExitStack, url: str) -> Redis:
    return await stack.enter_async_context(Redis.from_url(url, protocol=2))


async def proxied(stack: AsyncExitStack, server: Valkey) -> tuple[Proxy, str]:
    proxy = await stack.enter_async_context(proxy_to(server.port))
    return proxy, f"redis://127.0.0.1:{proxy.port}/0"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def presence(server: Valkey, stack: AsyncExitStack, clock: ManualClock) -> RedisPresence:
    """State old enough to be believed."""
    presence = RedisPresence(server.url)
    stack.push_async_callback(presence.close)
    for _ in range(5):
        await presence.refresh([], clock.advance(15_000))
    assert (await presence.read([ADA], clock.now()))[ADA].attention is Attention.OFFLINE
    return presence


async def test_after_a_flush_it_knows_nothing_for_a_while(
    server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
) -> None:
    await (await admin(stack, server.url)).flushall()
    assert (await presence.read([ADA], clock.now()))[ADA] == UNKNOWN
    await presence.refresh([], clock.now())
    for _ in range(OFFLINE_AFTER // 15_000):
        await presence.refresh([], clock.advance(15_000))
    assert (await presence.read([ADA], clock.now()))[ADA].attention is Attention.OFFLINE


async def test_a_flush_forgets_the_scripts_too(
    server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
) -> None:
    await (await admin(stack, server.url)).script_flush()
    await presence.refresh([PresenceEntry(ADA, "one", Attention.AWAY)], clock.now())
    assert (await presence.read([ADA], clock.now()))[ADA].attention is Attention.AWAY


async def test_while_away_it_knows_nothing_and_never_raises(
    server: Valkey, presence: RedisPresence, clock: ManualClock
) -> None:
    server.kill()
    entry = PresenceEntry(ADA, "one", Attention.ACTIVE)
    await presence.refresh([entry], clock.now())
    await presence.leave([entry], clock.now())
    assert await presence.read([ADA, BOB], clock.now()) == {ADA: UNKNOWN, BOB: UNKNOWN}


async def test_a_silent_server_is_not_waited_for(server: Valkey, stack: AsyncExitStack, clock: ManualClock) -> None:
    proxy, url = await proxied(stack, server)
    presence = RedisPresence(url, timeout=0.1)
    stack.push_async_callback(presence.close)
    proxy.freeze()
    assert await presence.read([ADA], clock.now()) == {ADA: UNKNOWN}


async def test_after_an_outage_entries_that_faded_meanwhile_prove_nothing(
    server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
) -> None:
    """Cut off from Redis, nodes could not refresh: their users look gone, and are not."""
    await presence.refresh([PresenceEntry(ADA, "one", Attention.ACTIVE)], clock.now())
    clock.advance(PRESENCE_TTL + OFFLINE_AFTER)
    another = RedisPresence(server.url)
    stack.push_async_callback(another.close)
    await presence.refresh([PresenceEntry(BOB, "two", Attention.ACTIVE)], clock.now())
    assert (await another.read([ADA], clock.now()))[ADA].attention is Attention.UNKNOWN


async def test_whoever_was_cut_off_doubts_what_it_reads(
    server: Valkey, stack: AsyncExitStack, clock: ManualClock
) -> None:
    proxy, url = await proxied(stack, server)
    reader, node = RedisPresence(url, timeout=0.1), RedisPresence(server.url)
    stack.push_async_callback(reader.close)
    stack.push_async_callback(node.close)
    for _ in range(5):
        await node.refresh([], clock.advance(15_000))
    proxy.freeze()
    await reader.read([ADA], clock.now())
    proxy.thaw()
    reader._commands.try_again()
    assert (await reader.read([ADA], clock.now()))[ADA].attention is Attention.UNKNOWN
    clock.advance(OFFLINE_AFTER)
    assert (await reader.read([ADA], clock.now()))[ADA].attention is Attention.OFFLINE


@pytest.mark.parametrize("value", [b"", b"soon:active", b"1800000000000", b"1800000000000:asleep", b"\xff"])
async def test_foreign_data_is_unknown(
    server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock, value: bytes
) -> None:
    client = await admin(stack, server.url)
    await presence.refresh([PresenceEntry(ADA, "one", Attention.ACTIVE)], clock.now())
    (name,) = await client.keys("bellwire:*:presence:user:*")
    await client.hset(name, "ctwo", value)
    assert (await presence.read([ADA], clock.now()))[ADA] == UNKNOWN
    await client.set(name, "a string")
    assert (await presence.read([ADA], clock.now()))[ADA] == UNKNOWN


async def test_faded_connections_of_dead_nodes_are_cleared_away(
    server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
) -> None:
    await presence.refresh([PresenceEntry(ADA, f"dead-{n}", Attention.AWAY) for n in range(20)], clock.now())
    for _ in range(PRESENCE_TTL // 15_000):
        await presence.refresh([PresenceEntry(ADA, "alive", Attention.AWAY)], clock.advance(15_000))
    client = await admin(stack, server.url)
    (name,) = await client.keys("bellwire:*:presence:user:*")
    assert await client.hkeys(name) == [b"calive"]
