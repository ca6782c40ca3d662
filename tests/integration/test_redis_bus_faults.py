"""Redis going away, coming back empty, hanging, and talking nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack

import pytest
import structlog
from redis.asyncio import Redis

from hub.bus.names import DUE, channel_of
from hub.bus.redis import RedisBus
from hub.bus.sender import FLUSH_BYTES, Message, Sender
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from tests.support.listener import PATIENCE, RecordingListener
from tests.support.proxy import Proxy, proxy_to
from tests.support.redis_bus import ADA, BOB, CHANGE, be_patient, flows, link_of, started
from tests.support.valkey import Valkey, valkey_server

ADA_CHANNEL = channel_of(ADA)[1]


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
    link, given_up = link_of(bus), asyncio.Event()
    failed = link._outage.failed

    def notice(error: BaseException) -> None:
        failed(error)
        be_patient(bus)
        given_up.set()

    link._outage.failed = notice  # type: ignore[method-assign]  # to await it
    proxy.freeze()
    async with asyncio.timeout(PATIENCE):
        await given_up.wait()
    proxy.thaw()
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_a_quiet_connection_is_kept(server: Valkey, stack: AsyncExitStack) -> None:
    bus, listener = await started(stack, server.url)
    client = await admin(stack, server.url)
    async with asyncio.timeout(PATIENCE):
        while (await client.info("commandstats")).get("cmdstat_ping", {"calls": 0})["calls"] < 10:
            await client.echo("still here")
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


async def test_after_a_failure_publishers_are_spared_the_next_attempts(server: Valkey, stack: AsyncExitStack) -> None:
    bus = RedisBus(server.url)
    stack.push_async_callback(bus.close)
    server.kill()
    assert not await bus.publish([(ADA, CHANGE)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.bus.sender.connect", None)  # to call it would fail
        with structlog.testing.capture_logs() as logs:
            assert not await bus.publish([(ADA, CHANGE)])
    assert not logs


async def test_a_publish_survives_the_loss_of_a_connection_that_had_worked(
    server: Valkey, stack: AsyncExitStack
) -> None:
    proxy, url = await proxied(stack, server)
    bus = RedisBus(url, timeout=PATIENCE)
    stack.push_async_callback(bus.close)
    assert await bus.publish([(ADA, CHANGE)])
    (sender,) = bus._publisher._senders.values()
    assert sender._connection is not None
    proxy.freeze()
    publishing = asyncio.create_task(bus.publish([(ADA, CHANGE)]))
    while not sender._connection._asked:  # noqa: ASYNC110 - a turn of the event loop, not a length of time
        await asyncio.sleep(0)
    proxy.drop()
    proxy.thaw()
    assert await publishing


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
    await client.publish(ADA_CHANNEL, nonsense)
    await listener.next_gap()
    await client.publish(DUE, nonsense)
    await listener.next_gap()
    assert await flows(bus, listener)
    assert listener.dues.empty()


async def test_a_listener_that_fails_does_not_end_the_bus(server: Valkey, stack: AsyncExitStack) -> None:
    class Faulty(RecordingListener):
        def on_due(self, due_at: int) -> None:
            raise ZeroDivisionError

    bus, listener = RedisBus(server.url, confirm_within=PATIENCE, probe_every=0.05), Faulty()
    stack.push_async_callback(bus.close)
    await bus.start(listener)
    await bus.subscribe([ADA])
    await bus.announce_due(1)
    await listener.next_gap()
    assert await flows(bus, listener)


async def test_a_big_publish_goes_out_in_pieces(server: Valkey, stack: AsyncExitStack) -> None:
    bus, _ = await started(stack, server.url, probe_every=PATIENCE)
    flushes: list[int] = []
    send = Sender._send

    async def spy(self: Sender, flush: Sequence[Message]) -> Sequence[object]:
        flushes.append(sum(message.size for message in flush))
        return await send(self, flush)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sender, "_send", spy)
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
