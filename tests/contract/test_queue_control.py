"""The contract of `QueueControl`: pausing, counting and emptying queues. And that of `WorkerReports`."""

from __future__ import annotations

from uuid import uuid4

import pytest

from hub.core.model import Channel, DeliveryState, Priority, Step
from hub.core.model.queues import QueueKey, QueueState, RateKey, WorkerSign
from hub.core.operating import EMPTIED
from hub.ports import DeliveryQueue, ExpansionKey, Lane
from hub.ports.operating import QueueControl
from hub.store import queue_depths
from hub.store.engine import Database
from hub.store.expansions import SqlExpansions
from hub.store.worker_reports import ALIVE, SqlWorkerReports
from tests.support.clock import START
from tests.support.queue import EMAIL, LEASE, PUSH, SECOND, claim_one, settled
from tests.support.rows import Rows
from tests.support.shared_rows import SharedRows

MAIL = QueueKey("default", Channel.EMAIL)
PUSHES = QueueKey("default", Channel.PUSH)
PLAN = [Step(Channel.EMAIL, 0)]
NOW = START + 10 * SECOND


@pytest.fixture
def reports(database: Database) -> SqlWorkerReports:
    return SqlWorkerReports(database)


async def mail(control: QueueControl, now: int = NOW) -> QueueState:
    [state] = await control.states("default", (Channel.EMAIL,), now)
    return state


class TestPause:
    async def test_nothing_is_claimed_of_what_is_paused(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        await rows.notification(plan=[*PLAN, Step(Channel.PUSH, 0)])
        await control.pause(MAIL, NOW)

        assert await queue.claim(EMAIL, NOW, LEASE, 10) == []
        assert await queue.next_due() == {PUSH: START}
        assert await queue.claim(EMAIL, NOW, LEASE, 10) == [], "nor after a look at what is paused"
        assert len(await queue.claim(PUSH, NOW, LEASE, 10)) == 1

        await control.resume(MAIL)
        assert await queue.next_due() == {EMAIL: START}
        await claim_one(queue, NOW)

    async def test_it_is_a_tenants_own(self, queue: DeliveryQueue, control: QueueControl, rows: Rows) -> None:
        await rows.notification(plan=PLAN)
        other = await rows.notification(tenant="acme", plan=PLAN, at=START + SECOND)
        await control.pause(MAIL, NOW)

        assert await queue.next_due() == {EMAIL: START + SECOND}
        assert (await claim_one(queue, NOW)).delivery.notification == other
        await control.pause(QueueKey("acme", Channel.EMAIL), NOW)
        assert await queue.next_due() == {}

    @pytest.mark.parametrize("looked", [False, True])
    async def test_others_are_claimed_from_in_the_order_of_their_due_times(
        self,
        queue: DeliveryQueue,
        control: QueueControl,
        rows: Rows,
        looked: bool,  # noqa: FBT001 - a parameter
    ) -> None:
        for number, tenant in enumerate(["default", "acme", "zeta", "acme"]):
            await rows.notification(tenant=tenant, plan=PLAN, at=START + number)
        await control.pause(MAIL, NOW)
        if looked:
            await queue.next_due()

        first = await queue.claim(EMAIL, NOW, LEASE, 2)
        rest = await queue.claim(EMAIL, NOW, LEASE, 2)

        assert sorted(claim.delivery.tenant for claim in (*first, *rest)) == ["acme", "acme", "zeta"]
        assert first[0].delivery.tenant == "acme"

    async def test_what_is_not_due_stays_so(self, queue: DeliveryQueue, control: QueueControl, rows: Rows) -> None:
        await rows.notification(plan=PLAN)
        await rows.notification(tenant="acme", plan=[Step(Channel.EMAIL, SECOND)])
        await control.pause(MAIL, NOW)
        await queue.next_due()

        assert await queue.claim(EMAIL, START, LEASE, 10) == []
        assert len(await queue.claim(EMAIL, START + SECOND, LEASE, 10)) == 1

    async def test_what_is_on_its_way_ends_and_a_retry_waits(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        await rows.notification(plan=PLAN)
        claim = await claim_one(queue)
        await control.pause(MAIL, NOW)

        assert await queue.settle([settled(claim, DeliveryState.QUEUED, "later", due_at=NOW)], NOW)
        assert await queue.claim(EMAIL, NOW, LEASE, 10) == []
        await control.resume(MAIL)
        await claim_one(queue, NOW)

    async def test_pausing_and_resuming_again_changes_nothing(self, control: QueueControl) -> None:
        await control.pause(MAIL, NOW)
        await control.pause(MAIL, NOW + SECOND)
        assert (await mail(control)).paused_at == NOW
        for _ in range(2):
            await control.resume(MAIL)
            assert (await mail(control)).paused_at is None

    async def test_what_is_not_needed_any_more_is_tidied_behind_a_paused_backlog(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        await rows.notification(users=["u1", "u2", "u3"], plan=PLAN)
        seen = await rows.notification(tenant="acme", plan=PLAN, at=START + 1)
        await rows.touch(seen, tenant="acme", seen_at=START)
        await control.pause(MAIL, NOW)
        await queue.next_due()

        await queue.rescue(NOW, 3, 2)

        [step] = await rows.steps(seen, tenant="acme")
        assert (await rows.state(step, "acme")).state == "cancelled"

    async def test_no_audience_is_expanded_of_what_is_paused(
        self, control: QueueControl, rows: Rows, database: Database
    ) -> None:
        shared, expansions = SharedRows(database), SqlExpansions(database)
        await shared.members("ada")
        first = await shared.publish(PLAN)
        everybody, step = frozenset(Channel), ExpansionKey("default", first, 0)
        await control.pause(MAIL, NOW)

        assert await expansions.due(NOW, 10, 10) == []
        assert await expansions.next_due() is None
        assert await expansions.expand(step, NOW, everybody, 10) is None, "nor by who knew of it before"
        assert (await mail(control)).audiences == 1

        await control.resume(MAIL)
        assert await expansions.next_due() == START
        assert [key for key, _ in await expansions.due(NOW, 10, 10)] == [step]
        expanded = await expansions.expand(step, NOW, everybody, 10)
        assert expanded is not None
        assert expanded.made == 1

    async def test_a_paused_backlog_of_an_audience_holds_up_nobody_elses(
        self, control: QueueControl, rows: Rows, database: Database
    ) -> None:
        shared, expansions = SharedRows(database), SqlExpansions(database)
        await shared.members("ada", "ben")
        filling = await shared.publish(PLAN)
        await expansions.expand(ExpansionKey("default", filling, 0), NOW, frozenset(Channel), 10)
        other = await shared.publish(PLAN, tenant="acme")
        assert await expansions.due(NOW, 10, 2) == [], "the lane is full"
        await control.pause(MAIL, NOW)
        assert [key.notification for key, _ in await expansions.due(NOW, 10, 2)] == [other]


class TestStates:
    async def test_counts_by_priority_what_waits_and_what_is_due(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        notification = await rows.notification(users=["a", "b", "c", "d"])
        await rows.delivery(notification, user="a", due_at=NOW - SECOND, priority=Priority.CRITICAL)
        await rows.delivery(notification, user="b", due_at=NOW + SECOND, priority=Priority.CRITICAL)
        await rows.delivery(notification, user="c", due_at=NOW + SECOND, priority=Priority.LOW)
        await rows.delivery(notification, user="d", channel=Channel.PUSH)
        await rows.notification(tenant="acme", plan=PLAN)
        await rows.end(await rows.delivery(notification, step=1))
        await rows.end(await rows.delivery(notification, step=2), DeliveryState.SENT)

        state = await mail(control)
        assert {lane.priority: (lane.queued, lane.due, lane.earliest) for lane in state.lanes} == {
            Priority.CRITICAL: (2, 1, NOW - SECOND),
            Priority.HIGH: (0, 0, None),
            Priority.NORMAL: (0, 0, None),
            Priority.LOW: (1, 0, NOW + SECOND),
        }
        assert (state.in_flight, state.dead, state.audiences, state.paused_at) == (0, 1, 0, None)
        await queue.claim(Lane(Channel.EMAIL, Priority.CRITICAL), NOW, LEASE, 10)
        state = await mail(control)
        assert (state.lanes[0].queued, state.in_flight) == (1, 1)

    async def test_rates_are_what_workers_report(self, control: QueueControl, reports: SqlWorkerReports) -> None:
        sign = WorkerSign(uuid4(), START, {Channel.EMAIL: "smtp"})
        minute = NOW // 60_000 * 60_000
        sent = RateKey(MAIL, minute, "sent")
        await reports.report(sign, {sent: 2, RateKey(PUSHES, minute, "sent"): 5}, NOW)
        await reports.report(sign, {sent: 3, RateKey(MAIL, minute - 60_000, "failed"): 1}, NOW)

        assert (await mail(control)).rates == {minute: {"sent": 5}, minute - 60_000: {"failed": 1}}
        assert (await control.states("acme", (Channel.EMAIL,), NOW))[0].rates == {}
        later = NOW + (queue_depths.RATED + 3) * 60_000
        await reports.report(sign, {}, later)
        assert (await mail(control)).rates == {}, "and forgotten"

    async def test_providers_are_those_of_living_workers(self, reports: SqlWorkerReports) -> None:
        assert await reports.providers(NOW) is None
        first, second = WorkerSign(uuid4(), START, {Channel.EMAIL: "smtp"}), WorkerSign(uuid4(), START, {})
        await reports.report(first, {}, NOW)
        await reports.report(second, {}, NOW + SECOND)
        assert await reports.providers(NOW + SECOND) == {Channel.EMAIL: "smtp"}
        assert await reports.providers(NOW + ALIVE) == {}
        await reports.leave(second)
        assert await reports.providers(NOW + ALIVE) is None

    async def test_gauges_are_of_all_tenants(
        self, control: QueueControl, reports: SqlWorkerReports, rows: Rows, database: Database
    ) -> None:
        await rows.notification(plan=PLAN)
        await rows.notification(tenant="acme", plan=PLAN, at=START + SECOND)
        await rows.dead(2, NOW)
        await control.pause(MAIL, NOW)

        gauges = await reports.gauges(NOW)

        lane = (Channel.EMAIL, Priority.NORMAL)
        assert (gauges.queued[lane], gauges.due[lane]) == (2, 2)
        assert gauges.lag[lane] == NOW - START - SECOND, "of what is not paused"
        assert (gauges.dead[Channel.EMAIL], gauges.paused) == (2, {Channel.EMAIL: 1})
        assert (gauges.snapshot_age is None) == (database.dialect == "sqlite")

    async def test_counts_stop(self, control: QueueControl, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queue_depths, "COUNTED", 3)
        queue_depths.depths.cache_clear()
        try:
            await rows.notification(users=[f"user-{number}" for number in range(5)], plan=PLAN)
            assert [lane.queued for lane in (await mail(control)).lanes] == [0, 0, 3, 0]
        finally:
            queue_depths.depths.cache_clear()


class TestEmpty:
    async def test_cancels_what_waits_in_chunks_and_nothing_else(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        notification = await rows.notification(users=["a", "b", "c", "d"], plan=PLAN)
        other = await rows.delivery(notification, user="a", step=1, channel=Channel.PUSH)
        later = await rows.delivery(notification, user="b", step=1, due_at=NOW + SECOND, priority=Priority.LOW)
        foreign = await rows.notification(tenant="acme", plan=PLAN, at=START + SECOND)
        [held] = await queue.claim(EMAIL, NOW, LEASE, 1)

        assert [await control.empty(MAIL, NOW, 2) for _ in range(3)] == [2, 2, 0]

        assert (await rows.state(held.delivery.id)).state == "sending"
        assert (await rows.state(other)).state == "queued"
        [step] = await rows.steps(foreign, tenant="acme")
        assert (await rows.state(step, "acme")).state == "queued"
        row = await rows.state(later)
        assert (row.state, row.reason, row.finished_at) == ("cancelled", EMPTIED, NOW)


async def test_reach_tells_contacts_and_devices(control: QueueControl) -> None:
    assert await control.reach("default", ["ada"]) == {"ada": (None, ())}
