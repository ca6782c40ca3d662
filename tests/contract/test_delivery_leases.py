"""The contract of `DeliveryQueue`: leases that are renewed, and leases that end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest

from hub.core.model import Channel, DeliveryState, ItemState, Rung, Step
from hub.ports import DeliveryQueue
from hub.store import delivery_settle
from hub.store.engine import Database
from tests.support.clock import START
from tests.support.queue import EMAIL, LEASE, MAX_CLAIMS, SECOND, SMS, TOUCHES, claim_one, settled
from tests.support.rows import Rows

MINUTE, HOUR = 60_000, 3_600_000


class TestRenew:
    async def test_extends_the_leases_that_are_ours(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(users=["ada", "ben", "cyd"], plan=[Step(Channel.EMAIL, 0)])
        kept, stale, ended = await queue.claim(EMAIL, START, LEASE, 10)
        await queue.settle([settled(ended, DeliveryState.SENT)], START)
        claims = [
            (stale.delivery.id, stale.delivery.fence - 1),
            (ended.delivery.id, ended.delivery.fence),
            (uuid4(), 1),
            (kept.delivery.id, kept.delivery.fence),
        ]

        assert await queue.renew(claims, START + SECOND, LEASE) == [kept.delivery.id]

        assert (await rows.state(kept.delivery.id)).lease_until == START + SECOND + LEASE
        assert (await rows.state(stale.delivery.id)).lease_until == START + LEASE
        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 100) == 1

    async def test_nothing_to_renew_is_fine(self, queue: DeliveryQueue) -> None:
        assert await queue.renew([], START, LEASE) == []


class TestRescue:
    async def test_returns_a_spent_lease_to_the_queue(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        first = await claim_one(queue)

        assert await queue.rescue(START + LEASE - 1, MAX_CLAIMS, 100) == 0
        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 100) == 1

        row = await rows.state(first.delivery.id)
        assert (row.state, row.lease_until, row.due_at) == ("queued", None, START)
        second = await claim_one(queue, START + LEASE)
        assert (second.delivery.fence, second.delivery.claims) == (2, 2)

    async def test_fails_after_the_last_claim_and_lets_the_next_step_have_its_turn(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        plan = [Step(Channel.EMAIL, 0), Step(Channel.SMS, 3600 * SECOND)]
        notification = await rows.notification(plan=plan)
        now = START
        for _ in range(MAX_CLAIMS):
            await claim_one(queue, now)
            now += LEASE
            assert await queue.rescue(now, MAX_CLAIMS, 100) == 1

        broken, following = await rows.steps(notification)
        row = await rows.state(broken)
        assert (row.state, row.finished_at, row.claims) == ("failed", now, MAX_CLAIMS)
        assert row.reason == "Given up: 3 workers in a row vanished while sending it."
        assert (await rows.state(following)).due_at == now

    async def test_counts_only_workers_that_vanish_in_a_row(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        now = START
        for _ in range(MAX_CLAIMS):
            retried = await claim_one(queue, now)
            await queue.settle([replace(settled(retried, DeliveryState.QUEUED, "busy"), due_at=now)], now)
        await claim_one(queue, now)

        await queue.rescue(now + LEASE, MAX_CLAIMS, 100)

        again = await claim_one(queue, now + LEASE)
        assert (again.delivery.fence, again.delivery.claims) == (MAX_CLAIMS + 2, 2)

    async def test_leaves_a_renewed_lease_alone(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        held = await claim_one(queue)
        await queue.renew([(held.delivery.id, held.delivery.fence)], START + SECOND, LEASE)

        assert await queue.rescue(START + LEASE, 1, 100) == 0
        assert await queue.rescue(START + SECOND + LEASE, 1, 100) == 1
        assert (await rows.state(held.delivery.id)).state == "failed"

    async def test_a_lease_renewed_while_the_rescuer_looks_is_respected(
        self, queue: DeliveryQueue, rows: Rows, database: Database
    ) -> None:
        """What it read before it held the lock, it checks again."""
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        held = await claim_one(queue)
        give_up = partial(delivery_settle.settle, settlements=[settled(held, DeliveryState.FAILED, "vanished")])

        assert await database.write(partial(give_up, now=START + LEASE - 1, spent=True)) == []
        assert await database.write(partial(give_up, now=START + LEASE, spent=True)) == [held.delivery.id]

    async def test_is_bounded(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(users=["ada", "ben", "cyd"], plan=[Step(Channel.EMAIL, 0)])
        await queue.claim(EMAIL, START, LEASE, 10)

        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 2) == 2
        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 2) == 1
        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 2) == 0

    async def test_with_a_limit_of_none_nothing_is_done(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(users=["ada", "ben"], plan=[Step(Channel.EMAIL, 0)])
        [held] = await queue.claim(EMAIL, START, LEASE, 1)
        seen = await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        await rows.touch(seen, **TOUCHES[Rung.SEEN])

        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 0) == await queue.rescue(START + LEASE, 1, 0) == 0
        assert (await rows.state(held.delivery.id)).state == "sending"
        [needless] = await rows.steps(seen)
        assert (await rows.state(needless)).state == "queued"

    async def test_by_several_at_once_counts_each_delivery_once(self, queue: DeliveryQueue, rows: Rows) -> None:
        users = [f"user-{number}" for number in range(20)]
        await rows.notification(users=users, plan=[Step(Channel.EMAIL, 0)])
        await queue.claim(EMAIL, START, LEASE, 20)

        for max_claims in (2, 1):
            counted = await asyncio.gather(*(queue.rescue(START + LEASE, max_claims, 100) for _ in range(4)))
            left = await queue.rescue(START + LEASE, max_claims, 100)
            assert sum(counted) + left == 20
            await queue.claim(EMAIL, START, LEASE, 20)

    @pytest.mark.parametrize(
        ("got", "reason"),
        [
            (Rung.DELIVERED, "Arrived in the app before it was sent."),
            (Rung.SEEN, "Seen before it was sent."),
            (Rung.READ, "Read before it was sent."),
        ],
    )
    async def test_cancels_what_reached_its_rung_once_it_is_due(
        self, queue: DeliveryQueue, rows: Rows, got: Rung, reason: str
    ) -> None:
        notification = await rows.notification(users=["ada", "ben"], plan=[Step(Channel.EMAIL, SECOND, got)])
        await rows.touch(notification, **TOUCHES[got])
        [cancelled] = await rows.steps(notification)
        [untouched] = await rows.steps(notification, user="ben")

        await queue.rescue(START + SECOND - 1, MAX_CLAIMS, 100)
        assert (await rows.state(cancelled)).state == "queued"
        assert await queue.rescue(START + SECOND, MAX_CLAIMS, 100) == 0

        row = await rows.state(cancelled)
        assert (row.state, row.reason, row.finished_at) == ("cancelled", reason, START + SECOND)
        assert (await rows.state(untouched)).state == "queued"

    async def test_ends_what_expired_or_was_withdrawn(self, queue: DeliveryQueue, rows: Rows) -> None:
        plan = [Step(Channel.EMAIL, 0)]
        expired = await rows.notification(plan=plan, expires_at=START)
        withdrawn = await rows.notification(plan=plan)
        await rows.touch(withdrawn, state=int(ItemState.GONE))
        seen = await rows.notification(plan=plan, expires_at=START)
        await rows.touch(seen, **TOUCHES[Rung.SEEN])
        erased = await rows.notification(plan=plan)
        [orphan] = await rows.steps(erased)
        await rows.erase("notifications", id=erased)

        await queue.rescue(START, MAX_CLAIMS, 100)

        [late] = await rows.steps(expired)
        [dropped] = await rows.steps(withdrawn)
        [needless] = await rows.steps(seen)
        endings = [
            (row.state, row.reason) for row in [await rows.state(each) for each in (late, dropped, orphan, needless)]
        ]
        assert endings == [
            ("expired", "The notification expired before this step was sent."),
            ("cancelled", "The notification was withdrawn."),
            ("cancelled", "The notification was withdrawn."),
            ("cancelled", "Seen before it was sent."),
        ]
        assert await queue.next_due() == {}


class TestClocksApart:
    """Processes read the database's clock at different times: for a while after it was set they disagree."""

    async def test_who_is_behind_neither_claims_early_nor_takes_what_another_holds(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, HOUR), Step(Channel.SMS, 2 * HOUR)])
        behind, ahead = START + HOUR - 1, START + HOUR + MINUTE

        assert await queue.claim(EMAIL, behind, LEASE, 10) == []
        held = await claim_one(queue, ahead)

        assert await queue.claim(EMAIL, behind, LEASE, 10) == []
        assert await queue.rescue(behind + LEASE, MAX_CLAIMS, 100) == 0
        assert await queue.settle([settled(held, DeliveryState.SENT)], behind) == [held.delivery.id]
        assert await queue.rescue(ahead + LEASE, MAX_CLAIMS, 100) == 0
        assert await queue.claim(EMAIL, ahead, LEASE, 10) == []
        assert await queue.claim(SMS, ahead, LEASE, 10) == []

    async def test_a_clock_that_was_set_back_shortens_no_lease(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        held = await claim_one(queue, START + HOUR)

        assert await queue.renew([(held.delivery.id, held.delivery.fence)], START, LEASE) == [held.delivery.id]
        assert await queue.rescue(START + LEASE - 1, MAX_CLAIMS, 100) == 0
        assert await queue.settle([settled(held, DeliveryState.SENT)], START) == [held.delivery.id]

    async def test_what_is_put_off_by_who_is_ahead_comes_no_earlier_for_who_is_behind(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        held, again = await claim_one(queue, START + HOUR), START + HOUR + MINUTE
        await queue.settle([settled(held, DeliveryState.QUEUED, "busy", due_at=again)], START + HOUR)

        assert await queue.claim(EMAIL, again - 1, LEASE, 10) == []
        assert [claim.delivery.id for claim in await queue.claim(EMAIL, again, LEASE, 10)] == [held.delivery.id]
