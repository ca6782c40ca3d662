"""Redis going away, coming back empty, hanging, and talking nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import structlog
from redis.asyncio import Redis

from hub.bus.presence import RedisPresence
from hub.bus.publisher import FLUSH_BYTES, Publisher
from hub.bus.redis import RedisBus, channel_of
from hub.core.errors import ConfigurationError
from hub.core.model import Attention, InboxKey
from hub.core.wire import LiveChange
from hub.ports import OFFLINE_AFTER, PRESENCE_TTL, PresenceEntry, PresenceState
from tests.support.clock import ManualClock
from tests.support.listener import PATIENCE, RecordingListener
from tests.support.proxy import Proxy, proxy_to
from tests.support.valkey import Valkey, valkey_server

ADA = InboxKey("default", "ada")
BOB = InboxKey("default", "bob")
CHANGE = LiveChange(epoch="0123456789ab", version=1, event="item", frame=b"{}")
UNKNOWN = PresenceState(Attention.UNKNOWN, 0, None)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey_server() as server:
        yield server


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def started(
    stack: AsyncExitStack,
    url: str,
    *,
    probe_every: float = 0.05,
    dead_after: float = PATIENCE,
    confirm_within: float = PATIENCE,
) -> tuple[RedisBus, RecordingListener]:
    """A bus that loses patience only where a test is about that: a busy machine is slow, not broken."""
    bus = RedisBus(url, probe_every=probe_every, dead_after=dead_after, confirm_within=confirm_within, timeout=PATIENCE)
    listener = RecordingListener()
    stack.push_async_callback(bus.close)
    await bus.start(listener)
    return bus, listener


async def admin(stack: AsyncExitStack, url: str) -> Redis:
    return await stack.enter_async_context(Redis.from_url(url, protocol=2))


async def proxied(stack: AsyncExitStack, server: Valkey) -> tuple[Proxy, str]:
    proxy = await stack.enter_async_context(proxy_to(server.port))
    return proxy, f"redis://127.0.0.1:{proxy.port}/0"


async def flows(bus: RedisBus, listener: RecordingListener, key: InboxKey = ADA) -> bool:
    """Tell whether a message published now arrives."""
    assert await bus.publish([(key, CHANGE)])
    return await listener.next_change() == (key, CHANGE)


async def test_after_a_restart_the_gap_is_told_and_messages_flow_again(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url)
    keys = [InboxKey("default", f"user-{number}") for number in range(1_100)]
    await bus.subscribe(keys)
    server.kill()
    await asyncio.to_thread(server.start)
    await listener.next_gap()
    for key in (keys[0], keys[-1]):
        assert await flows(bus, listener, key)
    assert listener.gaps.empty()


async def test_a_killed_pubsub_connection_is_made_anew(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url)
    await bus.subscribe([ADA])
    client = await admin(stack, server.url)
    assert await client.client_kill_filter(_type="pubsub") == 1
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_a_silent_connection_is_noticed(server: Valkey, stack: AsyncExitStack) -> None:
    proxy, url = await proxied(stack, server)
    bus, listener = await started(stack, url, dead_after=0.2)
    await bus.subscribe([ADA])
    await proxy.accepted.get()
    proxy.freeze()
    async with asyncio.timeout(PATIENCE):
        await proxy.accepted.get()  # the bus has given up the first connection
    bus._subscriber._dead_after = PATIENCE
    proxy.thaw()
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_a_quiet_connection_is_kept(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url)
    client = await admin(stack, server.url)
    before = bus._subscriber._heard_at
    async with asyncio.timeout(PATIENCE):
        while (await client.info("commandstats")).get("cmdstat_ping", {"calls": 0})["calls"] < 10:
            await client.echo("still here")
    assert bus._subscriber._heard_at > before
    assert listener.gaps.empty()
    assert await bus.healthy()


async def test_what_was_on_its_way_while_unsubscribing_is_not_heard(server: Valkey, stack: AsyncExitStack) -> None:
    proxy, url = await proxied(stack, server)
    bus, listener = await started(stack, url)
    other, _ = await started(stack, server.url)
    await bus.subscribe([ADA])
    await bus.subscribe([BOB])
    proxy.freeze()
    await other.publish([(ADA, CHANGE), (BOB, CHANGE)])
    await bus.unsubscribe([ADA])
    proxy.thaw()
    assert await listener.next_change() == (BOB, CHANGE)
    assert listener.changes.empty()
    assert listener.gaps.empty()


async def test_a_dropped_connection_is_made_anew(server: Valkey, stack: AsyncExitStack) -> None:
    proxy, url = await proxied(stack, server)
    bus, listener = await started(stack, url)
    await bus.subscribe([ADA])
    proxy.drop()
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_while_redis_is_away_nothing_fails_and_little_waits(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url, confirm_within=0.1)
    await bus.subscribe([ADA])
    server.kill()
    assert not await bus.publish([(ADA, CHANGE)])
    assert not await bus.healthy()
    await bus.announce_due(1)
    await bus.unsubscribe([ADA])
    await bus.subscribe([BOB])
    await asyncio.to_thread(server.start)
    await listener.next_gap()
    assert await bus.healthy()
    assert await flows(bus, listener, BOB)


async def test_a_publish_into_a_silent_connection_gives_up(server: Valkey, stack: AsyncExitStack) -> None:
    proxy, url = await proxied(stack, server)
    bus = RedisBus(url, timeout=0.1)
    stack.push_async_callback(bus.close)
    assert await bus.publish([(ADA, CHANGE)])
    proxy.freeze()
    assert not await bus.publish([(ADA, CHANGE)])
    assert not await bus.healthy()


async def test_starting_without_redis_ends_in_a_gap_once_it_is_there(server: Valkey, stack: AsyncExitStack) -> None:
    server.kill()
    bus, listener = await started(stack, server.url, confirm_within=0.1)
    await bus.subscribe([ADA])
    assert not await bus.healthy()
    await asyncio.to_thread(server.start)
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_a_late_confirmation_ends_in_a_gap(server: Valkey, stack: AsyncExitStack) -> None:
    proxy, url = await proxied(stack, server)
    bus, listener = await started(stack, url, probe_every=PATIENCE)
    bus._confirm_within = 0.05
    proxy.freeze()
    await bus.subscribe([ADA])
    assert listener.gaps.empty()
    proxy.thaw()
    await listener.next_gap()
    assert await flows(bus, listener)


@pytest.mark.parametrize("nonsense", [b"", b"\xc1", b"\x93\xa1e\xa1x\xa1y", b"hello"])
async def test_what_cannot_be_read_is_taken_for_a_gap(server: Valkey, stack: AsyncExitStack, nonsense: bytes) -> None:
    bus, listener = await started(stack, server.url)
    await bus.subscribe([ADA])
    client = await admin(stack, server.url)
    await client.publish(channel_of(ADA), nonsense)
    await listener.next_gap()
    await client.publish("bellwire:due", nonsense)
    await listener.next_gap()
    assert await flows(bus, listener)
    assert listener.dues.empty()


async def test_a_listener_that_fails_does_not_end_the_bus(server: Valkey, stack: AsyncExitStack) -> None:
    class Faulty(RecordingListener):
        def on_due(self, due_at: int) -> None:
            raise ZeroDivisionError

    bus, listener = RedisBus(server.url, confirm_within=PATIENCE), Faulty()
    stack.push_async_callback(bus.close)
    await bus.start(listener)
    await bus.subscribe([ADA])
    await bus.announce_due(1)
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_a_big_publish_goes_out_in_pieces(server: Valkey, stack: AsyncExitStack) -> None:
    bus, _ = await started(stack, server.url)
    flushes: list[int] = []
    send = Publisher._send

    async def spy(self: Publisher, messages: list[tuple[bytes, bytes]]) -> bool:
        flushes.append(sum(len(payload) for _, payload in messages))
        return await send(self, messages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Publisher, "_send", spy)
        change = LiveChange(epoch="e", version=1, event="item", frame=b"x" * 4_000)
        assert await bus.publish([(InboxKey("default", str(number)), change) for number in range(1_000)])
    assert sum(flushes) > 4_000_000
    assert max(flushes) <= FLUSH_BYTES
    assert len(flushes) == 5


async def test_a_closed_bus_publishes_no_more(server: Valkey, stack: AsyncExitStack) -> None:
    bus, _ = await started(stack, server.url)
    await bus.close()
    assert not await bus.publish([(ADA, CHANGE)])


async def test_an_outage_is_logged_once_and_without_the_password(server: Valkey, stack: AsyncExitStack) -> None:
    server.kill()
    with structlog.testing.capture_logs() as logs:
        url = f"redis://ada:hunter2@127.0.0.1:{server.port}/0"
        bus, listener = await started(stack, url, confirm_within=0.1)
        for _ in range(5):
            await bus.publish([(ADA, CHANGE)])
    assert sorted(line["part"] for line in logs) == ["publishing", "subscribing"]
    assert {line["event"] for line in logs} == {"redis_unreachable"}
    assert "hunter2" not in repr(logs)
    assert listener.gaps.empty()


@pytest.mark.parametrize(
    "url",
    ["http://:hunter2@localhost", "redis://:hunter2@localhost:port/0", "redis://localhost?hunter2=1", "hunter2", ""],
)
async def test_a_bad_url_is_refused_without_repeating_it(url: str) -> None:
    for adapter in (RedisBus, RedisPresence):
        with pytest.raises(ConfigurationError) as caught:
            adapter(url)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


class TestPresence:
    """Doubt is UNKNOWN."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    async def presence(self, server: Valkey, stack: AsyncExitStack, clock: ManualClock) -> RedisPresence:
        """State old enough to be believed."""
        presence = RedisPresence(server.url)
        stack.push_async_callback(presence.close)
        for _ in range(5):
            await presence.refresh([], clock.advance(15_000))
        assert (await presence.read([ADA], clock.now()))[ADA].attention is Attention.OFFLINE
        return presence

    async def test_after_a_flush_it_knows_nothing_for_a_while(
        self, server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
    ) -> None:
        await (await admin(stack, server.url)).flushall()
        assert (await presence.read([ADA], clock.now()))[ADA] == UNKNOWN
        await presence.refresh([], clock.now())
        for _ in range(OFFLINE_AFTER // 15_000):
            await presence.refresh([], clock.advance(15_000))
        assert (await presence.read([ADA], clock.now()))[ADA].attention is Attention.OFFLINE

    async def test_a_flush_forgets_the_scripts_too(
        self, server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
    ) -> None:
        await (await admin(stack, server.url)).script_flush()
        await presence.refresh([PresenceEntry(ADA, "one", Attention.AWAY)], clock.now())
        assert (await presence.read([ADA], clock.now()))[ADA].attention is Attention.AWAY

    async def test_while_away_it_knows_nothing_and_never_raises(
        self, server: Valkey, presence: RedisPresence, clock: ManualClock
    ) -> None:
        server.kill()
        entry = PresenceEntry(ADA, "one", Attention.ACTIVE)
        await presence.refresh([entry], clock.now())
        await presence.leave([entry], clock.now())
        assert await presence.read([ADA, BOB], clock.now()) == {ADA: UNKNOWN, BOB: UNKNOWN}

    async def test_a_silent_server_is_not_waited_for(
        self, server: Valkey, stack: AsyncExitStack, clock: ManualClock
    ) -> None:
        proxy, url = await proxied(stack, server)
        presence = RedisPresence(url, timeout=0.1)
        stack.push_async_callback(presence.close)
        proxy.freeze()
        assert await presence.read([ADA], clock.now()) == {ADA: UNKNOWN}

    async def test_after_an_outage_entries_that_faded_meanwhile_prove_nothing(
        self, server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
    ) -> None:
        """Cut off from Redis, nodes could not refresh: their users look gone, and are not."""
        await presence.refresh([PresenceEntry(ADA, "one", Attention.ACTIVE)], clock.now())
        clock.advance(PRESENCE_TTL + OFFLINE_AFTER)
        another = RedisPresence(server.url)
        stack.push_async_callback(another.close)
        await presence.refresh([PresenceEntry(BOB, "two", Attention.ACTIVE)], clock.now())
        assert (await another.read([ADA], clock.now()))[ADA].attention is Attention.UNKNOWN

    async def test_whoever_was_cut_off_doubts_what_it_reads(
        self, server: Valkey, stack: AsyncExitStack, clock: ManualClock
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
        reader._outage.worked()
        assert (await reader.read([ADA], clock.now()))[ADA].attention is Attention.UNKNOWN
        clock.advance(OFFLINE_AFTER)
        assert (await reader.read([ADA], clock.now()))[ADA].attention is Attention.OFFLINE

    @pytest.mark.parametrize("value", [b"", b"soon:active", b"1800000000000", b"1800000000000:asleep", b"\xff"])
    async def test_foreign_data_is_unknown(
        self, server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock, value: bytes
    ) -> None:
        client = await admin(stack, server.url)
        await presence.refresh([PresenceEntry(ADA, "one", Attention.ACTIVE)], clock.now())
        (name,) = await client.keys("bellwire:presence:user:*")
        await client.hset(name, "ctwo", value)
        assert (await presence.read([ADA], clock.now()))[ADA] == UNKNOWN
        await client.set(name, "a string")
        presence._outage.worked()
        assert (await presence.read([ADA], clock.now()))[ADA] == UNKNOWN

    async def test_faded_connections_of_dead_nodes_are_cleared_away(
        self, server: Valkey, stack: AsyncExitStack, presence: RedisPresence, clock: ManualClock
    ) -> None:
        await presence.refresh([PresenceEntry(ADA, f"dead-{n}", Attention.AWAY) for n in range(20)], clock.now())
        for _ in range(PRESENCE_TTL // 15_000):
            await presence.refresh([PresenceEntry(ADA, "alive", Attention.AWAY)], clock.advance(15_000))
        client = await admin(stack, server.url)
        (name,) = await client.keys("bellwire:presence:user:*")
        assert await client.hkeys(name) == [b"calive"]
