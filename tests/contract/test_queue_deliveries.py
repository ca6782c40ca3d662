"""The contract of `QueueControl`: looking deliveries up, acting on one, and replaying what is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from hub.core.errors import InvalidRequest, StateConflict
from hub.core.model import Attempt, Channel, Delivery, DeliveryState, Priority, Rung, Step
from hub.core.model.queues import Change, DeliveryFilter, EventKind, Place
from hub.core.transitions import Actor, sources
from hub.ports import DeliveryQueue, Lane
from hub.ports.operating import QueueControl
from hub.store import queue_find
from hub.store.tables import deliveries
from tests.support.clock import START
from tests.support.queue import EMAIL, LEASE, SECOND, claim_one, ids, settled
from tests.support.rows import Rows, attempt

PLAN = [Step(Channel.EMAIL, 0)]
NOW = START + 10 * SECOND


class TestFind:
    async def everything(
        self, control: QueueControl, wanted: DeliveryFilter, *, limit: int = 2, tenant: str = "default"
    ) -> list[UUID]:
        found: list[UUID] = []
        after: Place | None = None
        for _ in range(100):
            page = await control.find(tenant, wanted, after, limit)
            assert len(page.deliveries) <= limit
            found += [delivery.id for delivery in page.deliveries]
            after = page.next
            if after is None:
                return found
        raise AssertionError("pages without end")

    async def test_every_filter_finds_what_it_says(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        """Compared with the whole table, filtered by hand; in pages of two."""
        first = await rows.notification(users=["ada", "ben", "cyd"], plan=[*PLAN, Step(Channel.PUSH, SECOND)])
        second = await rows.notification(users=["ada"], plan=PLAN, at=START + SECOND, priority=Priority.CRITICAL)
        coded = await rows.notification(users=["eve", "fay", "gil"], inbox=False, plan=PLAN)
        for number, address in enumerate(["x@example.com", "y@example.com"]):
            await rows.delivery(coded, address=address, step=number, unless=Rung.NONE)
        await rows.notification(tenant="acme", plan=PLAN)
        await queue.claim(Lane(Channel.EMAIL, Priority.CRITICAL), NOW, LEASE, 1)
        [_, push] = await rows.steps(first, user="ada")
        [mailed, _] = await rows.steps(first, user="ben")
        await rows.end(push, reason="100%_Busy", provider="fcm", finished_at=NOW)
        await rows.end(mailed, reason="busy", provider="smtp", finished_at=NOW + SECOND)
        [sent, _] = await rows.steps(first, user="cyd")
        await rows.end(sent, DeliveryState.SENT, provider="smtp", reason=None)

        async with rows.database.reader() as connection:
            table = list(await connection.execute(sa.select(deliveries).where(deliveries.c.tenant == "default")))
        checks: list[tuple[DeliveryFilter, Any]] = [
            (DeliveryFilter(), lambda row: True),
            *((DeliveryFilter(state=state), lambda row, s=state: row.state == s.value) for state in DeliveryState),
            *((DeliveryFilter(channel=each), lambda row, c=each: row.channel == c.value) for each in Channel),
            (DeliveryFilter(user="ada"), lambda row: row.user_id == "ada"),
            (DeliveryFilter(notification=first), lambda row: row.notification_id == first),
            (DeliveryFilter(notification=coded), lambda row: row.notification_id == coded),
            (
                DeliveryFilter(user="ada", notification=second),
                lambda row: (row.user_id, row.notification_id) == ("ada", second),
            ),
            (DeliveryFilter(provider="smtp"), lambda row: row.provider == "smtp"),
            (DeliveryFilter(reason="BUSY"), lambda row: "busy" in (row.reason or "").lower()),
            (DeliveryFilter(reason="%_"), lambda row: "%_" in (row.reason or "")),
            (
                DeliveryFilter(state=DeliveryState.FAILED, ended_after=NOW + 1),
                lambda row: row.state == "failed" and row.finished_at > NOW,
            ),
            (
                DeliveryFilter(state=DeliveryState.FAILED, channel=Channel.PUSH, ended_before=NOW + 1, provider="fcm"),
                lambda row: row.id == push,
            ),
            (
                DeliveryFilter(state=DeliveryState.QUEUED, channel=Channel.EMAIL, user="ada"),
                lambda row: (row.state, row.channel, row.user_id) == ("queued", "email", "ada"),
            ),
            (DeliveryFilter(created_before=START), lambda row: False),
        ]
        for wanted, expected in checks:
            found = await self.everything(control, wanted)
            assert len(found) == len(set(found)), wanted
            assert set(found) == {row.id for row in table if expected(row)}, wanted

    async def test_the_queue_is_in_the_order_of_due_times_and_the_dead_latest_first(
        self, control: QueueControl, rows: Rows
    ) -> None:
        notification = await rows.notification(users=["a", "b", "c"])
        late = await rows.delivery(notification, user="a", due_at=NOW)
        soon = await rows.delivery(notification, user="b", due_at=START, priority=Priority.LOW)
        middle = await rows.delivery(notification, user="c", due_at=START + 1, channel=Channel.SMS)
        assert await self.everything(control, DeliveryFilter(state=DeliveryState.QUEUED)) == [soon, middle, late]
        failed = await rows.dead(3, NOW)
        assert await self.everything(control, DeliveryFilter(state=DeliveryState.FAILED)) == failed[::-1]

    async def test_a_page_looks_at_no_more_than_so_many_and_goes_on(
        self, control: QueueControl, rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue_find, "LOOKED_AT", 4)
        failed = await rows.dead(10, NOW, provider="smtp")
        await rows.end(failed[2], provider="other", finished_at=NOW + 2 * SECOND)
        wanted = DeliveryFilter(state=DeliveryState.FAILED, provider="other")
        first = await control.find("default", wanted, None, 5)
        assert first.deliveries == []
        assert first.next is not None
        assert await self.everything(control, wanted) == [failed[2]]
        assert len(await self.everything(control, DeliveryFilter(provider="smtp"))) == 9

    @pytest.mark.parametrize(
        "place",
        [(), ("all",), ("all", 0, "no id"), ("dead", 0, NOW, "00" * 16), ("all", 0, 5), ("all", "0", "00" * 16)],
    )
    async def test_a_place_of_another_search_is_refused(self, control: QueueControl, place: Place) -> None:
        with pytest.raises(InvalidRequest):
            await control.find("default", DeliveryFilter(), place or ("",), 5)


class TestActs:
    async def act(self, control: QueueControl, delivery: UUID, kind: EventKind, **change: Any) -> Delivery:
        done = await control.act("default", delivery, kind, NOW, Change(**change))
        assert done is not None
        return done

    async def test_only_what_the_table_of_transitions_allows(self, control: QueueControl, rows: Rows) -> None:
        allowed = {
            EventKind.RETRIED: (DeliveryState.QUEUED, sources(Actor.OPERATOR, DeliveryState.QUEUED)),
            EventKind.PROMOTED: (DeliveryState.QUEUED, {DeliveryState.QUEUED}),
            EventKind.CANCELLED: (DeliveryState.CANCELLED, {DeliveryState.QUEUED, DeliveryState.CANCELLED}),
            EventKind.CHANGED: (DeliveryState.QUEUED, {DeliveryState.QUEUED}),
        }
        notification = await rows.notification()
        cases = [(kind, state) for kind in allowed for state in DeliveryState]
        for step, (kind, state) in enumerate(cases):
            delivery = await rows.delivery(notification, step=step, due_at=NOW + SECOND)
            if state is DeliveryState.SENDING:
                await rows.end(delivery, state, finished_at=None, reason=None, lease_until=NOW + LEASE)
            elif state is not DeliveryState.QUEUED:
                await rows.end(delivery, state)
            before = await rows.state(delivery)
            after, sound = allowed[kind]
            if state in sound:
                assert (await self.act(control, delivery, kind, due_at=NOW + 1)).state is after, (kind, state)
                assert (await rows.state(delivery)).state == after.value
            else:
                with pytest.raises(StateConflict, match=r"sending|it is"):
                    await self.act(control, delivery, kind, due_at=NOW + 1)
                assert await rows.state(delivery) == before

    async def test_what_is_retried_is_sent_again_with_all_its_attempts_but_not_to_whom_was_reached(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        await rows.notification(plan=PLAN)
        claim = await claim_one(queue)
        calls = (attempt(claim.delivery.id, "one", "permanent"), attempt(claim.delivery.id, "two"))
        await self.fail(queue, claim, *calls)
        assert (await rows.state(claim.delivery.id)).attempts == 1

        await self.act(control, claim.delivery.id, EventKind.RETRIED)

        again = await claim_one(queue, NOW)
        assert (again.delivery.attempts, again.delivery.forgiven, again.delivery.claims) == (1, 1, 1)
        assert again.refused_endpoints == frozenset()
        assert again.done_endpoints == {"two"}
        await self.fail(queue, again, attempt(claim.delivery.id, "one", "permanent"))
        assert [row.number for row in await rows.attempts(claim.delivery.id)] == [1, 1, 2]

    async def fail(self, queue: DeliveryQueue, claim: Any, *calls: Attempt) -> None:
        failing = settled(claim, DeliveryState.FAILED, "no")
        assert await queue.settle([replace(failing, attempts=calls, provider_calls=1)], NOW)

    async def test_what_was_done_is_told(self, queue: DeliveryQueue, control: QueueControl, rows: Rows) -> None:
        await rows.notification(plan=PLAN)
        claim = await claim_one(queue)
        await queue.rescue(START + LEASE, 3, 10)
        await queue.settle([settled(await claim_one(queue, NOW + LEASE), DeliveryState.FAILED, "no")], NOW + LEASE)
        await control.act("default", claim.delivery.id, EventKind.RETRIED, NOW + 2 * LEASE)
        await control.act("default", claim.delivery.id, EventKind.PROMOTED, NOW + 3 * LEASE)
        await control.act("default", claim.delivery.id, EventKind.CANCELLED, NOW + 3 * LEASE)

        history = await control.history("default", claim.delivery.id)

        assert history is not None
        assert [
            (event.kind.value, event.before.value, event.after.value, event.ended_at) for event in history.events
        ] == [
            ("rescued", "sending", "queued", None),
            ("retried", "failed", "queued", NOW + LEASE),
        ], "a promotion of what was due already is no event, and that it was cancelled its row tells"
        assert history.events[1].reason == "no"
        assert history.delivery.state is DeliveryState.CANCELLED
        assert await control.history("acme", claim.delivery.id) is None

    async def test_time_priority_and_address_can_be_changed(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        notification = await rows.notification(users=[], inbox=False)
        delivery = await rows.delivery(notification, address="a@b.example", unless=Rung.NONE)
        await rows.delivery(notification, address="taken@b.example", unless=Rung.NONE)
        changes: Sequence[dict[str, Any]] = (
            {"due_at": NOW + SECOND},
            {"priority": Priority.HIGH},
            {"address": "right@b.example"},
        )
        for change in changes:
            await self.act(control, delivery, EventKind.CHANGED, **change)

        with pytest.raises(StateConflict, match="already"):
            await self.act(control, delivery, EventKind.CHANGED, address="taken@b.example")
        with pytest.raises(InvalidRequest, match="not an e-mail address"):
            await self.act(control, delivery, EventKind.CHANGED, address="+15551234567")
        high = Lane(Channel.EMAIL, Priority.HIGH)
        assert await queue.claim(high, NOW, LEASE, 10) == []
        [claim] = await queue.claim(high, NOW + SECOND, LEASE, 10)
        assert claim.delivery.address == "right@b.example"

    async def test_the_address_of_what_is_dead_can_be_corrected_and_of_a_user_never(
        self, control: QueueControl, rows: Rows
    ) -> None:
        notification = await rows.notification(users=[], inbox=False)
        delivery = await rows.end(await rows.delivery(notification, address="wrong@b.example", unless=Rung.NONE))
        assert (await self.act(control, delivery, EventKind.CHANGED, address="right@b.example")).state == "failed"
        with pytest.raises(StateConflict):
            await self.act(control, delivery, EventKind.CHANGED, address="other@b.example", due_at=NOW)
        users = await rows.delivery(notification)
        with pytest.raises(InvalidRequest, match="contact"):
            await self.act(control, users, EventKind.CHANGED, address="right@b.example")

    async def test_nobody_acts_on_what_is_another_tenants_or_nobodys(self, control: QueueControl, rows: Rows) -> None:
        [delivery] = await rows.dead(1, NOW)
        for tenant, identifier in (("acme", delivery), ("default", uuid4())):
            for kind in (EventKind.RETRIED, EventKind.PROMOTED, EventKind.CANCELLED, EventKind.CHANGED):
                assert await control.act(tenant, identifier, kind, NOW, Change(due_at=NOW)) is None
        assert (await rows.state(delivery)).state == "failed"

    async def test_a_claim_and_a_cancel_never_both_succeed(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        for _ in range(5):
            notification = await rows.notification(plan=PLAN)
            [delivery] = await rows.steps(notification)
            claimed, cancelled = await asyncio.gather(
                queue.claim(EMAIL, NOW, LEASE, 10),
                control.act("default", delivery, EventKind.CANCELLED, NOW),
                return_exceptions=True,
            )
            assert not isinstance(claimed, BaseException)
            if isinstance(cancelled, StateConflict):
                assert ids(claimed) == [delivery]
            else:
                assert claimed == []


class TestReplay:
    async def replay(self, control: QueueControl, *, limit: int = 100, **wanted: Any) -> list[int]:
        counts = []
        after: Place | None = None
        for _ in range(100):
            only = DeliveryFilter(**{"state": DeliveryState.FAILED, "ended_before": NOW + 100 * SECOND, **wanted})
            chunk = await control.replay("default", only, after, limit, NOW, dry_run=False)
            counts.append(chunk.deliveries)
            after = chunk.next
            if after is None:
                return counts
        raise AssertionError("a replay without end")

    async def test_puts_back_what_matches_from_the_oldest_on(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        failed = await rows.dead(5, NOW)
        await rows.end(failed[1], DeliveryState.SENT)

        wanted = DeliveryFilter(state=DeliveryState.FAILED, ended_after=NOW + SECOND)
        dry = await control.replay("default", wanted, None, 100, NOW, dry_run=True)
        assert (dry.deliveries, dry.next) == (3, None)
        chunk = await control.replay("default", wanted, None, 2, NOW, dry_run=False)
        assert chunk.deliveries == 2
        assert [(await rows.state(each)).state for each in failed] == ["failed", "sent", "queued", "queued", "failed"]
        rest = await control.replay("default", wanted, chunk.next, 2, NOW, dry_run=False)
        assert (rest.deliveries, rest.next) == (1, None)
        assert len(await queue.claim(EMAIL, NOW, LEASE, 10)) == 3

    async def test_what_fails_again_is_not_met_twice(
        self, queue: DeliveryQueue, control: QueueControl, rows: Rows
    ) -> None:
        await rows.dead(4, NOW)
        after: Place | None = None
        replayed = 0
        for _ in range(10):
            wanted = DeliveryFilter(state=DeliveryState.FAILED, ended_before=NOW + 4 * SECOND)
            chunk = await control.replay("default", wanted, after, 1, NOW, dry_run=False)
            replayed += chunk.deliveries
            for claim in await queue.claim(EMAIL, NOW, LEASE, 10):
                await queue.settle([settled(claim, DeliveryState.FAILED, "again")], NOW + 5 * SECOND)
            after = chunk.next
            if after is None:
                break
        assert replayed == 4

    async def test_filters_of_all_kinds(self, control: QueueControl, rows: Rows) -> None:
        failed = await rows.dead(4, NOW, provider="smtp", reason="Mailbox full")
        await rows.end(failed[0], provider="other", finished_at=NOW)
        assert sum(await self.replay(control, limit=2, provider="other")) == 1
        assert sum(await self.replay(control, limit=2, reason="mailbox")) == 3
        assert sum(await self.replay(control)) == 0
        failed = await rows.dead(2, NOW)
        assert sum(await self.replay(control, user="user-1")) == 1
        assert sum(await self.replay(control, channel=Channel.SMS)) == 0

    async def test_two_at_once_count_each_once(self, control: QueueControl, rows: Rows) -> None:
        await rows.dead(20, NOW)
        counts = await asyncio.gather(*(self.replay(control, limit=7) for _ in range(3)))
        assert sum(map(sum, counts)) == 20
