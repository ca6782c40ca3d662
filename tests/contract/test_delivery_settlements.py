"""The contract of `DeliveryQueue`: ending claims."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from hub.core.model import Channel, DeliveryState, Device, Rung, Step
from hub.ports import Claim, DeliveryQueue, Settlement
from hub.store.directory import SqlDirectory
from hub.store.engine import Database
from tests.support.clock import START
from tests.support.queue import EMAIL, LEASE, MAX_CLAIMS, PUSH, SECOND, SMS, TOUCHES, claim_one, settled
from tests.support.rows import Rows, attempt


class TestSettle:
    async def test_writes_the_end(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        claim = await claim_one(queue)
        sent = replace(
            settled(claim, DeliveryState.SENT),
            provider="console",
            provider_message_id="m-1",
            provider_calls=1,
            attempts=[attempt(claim.delivery.id)],
        )

        assert await queue.settle([sent], START + SECOND) == [claim.delivery.id]

        row = await rows.state(claim.delivery.id)
        assert (row.state, row.reason, row.finished_at, row.lease_until) == ("sent", None, START + SECOND, None)
        assert (row.provider, row.provider_message_id, row.attempts) == ("console", "m-1", 1)
        [stored] = await rows.attempts(claim.delivery.id)
        assert (stored.number, stored.endpoint, stored.outcome) == (1, "device-1", "ok")
        assert await queue.claim(EMAIL, START + 10 * LEASE, LEASE, 10) == []

    async def test_returns_for_another_try(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        claim = await claim_one(queue)
        again = replace(
            settled(claim, DeliveryState.QUEUED, "the server said 451"),
            due_at=START + SECOND,
            provider="smtp",
            provider_calls=1,
        )

        assert await queue.settle([again], START) == [claim.delivery.id]

        row = await rows.state(claim.delivery.id)
        assert (row.state, row.reason, row.due_at) == ("queued", "the server said 451", START + SECOND)
        assert (row.lease_until, row.finished_at, row.provider) == (None, None, "smtp")
        assert await queue.claim(EMAIL, START + SECOND - 1, LEASE, 10) == []
        second = await claim_one(queue, START + SECOND)
        assert (second.delivery.fence, second.delivery.claims, second.delivery.attempts) == (2, 1, 1)

    async def test_numbers_rounds_of_attempts_and_names_the_endpoints_that_are_done_with(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        first = await claim_one(queue)
        delivery = first.delivery.id
        await queue.settle(
            [
                replace(
                    settled(first, DeliveryState.QUEUED),
                    due_at=START,
                    provider_calls=1,
                    attempts=[
                        attempt(delivery, "phone"),
                        attempt(delivery, "tablet", "transient", "busy"),
                        attempt(delivery, "watch", "permanent", "unknown"),
                    ],
                )
            ],
            START,
        )

        second = await claim_one(queue)
        assert second.done_endpoints == {"phone"}
        assert second.refused_endpoints == {"watch"}
        await queue.settle(
            [replace(settled(second, DeliveryState.SENT), provider_calls=1, attempts=[attempt(delivery, "tablet")])],
            START,
        )

        stored = [(row.number, row.endpoint, row.outcome, row.detail) for row in await rows.attempts(delivery)]
        assert stored == [
            (1, "phone", "ok", None),
            (1, "tablet", "transient", "busy"),
            (1, "watch", "permanent", "unknown"),
            (2, "tablet", "ok", None),
        ]
        assert (await rows.state(delivery)).attempts == 2

    async def test_a_paused_worker_writes_nothing_after_its_lease_was_rescued(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0), Step(Channel.SMS, 60 * SECOND)])
        paused = await claim_one(queue)
        phone = Device(uuid4(), "ada", "fcm_token", "t", START)
        device = await SqlDirectory(rows.database).add_device("default", phone)
        late = replace(
            settled(paused, DeliveryState.FAILED, "late"),
            provider_calls=1,
            attempts=[attempt(paused.delivery.id)],
            pull_next=True,
            gone_devices=[device.id],
        )
        later = START + LEASE
        assert await queue.rescue(later, MAX_CLAIMS, 100) == 1

        assert await queue.settle([late], later) == []
        other = await claim_one(queue, later)
        assert await queue.settle([late], later) == []

        row = await rows.state(paused.delivery.id)
        assert (row.state, row.fence, row.attempts, row.reason) == ("sending", 2, 0, None)
        assert await rows.attempts(paused.delivery.id) == []
        _, step_two = await rows.steps(paused.delivery.notification)
        assert (await rows.state(step_two)).due_at == START + 60 * SECOND
        assert await SqlDirectory(rows.database).devices("default", "ada") == [device]
        assert await queue.settle([settled(other, DeliveryState.SENT)], later) == [paused.delivery.id]

    async def test_settles_what_is_ours_beside_what_is_not(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(users=["ada", "ben"], plan=[Step(Channel.EMAIL, 0)])
        first, second = await queue.claim(EMAIL, START, LEASE, 10)
        stale = replace(settled(first, DeliveryState.SENT), fence=first.delivery.fence - 1)
        foreign = replace(settled(second, DeliveryState.FAILED, "no"), tenant="other")
        good = settled(second, DeliveryState.SENT)

        assert await queue.settle([stale, foreign, good, good], START) == [second.delivery.id]

        assert (await rows.state(first.delivery.id)).state == "sending"
        assert (await rows.state(second.delivery.id)).state == "sent"

    async def test_nothing_to_settle_is_fine(self, queue: DeliveryQueue) -> None:
        assert await queue.settle([], START) == []

    async def test_a_settlement_has_to_end_the_claim(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        claim = await claim_one(queue)

        with pytest.raises(ValueError, match="sending"):
            await queue.settle([settled(claim, DeliveryState.SENDING)], START)
        with pytest.raises(ValueError, match="due_at"):
            await queue.settle([settled(claim, DeliveryState.QUEUED)], START)
        with pytest.raises(ValueError, match="provider_calls"):
            await queue.settle([replace(settled(claim, DeliveryState.SENT), attempts=[attempt(uuid4())])], START)

    async def test_a_provider_s_unstorable_words_spoil_nothing(self, queue: DeliveryQueue, rows: Rows) -> None:
        await rows.notification(plan=[Step(Channel.EMAIL, 0)])
        claim = await claim_one(queue)
        odd = replace(
            settled(claim, DeliveryState.FAILED, "no\x00 \ud800"),
            provider_message_id="\x00",
            provider_calls=1,
            attempts=[attempt(claim.delivery.id, "e\x00", "permanent", "a\x00b")],
        )

        assert await queue.settle([odd], START) == [claim.delivery.id]

        assert (await rows.state(claim.delivery.id)).reason == "no\ufffd ?"
        assert (await rows.attempts(claim.delivery.id))[0].detail == "a\ufffdb"

    async def test_many_at_once_from_several_workers_do_not_block_each_other(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        users = [f"user-{number}" for number in range(20)]
        plan = [Step(Channel.EMAIL, 0), Step(Channel.PUSH, 0), Step(Channel.SMS, 60 * SECOND)]
        notification = await rows.notification(users=users, plan=plan)
        by_email = await queue.claim(EMAIL, START, LEASE, 100)
        by_push = await queue.claim(PUSH, START, LEASE, 100)

        def failed(claims: Sequence[Claim]) -> list[Settlement]:
            return [replace(settled(claim, DeliveryState.FAILED, "no"), pull_next=True) for claim in claims]

        written = await asyncio.gather(
            queue.settle(failed(by_email[::2]), START),
            queue.settle(failed(by_push[::-1]), START),
            queue.settle(failed(by_email[::-1]), START),
            queue.rescue(START, MAX_CLAIMS, 100),
        )

        assert sum(len(batch) for batch in written if isinstance(batch, list)) == 40
        for user in users:
            last = (await rows.steps(notification, user=user))[2]
            assert (await rows.state(last)).due_at == START


class TestGoneDevices:
    async def test_are_deleted_inside_the_tenant_only(
        self, queue: DeliveryQueue, rows: Rows, database: Database
    ) -> None:
        directory = SqlDirectory(database)
        await rows.notification(plan=[Step(Channel.PUSH, 0)])
        gone, kept = [
            await directory.add_device("default", Device(uuid4(), "ada", "fcm_token", token, START))
            for token in ("old", "new")
        ]
        namesake = await directory.add_device("other", replace(gone, token="elsewhere"))
        claim = await claim_one(queue, lane=PUSH)

        await queue.settle([replace(settled(claim, DeliveryState.SENT), gone_devices=[gone.id, uuid4()])], START)

        assert await directory.devices("default", "ada") == [kept]
        assert await directory.devices("other", "ada") == [namesake]


class TestPullNext:
    async def _fail(self, queue: DeliveryQueue, claim: Claim, now: int = START) -> None:
        assert await queue.settle(
            [replace(settled(claim, DeliveryState.FAILED, "no endpoint"), pull_next=True)], now
        ) == [claim.delivery.id]

    async def _due(self, rows: Rows, notification: UUID, user: str = "ada") -> list[int]:
        """When the steps are due, in seconds from the start."""
        steps = await rows.steps(notification, user=user)
        return [((await rows.state(step)).due_at - START) // SECOND for step in steps]

    async def test_brings_the_next_step_forward_and_no_more(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(
            users=["ada", "ben"],
            plan=[Step(Channel.EMAIL, 0), Step(Channel.PUSH, 60 * SECOND), Step(Channel.SMS, 120 * SECOND)],
        )
        first, _ = await queue.claim(EMAIL, START, LEASE, 10)

        await self._fail(queue, first, START + SECOND)

        failed, other = ("ada", "ben") if first.delivery.user == "ada" else ("ben", "ada")
        assert await self._due(rows, notification, failed) == [0, 1, 120]
        assert await self._due(rows, notification, other) == [0, 60, 120]

    async def test_steps_side_by_side_come_together(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(
            plan=[
                Step(Channel.SMS, 60 * SECOND),
                Step(Channel.EMAIL, 0),
                Step(Channel.PUSH, 60 * SECOND),
                Step(Channel.CHAT, 90 * SECOND),
            ]
        )

        await self._fail(queue, await claim_one(queue))

        assert await self._due(rows, notification) == [0, 0, 0, 90]

    async def test_of_two_side_by_side_that_fail_only_one_turn_is_pulled(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        notification = await rows.notification(
            plan=[
                Step(Channel.EMAIL, 0),
                Step(Channel.PUSH, 0),
                Step(Channel.SMS, 60 * SECOND),
                Step(Channel.CHAT, 120 * SECOND),
            ]
        )
        by_email, by_push = await claim_one(queue), await claim_one(queue, lane=PUSH)

        await self._fail(queue, by_email)
        by_sms = await claim_one(queue, lane=SMS)
        await queue.settle([settled(by_sms, DeliveryState.SENT)], START)
        await self._fail(queue, by_push)

        assert await self._due(rows, notification) == [0, 0, 0, 120]

    async def test_cancelled_steps_are_passed_over(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(
            plan=[
                Step(Channel.EMAIL, 0, Rung.READ),
                Step(Channel.PUSH, SECOND, Rung.SEEN),
                Step(Channel.SMS, 60 * SECOND, Rung.READ),
            ]
        )
        claim = await claim_one(queue)
        await rows.touch(notification, **TOUCHES[Rung.SEEN])
        await queue.rescue(START + SECOND, MAX_CLAIMS, 100)

        await self._fail(queue, claim, START + 2 * SECOND)

        assert await self._due(rows, notification) == [0, 1, 2]

    async def test_a_retry_of_the_next_step_keeps_its_time(self, queue: DeliveryQueue, rows: Rows) -> None:
        plan = [Step(Channel.EMAIL, 0), Step(Channel.PUSH, SECOND), Step(Channel.SMS, 60 * SECOND)]
        notification = await rows.notification(plan=plan)
        by_email = await claim_one(queue)
        by_push = await claim_one(queue, START + SECOND, PUSH)
        await queue.settle(
            [replace(settled(by_push, DeliveryState.QUEUED, "busy"), due_at=START + 90 * SECOND)], START + SECOND
        )

        await self._fail(queue, by_email, START + 2 * SECOND)

        assert await self._due(rows, notification) == [0, 90, 60]

    async def test_a_step_moved_by_retries_still_pulls_the_one_after_it_by_the_plan(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0), Step(Channel.SMS, 60 * SECOND)])
        retried = await claim_one(queue)
        await queue.settle([replace(settled(retried, DeliveryState.QUEUED), due_at=START + 59 * SECOND)], START)
        last = await claim_one(queue, START + 59 * SECOND)

        await self._fail(queue, last, START + 59 * SECOND)

        assert await self._due(rows, notification) == [59, 59]

    async def test_never_puts_off_a_step_that_is_due_already(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(plan=[Step(Channel.EMAIL, 0), Step(Channel.SMS, SECOND)])
        claim = await claim_one(queue)

        await self._fail(queue, claim, START + 10 * SECOND)

        assert await self._due(rows, notification) == [0, 1]

    async def test_keeps_to_the_tenant_the_notification_and_the_recipient(
        self, queue: DeliveryQueue, rows: Rows
    ) -> None:
        plan = [Step(Channel.EMAIL, 0), Step(Channel.SMS, 60 * SECOND)]
        mine = await rows.notification(plan=plan)
        later = await rows.notification(plan=plan, at=START + 1)
        foreign = await rows.notification(plan=plan, tenant="other", identifier=mine)
        claims = await queue.claim(EMAIL, START, LEASE, 10)
        [own] = [held for held in claims if held.content.id == mine and held.content.tenant == "default"]

        await self._fail(queue, own)

        assert await self._due(rows, mine) == [0, 0]
        assert await self._due(rows, later) == [0, 60]
        [_, step] = await rows.steps(foreign, tenant="other")
        assert (await rows.state(step, "other")).due_at == START + 60 * SECOND

    async def test_goes_by_address_too(self, queue: DeliveryQueue, rows: Rows) -> None:
        plan = [Step(Channel.EMAIL, 0), Step(Channel.EMAIL, 60 * SECOND)]
        notification = await rows.notification(users=[], inbox=False, plan=plan)
        again = {}
        for address in ("a@x.example", "b@x.example"):
            await rows.delivery(notification, address=address, step=0, unless=Rung.NONE)
            again[address] = await rows.delivery(
                notification, address=address, step=1, due_at=START + 60 * SECOND, unless=Rung.NONE
            )
        first, second = await queue.claim(EMAIL, START, LEASE, 10)

        await self._fail(queue, first)

        assert (await rows.state(again[first.delivery.address or ""])).due_at == START
        assert (await rows.state(again[second.delivery.address or ""])).due_at == START + 60 * SECOND

    async def test_an_address_without_a_plan_has_nothing_to_pull(self, queue: DeliveryQueue, rows: Rows) -> None:
        notification = await rows.notification(users=[], inbox=False)
        await rows.delivery(notification, address="a@x.example", unless=Rung.NONE)

        await self._fail(queue, await claim_one(queue))
