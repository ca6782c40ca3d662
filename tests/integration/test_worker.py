"""The worker over a real queue, on both databases: claims, sends, settles, and survives what happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest
import structlog.testing

from fallback.lanes import LEASE
from fallback.providers.base import Ok, Permanent, Transient
from fallback.registry import ProviderRegistry
from fallback.render import Renderer
from fallback.rescuer import MAX_CLAIMS
from fallback.worker import Worker
from hub.bus.memory import MemoryBus
from hub.core import wire
from hub.core.model import Attention, Channel, DeliveryState, InboxKey, MarkAction, Priority, Selection, Step
from hub.core.model.queues import EventKind, Gauges, QueueKey, RateKey, WorkerSign
from hub.core.plan import RECHECK
from hub.core.retry import POLICIES
from hub.core.views import rfc3339
from hub.ports import ExpansionKey, Lane, Settlement
from hub.revoked import RevokedTokens
from hub.service import Hub
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.directory import SqlDirectory
from hub.store.engine import Database, open_database
from hub.store.expansions import SqlExpansions
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.queue_control import SqlQueueControl
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore
from hub.store.worker_reports import SqlWorkerReports
from tests.support.clock import START, ManualClock
from tests.support.deliveries import FixedPresence
from tests.support.scripted import ScriptedProvider
from tests.support.shared_rows import SharedRows

ADA = InboxKey("default", "ada")
MAIL = QueueKey("default", Channel.EMAIL)
MINUTE = 60_000
LOOPS = 9
"""How many loops a worker has."""


@dataclass
class World:
    """A hub over a database, with a provider a channel that does as it is told."""

    hub: Hub
    queue: SqlDeliveryQueue
    expansions: SqlExpansions
    database: Database
    bus: MemoryBus
    clock: ManualClock
    presence: FixedPresence = field(default_factory=FixedPresence)
    email: ScriptedProvider = field(default_factory=ScriptedProvider)
    push: ScriptedProvider = field(default_factory=ScriptedProvider)

    def worker(self, **options: Any) -> Worker:
        chosen = {Channel.EMAIL: [self.email], Channel.PUSH: [self.push], **options.pop("providers", {})}
        providers = ProviderRegistry(chosen)
        return Worker(
            hub=self.hub,
            queue=self.queue,
            expansions=self.expansions,
            presence=self.presence,
            providers=providers,
            renderer=Renderer(),
            random=lambda: 0.0,
            **options,
        )

    async def publish(self, *plan: dict[str, Any], users: Sequence[str] = ("ada",), **fields: Any) -> UUID:
        request = {"recipients": list(users), "title": "Hello", "fallback": list(plan), **fields}
        outcome = await self.hub.notifications.publish("default", msgspec.convert(request, wire.PublishIn), None)
        return UUID(msgspec.json.decode(outcome.body, type=wire.PublishOut).id)

    async def states(self, notification: UUID) -> list[str]:
        found = await self.hub.notifications.status("default", notification)
        return [delivery.state for delivery in sorted(found.deliveries, key=lambda each: each.step)]

    async def read(self) -> None:
        await self.hub.inbox.mark(ADA, MarkAction.READ, Selection(all=True))


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[Worker]:
    async with asyncio.timeout(30), worker.running():
        yield worker


@pytest.fixture
def shared(world: World) -> SharedRows:
    return SharedRows(world.database)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_world(database_url) as made:
        yield made


@asynccontextmanager
async def open_world(url: str) -> AsyncIterator[World]:
    database = await open_database(url)
    clock, bus = ManualClock(), MemoryBus()
    hub = Hub(
        inbox=SqlInboxStore(database),
        log=SqlSharedLog(database),
        directory=SqlDirectory(database),
        personal=SqlPersonalData(database),
        tickets=SqlTicketStore(database),
        schedules=SqlScheduleStore(database),
        bus=bus,
        presence=FixedPresence(),
        clock=clock,
        revoked=RevokedTokens(SqlRevocations(database), clock),
    )
    await hub.users.put_contact("default", "ada", wire.ContactIn(email="ada@example.com"))
    await hub.users.add_device("default", "ada", wire.DeviceIn(token="token-1"))
    await hub.users.add_device("default", "ada", wire.DeviceIn(token="token-2"))
    try:
        yield World(hub, SqlDeliveryQueue(database), SqlExpansions(database), database, bus, clock)
    finally:
        await database.close()


def states(settlements: Sequence[Settlement]) -> list[DeliveryState]:
    return [settlement.state for settlement in settlements]


async def test_a_step_is_sent_when_it_is_due_and_once(world: World) -> None:
    worker = world.worker()
    notification = await world.publish({"channel": "email", "after": 60})
    assert await worker.run_once() == []
    world.clock.advance(MINUTE)
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert await worker.run_once() == []
    assert len(world.email.calls) == 1
    assert await world.states(notification) == ["sent"]


async def test_who_has_read_gets_nothing(world: World) -> None:
    worker = world.worker()
    notification = await world.publish({"channel": "email", "after": 60})
    await world.read()
    world.clock.advance(MINUTE)
    assert await worker.run_once() == []
    assert world.email.calls == []
    assert await world.states(notification) == ["cancelled"]


async def test_reading_after_the_claim_still_stops_the_send(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    notification = await world.publish({"channel": "email", "after": 0, "when": "offline"})
    read = world.presence.read

    async def read_meanwhile(keys: Sequence[InboxKey], now: int) -> Any:
        await world.read()
        return await read(keys, now)

    monkeypatch.setattr(world.presence, "read", read_meanwhile)
    assert states(await world.worker().run_once()) == [DeliveryState.CANCELLED]
    assert world.email.calls == []
    assert await world.states(notification) == ["cancelled"]


async def test_a_transient_failure_is_tried_again_until_it_works(world: World) -> None:
    worker = world.worker()
    notification = await world.publish({"channel": "email", "after": 0})
    world.email.default = Transient("busy", retry_after=MINUTE)
    assert states(await worker.run_once()) == [DeliveryState.QUEUED]
    assert await worker.run_once() == []
    world.email.default = Ok("m")
    world.clock.advance(MINUTE)
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    found = await world.hub.notifications.status("default", notification)
    assert [attempt.outcome for attempt in found.deliveries[0].attempts] == ["transient", "ok"]


async def test_attempts_end_and_the_next_step_has_its_turn(world: World) -> None:
    worker = world.worker()
    notification = await world.publish({"channel": "push", "after": 0}, {"channel": "email", "after": "1h"})
    world.push.default = Transient("busy", retry_after=1_000)
    for _ in range(2):
        assert states(await worker.run_once()) == [DeliveryState.QUEUED]
        world.clock.advance(1_000)
    assert states(await worker.run_once()) == [DeliveryState.FAILED]
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert await world.states(notification) == ["failed", "sent"]
    assert len(world.email.calls) == 1


async def test_of_two_devices_only_the_one_that_failed_is_tried_again(world: World) -> None:
    worker = world.worker()
    await world.publish({"channel": "push", "after": 0})
    world.push.outcomes = {"token-2": Transient("busy")}
    assert states(await worker.run_once()) == [DeliveryState.QUEUED]
    world.push.outcomes, reached = {}, list(world.push.calls)
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert len(reached) == 2
    assert world.push.calls[2:] == [reached[1]] or world.push.calls[2:] == [reached[0]]
    assert len(world.push.calls) == 3


async def test_a_device_that_is_gone_is_forgotten(world: World) -> None:
    await world.publish({"channel": "push", "after": 0})
    world.push.outcomes = {"token-1": Permanent("unregistered", endpoint_gone=True)}
    assert states(await world.worker().run_once()) == [DeliveryState.SENT]
    contact = await world.hub.users.contact("default", "ada")
    assert [device.token_hint[-1] for device in contact.devices] == ["2"]


async def test_a_step_for_offline_users_waits_as_long_as_it_takes(world: World) -> None:
    worker = world.worker()
    notification = await world.publish({"channel": "email", "after": 0, "when": "offline"})
    world.presence.attention = Attention.UNKNOWN
    for _ in range(2 * MAX_CLAIMS):
        assert states(await worker.run_once()) == [DeliveryState.QUEUED]
        assert await worker.run_once() == []
        world.clock.advance(RECHECK)
    world.presence.attention = Attention.OFFLINE
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert await world.states(notification) == ["sent"]


async def test_what_a_crashed_worker_held_is_sent_by_another(world: World) -> None:
    notification = await world.publish({"channel": "email", "after": 0})
    crashed = world.worker()
    world.email.block = asyncio.Event()
    await crashed._pool.fill()
    await world.email.called.wait()
    await crashed._pool.abandon()
    world.email.block = None
    worker = world.worker()
    assert await worker.run_once() == []
    world.clock.advance(LEASE)
    assert await world.queue.rescue(world.clock.now(), MAX_CLAIMS, 100) == 1
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert [delivery for _, delivery in world.email.calls] == [world.email.calls[0][1]] * 2
    assert await world.states(notification) == ["sent"]


async def test_a_renewed_lease_is_not_rescued_and_a_lost_one_drops_the_work(world: World) -> None:
    await world.publish({"channel": "email", "after": 0})
    worker = world.worker()
    world.email.block = asyncio.Event()
    await worker._pool.fill()
    await world.email.called.wait()
    for _ in range(3):
        world.clock.advance(LEASE - 1)
        assert await world.queue.rescue(world.clock.now(), MAX_CLAIMS, 100) == 0
        await worker._pool.renew()
    world.clock.advance(LEASE)
    assert await world.queue.rescue(world.clock.now(), MAX_CLAIMS, 100) == 1
    await worker._pool.renew()
    assert await worker._pool.drain() == []
    assert worker._pool.busy == 0


async def test_claims_that_are_dropped_leave_their_place_to_others(world: World) -> None:
    """Dropped before their task began, and while they waited for their turn."""
    for _ in range(3):
        await world.publish({"channel": "email", "after": 0})
    worker = world.worker(concurrency=1)
    lane = Lane(Channel.EMAIL, Priority.NORMAL)
    worker._pool._take(lane, await world.queue.claim(lane, world.clock.now(), LEASE, 2), world.clock.now() + LEASE)
    assert worker._pool.busy == 2
    await worker._pool.abandon()
    assert worker._pool.busy == 0
    world.clock.advance(LEASE)
    assert await world.queue.rescue(world.clock.now(), MAX_CLAIMS, 100) == 2

    settled = [each for _ in range(3) for each in await worker.run_once()]

    assert states(settled) == [DeliveryState.SENT] * 3


async def test_however_far_the_clock_jumps_a_worker_keeps_what_it_is_sending(world: World) -> None:
    notification, worker = await world.publish({"channel": "email", "after": 0}), world.worker()
    later = await world.publish({"channel": "email", "after": "2d"})
    world.email.block = asyncio.Event()
    await worker._pool.fill()
    await world.email.called.wait()
    world.clock.advance(24 * 60 * MINUTE)
    await worker._rescuer.round()
    world.email.block.set()
    assert states(await worker._pool.drain()) == [DeliveryState.SENT]
    assert await worker.run_once() == []
    assert len(world.email.calls) == 1
    assert [await world.states(each) for each in (notification, later)] == [["sent"], ["queued"]]


async def test_a_lease_that_ends_with_its_settlement_is_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal may find that what it asks for has just been settled, before those who settled it hear of that."""
    worker, settle = world.worker(), world.queue.settle
    await world.publish({"channel": "email", "after": 0})

    async def settle_and_renew(*arguments: Any) -> Any:
        settled = await settle(*arguments)
        await worker._pool.renew()
        return settled

    monkeypatch.setattr(world.queue, "settle", settle_and_renew)
    with structlog.testing.capture_logs() as logs:
        assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert [entry for entry in logs if entry["log_level"] == "warning"] == []


@pytest.mark.parametrize("renewed", [False, True])
async def test_who_stands_still_between_the_last_look_and_the_send_sends_only_what_is_still_leased(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    renewed: bool,  # noqa: FBT001 - an example's value
) -> None:
    notification, worker, look = await world.publish({"channel": "email", "after": 0}), world.worker(), world.queue.rung

    async def look_and_stand_still(*arguments: Any) -> Any:
        rung = await look(*arguments)
        if renewed:
            world.clock.advance(LEASE - 1)
            await worker._pool.renew()
            world.clock.advance(1)
        else:
            world.clock.advance(LEASE)
        return rung

    monkeypatch.setattr(world.queue, "rung", look_and_stand_still)
    expected = DeliveryState.SENT if renewed else DeliveryState.QUEUED
    assert states(await worker.run_once()) == [expected]
    assert len(world.email.calls) == renewed
    assert await world.states(notification) == [expected]


async def test_a_dead_provider_fills_only_its_own_lane_and_critical_has_room(world: World) -> None:
    world.push.block = asyncio.Event()
    for _ in range(5):
        await world.publish({"channel": "push", "after": 0})
    worker = world.worker(concurrency=2)
    await worker._pool.fill()
    await world.push.called.wait()
    assert worker._pool.busy == 2
    await world.publish({"channel": "email", "after": 0})
    await world.publish({"channel": "push", "after": 0}, priority="critical")
    await worker._pool.fill()
    assert worker._pool.busy == 4
    world.push.block.set()
    settled = await worker._pool.drain()
    while more := await worker.run_once():
        settled += more
    assert states(settled) == [DeliveryState.SENT] * 7


async def test_it_runs_is_woken_and_stops_with_everything_settled(world: World) -> None:
    waiting = asyncio.Semaphore(0)

    async def until_nudged(event: asyncio.Event, milliseconds: int) -> None:
        waiting.release()
        await event.wait()

    async with running(world.worker(wait=until_nudged)) as worker:
        for _ in range(LOOPS):  # every one has had its first round
            await waiting.acquire()
        notification = await world.publish({"channel": "email", "after": 0})
        worker.on_due(world.clock.now())
        await world.email.called.wait()
    assert await world.states(notification) == ["sent"]
    assert world.email.closed
    assert world.push.closed


async def test_each_loop_is_woken_for_what_comes_before_its_next_look(world: World) -> None:
    """The deliveries' next look may be soon and the timers' late; what is due in between must not wait for it."""
    worker = world.worker()
    woken: list[str] = []
    now = world.clock.now()
    loops = {"deliveries": worker._deliveries, "expansions": worker._expansions, "timers": worker._timers}
    for next_look, (name, loop) in enumerate(loops.items(), 1):
        loop.nudge = lambda name=name: woken.append(name)  # type: ignore[method-assign,misc] # to see who is woken
        loop._looks_at = now + 100 * next_look
    for due, expected in (
        (99, ["deliveries", "expansions", "timers"]),
        (100, ["expansions", "timers"]),
        (299, ["timers"]),
        (300, []),
    ):
        woken.clear()
        worker.on_due(now + due)
        assert woken == expected


async def test_what_is_due_shortly_after_what_was_just_claimed_is_not_late(world: World) -> None:
    for after in (60, 60.2):
        await world.publish({"channel": "email", "after": after})
    world.clock.advance(MINUTE)
    worker = world.worker()
    assert await worker._pool.fill() == 0
    assert await worker._pool.fill() == 200
    await worker._pool.drain()


async def test_a_full_lane_goes_on_by_itself(world: World) -> None:
    users = [f"user-{number}" for number in range(9)]
    for user in users:
        await world.hub.users.put_contact("default", user, wire.ContactIn(email=f"{user}@example.com"))
    notification = await world.publish({"channel": "email", "after": 0}, users=users)
    done = asyncio.Event()

    def count() -> None:
        if len(world.email.calls) == len(users) - 1:
            done.set()

    world.email.before = count

    async def until_nudged(event: asyncio.Event, milliseconds: int) -> None:
        await event.wait()

    async with running(world.worker(wait=until_nudged, concurrency=2)):
        await done.wait()
    assert await world.states(notification) == ["sent"] * len(users)


async def test_stopping_waits_for_the_send_under_way(world: World) -> None:
    notification = await world.publish({"channel": "email", "after": 0})
    world.email.block = release = asyncio.Event()
    async with running(world.worker()) as worker:
        await world.email.called.wait()
        worker.stop()
        asyncio.get_running_loop().call_soon(release.set)
    assert await world.states(notification) == ["sent"]


async def test_stopping_waits_for_a_send_that_was_just_being_claimed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    notification = await world.publish({"channel": "email", "after": 0})
    claim = world.queue.claim
    claiming, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        claiming.set()
        await go_on.wait()
        return await claim(*arguments)

    monkeypatch.setattr(world.queue, "claim", slow)
    world.email.block = release = asyncio.Event()
    async with running(world.worker()) as worker:
        await claiming.wait()
        worker.stop()
        await asyncio.sleep(0)  # it has begun to stop
        go_on.set()
        await world.email.called.wait()
        asyncio.get_running_loop().call_later(0.05, release.set)
    assert await world.states(notification) == ["sent"]
    assert len(world.email.calls) == 1


async def test_timers_are_applied(world: World) -> None:
    notification = await world.publish({"channel": "email", "after": "1h"}, expires_at="2027-01-15T08:01:00Z")
    rounds: list[int] = []
    applied = asyncio.Event()
    apply: Callable[[], Any] = world.hub.upkeep.apply_timers

    async def watched() -> int:
        count: int = await apply()
        rounds.append(count)
        if count:
            applied.set()
        return count

    world.hub.upkeep.apply_timers = watched  # type: ignore[method-assign] # to see when it has happened
    world.clock.advance(MINUTE)
    async with running(world.worker()):
        await applied.wait()
    assert await world.states(notification) == ["expired"]


async def test_an_audience_s_step_is_expanded_and_sent_when_it_is_due(world: World, shared: SharedRows) -> None:
    await shared.members("ben", "cyd", "dan", reachable=[Channel.EMAIL])
    await shared.members("eve", reachable=[])
    notification = await shared.publish([Step(Channel.EMAIL, MINUTE)])
    await shared.touch(notification, "cyd", seen_at=START)
    worker = world.worker(chunk=2)

    assert await worker.run_once() == []
    world.clock.advance(MINUTE)
    settled = await worker.run_once()
    while more := await worker.run_once():
        settled += more

    assert states(settled) == [DeliveryState.SENT] * 2
    assert await shared.recipients(notification) == ["ben", "dan"]
    assert await shared.counts(ExpansionKey("default", notification, 0)) == ("done", 4, 2, 1, 1)


async def test_a_large_audience_leaves_direct_notifications_their_room(world: World, shared: SharedRows) -> None:
    await shared.members(*(f"user-{number}" for number in range(9)), reachable=[Channel.EMAIL])
    await shared.publish([Step(Channel.EMAIL, 0)])
    world.email.block = asyncio.Event()
    worker = world.worker(concurrency=2)
    await worker._expander.round()
    await worker._pool.fill()
    assert worker._pool.busy == 2

    await world.publish({"channel": "email", "after": 0})
    await worker._pool.fill()

    assert worker._pool.busy == 3
    world.email.block.set()
    await worker._pool.drain()


async def test_who_fails_by_one_channel_is_reached_by_the_next(world: World, shared: SharedRows) -> None:
    await shared.members("ben", "cyd")
    notification = await shared.publish([Step(Channel.PUSH, 0), Step(Channel.EMAIL, MINUTE)])
    world.push.outcomes = {"token of ben": Permanent("refused")}
    worker = world.worker()

    await worker.run_once()
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert await shared.recipients(notification, 1) == ["ben"]
    world.clock.advance(MINUTE)
    assert states(await worker.run_once()) == [DeliveryState.SENT]

    assert await shared.recipients(notification, 1) == ["ben", "cyd"]
    assert len(world.email.calls) == 2


async def test_an_audience_is_expanded_as_soon_as_the_worker_hears_of_it(world: World, shared: SharedRows) -> None:
    waiting = asyncio.Semaphore(0)

    async def until_nudged(event: asyncio.Event, milliseconds: int) -> None:
        waiting.release()
        await event.wait()

    await shared.user("ben", reachable=[Channel.EMAIL])
    async with running(world.worker(wait=until_nudged)) as worker:
        for _ in range(LOOPS):
            await waiting.acquire()
        await world.bus.start(worker)
        notification = await world.publish({"channel": "email"}, recipients={"broadcast": True})
        await world.email.called.wait()
    assert await shared.states(notification) == {"sent": 1}


async def test_a_paused_queue_stands_still_on_every_worker(world: World) -> None:
    """Nobody tells the workers: they have no bus in common with whoever pauses."""
    workers, control = [world.worker(), world.worker()], SqlQueueControl(world.database)
    await control.pause(MAIL, world.clock.now())
    notification = await world.publish({"channel": "email"}, {"channel": "push"})
    settled = [await worker.run_once() for worker in workers]
    assert states([each for some in settled for each in some]) == [DeliveryState.SENT], "the push"
    assert await world.states(notification) == ["queued", "sent"]
    await control.resume(MAIL)
    settled = [await worker.run_once() for worker in workers]
    assert states([each for some in settled for each in some]) == [DeliveryState.SENT]
    assert len(world.email.calls) == 1


async def test_a_retry_gives_all_attempts_anew_and_counts_on(world: World) -> None:
    worker, control = world.worker(), SqlQueueControl(world.database)
    limit = POLICIES[Channel.EMAIL].max_attempts
    world.email.default = Transient("busy")
    await world.publish({"channel": "email"})
    for attempts in (limit, 2 * limit):
        settled = []
        for _ in range(limit):
            settled += await worker.run_once()
            world.clock.advance(10 * MINUTE)  # until the breaker lets one through
        assert states(settled) == [DeliveryState.QUEUED] * (limit - 1) + [DeliveryState.FAILED]
        assert await worker.run_once() == []
        await control.act("default", settled[-1].delivery, EventKind.RETRIED, world.clock.now())
        history = await control.history("default", settled[-1].delivery)
        assert history is not None
        assert (history.delivery.attempts, history.delivery.forgiven) == (attempts, attempts)
        assert [attempt.number for attempt in history.attempts] == list(range(1, attempts + 1))
    world.email.default = Ok()
    assert states(await worker.run_once()) == [DeliveryState.SENT]


class _Heard(SqlWorkerReports):
    """Says when it has been told."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.reported, self.gauged = asyncio.Event(), asyncio.Event()
        self.signs: list[WorkerSign] = []

    async def report(self, sign: WorkerSign, counts: Mapping[RateKey, int], now: int) -> None:
        await super().report(sign, counts, now)
        self.signs.append(sign)
        self.reported.set()

    async def gauges(self, now: int) -> Gauges:
        gauges = await super().gauges(now)
        self.gauged.set()
        return gauges


async def test_a_worker_tells_of_itself_and_what_it_did(world: World) -> None:
    reports, control = _Heard(world.database), SqlQueueControl(world.database)
    worker = world.worker(reports=reports)
    await world.publish({"channel": "email"})
    await worker.run_once()
    assert await reports.providers(world.clock.now()) is None
    async with running(worker):
        await reports.reported.wait()
        await reports.gauged.wait()
        assert await reports.providers(world.clock.now()) == {Channel.EMAIL: "scripted", Channel.PUSH: "scripted"}
    assert set(reports.signs[0].providers) == {
        (Channel.EMAIL, "scripted", None, world.clock.now()),
        (Channel.PUSH, "scripted", None, None),
    }
    assert "bellwire_queue_depth" in {metric.name for metric in worker.metrics.collect()}
    assert await reports.providers(world.clock.now()) is None, "gone at once"
    [state] = await control.states("default", (Channel.EMAIL,), world.clock.now())
    assert list(state.rates.values()) == [{"sent": 1}]


async def test_a_schedule_that_is_made_meanwhile_fires_on_time(world: World) -> None:
    """The loop is told of it, and looks again right when it is due."""
    pauses: asyncio.Queue[int] = asyncio.Queue()

    async def until_nudged(event: asyncio.Event, milliseconds: int) -> None:
        pauses.put_nowait(milliseconds)
        await event.wait()

    async with running(world.worker(wait=until_nudged)) as worker:
        for _ in range(LOOPS):
            await pauses.get()
        await world.bus.start(worker)
        notification = {"recipients": ["ada"], "title": "At last", "fallback": [{"channel": "email"}]}
        soon = {"at": rfc3339(START + 123), "notification": notification}
        await world.hub.schedules.create("default", msgspec.convert(soon, wire.ScheduleIn))
        while await pauses.get() != 123:
            pass
        world.clock.advance(123)
        worker.on_gap()
        await world.email.called.wait()
    assert (await world.hub.inbox.count(ADA)).unread_count == 1
