"""The contract of `DeliveryQueue` for shared audiences: the log, marks and rows say who needs a delivery."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel, DeliveryState, Priority, Rung, Step
from hub.ports import Claim, DeliveryQueue, ExpansionKey, Expansions, Lane
from hub.store import expansion_chunk
from hub.store.engine import Database, open_database
from hub.store.expansions import SqlExpansions, end_fallback
from tests.support.clock import START
from tests.support.queue import EMAIL as DIRECT_EMAIL
from tests.support.queue import LEASE, MAX_CLAIMS, SECOND, claim_one, settled
from tests.support.rows import Rows
from tests.support.shared_rows import POSITION, SharedRows

ALL = frozenset(Channel)
EMAIL = Lane(Channel.EMAIL, Priority.NORMAL, shared=True)
SMS = Lane(Channel.SMS, Priority.NORMAL, shared=True)
PUSH = Lane(Channel.PUSH, Priority.NORMAL, shared=True)
HOUR = 3_600 * SECOND
Columns = dict[str, Any]
NOBODY: Columns = {}


@pytest.fixture
def expansions(database: Database) -> Expansions:
    return SqlExpansions(database)


@pytest.fixture
def shared(database: Database) -> SharedRows:
    return SharedRows(database)


async def expanded(expansions: Expansions, notification: UUID, step: int = 0, now: int = START) -> None:
    assert await expansions.expand(ExpansionKey("default", notification, step), now, ALL, 100) is not None


READ_TO_HERE: Columns = {"read_mark": POSITION, "seen_mark": POSITION}
SEEN_TO_HERE: Columns = {"read_mark": POSITION - 1, "seen_mark": POSITION}

STANDINGS: list[tuple[Columns, Columns | None, Rung]] = [
    # Marks, the member's own row of the item, and how far they have got by both.
    (NOBODY, None, Rung.NONE),
    (NOBODY, {}, Rung.NONE),
    (NOBODY, {"delivered_at": START}, Rung.DELIVERED),
    (NOBODY, {"seen_at": START}, Rung.SEEN),
    (NOBODY, {"seen_at": START, "read_at": START}, Rung.READ),
    ({"seen_mark": POSITION - 1}, None, Rung.NONE),
    ({"seen_mark": POSITION}, None, Rung.SEEN),
    (SEEN_TO_HERE, None, Rung.SEEN),
    (READ_TO_HERE, None, Rung.READ),
    # A row has the whole state: it was written with what the marks said then, and changes with them.
    (READ_TO_HERE, {"seen_at": START}, Rung.SEEN),
    (READ_TO_HERE, {}, Rung.NONE),
    (READ_TO_HERE, {"delivered_at": START}, Rung.DELIVERED),
    (SEEN_TO_HERE, {"seen_at": START, "read_at": START}, Rung.READ),
]


def needing(got: Rung) -> set[Rung]:
    """The steps, by their `unless`, that somebody still needs who has got so far."""
    return {unless for unless in Rung if unless is Rung.NONE or unless > got}


class TestRung:
    async def test_is_read_from_marks_and_row(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        """The claim, the look right before the send, and the rescuer all say the same."""
        users = [f"user-{number:02}" for number in range(len(STANDINGS))]
        await shared.members(*users)
        notification = await shared.publish([Step(Channel.EMAIL, 0, unless) for unless in Rung])
        for step in range(len(Rung)):
            await expanded(expansions, notification, step)
        for user, (marks, row, _) in zip(users, STANDINGS, strict=True):
            await shared.mark(user, **marks)
            if row is not None:
                await shared.touch(notification, user, **row)

        claims = await queue.claim(EMAIL, START, LEASE, 1_000)
        rungs = {claim.delivery.user: await _rung(queue, claim) for claim in claims}
        await queue.rescue(START, MAX_CLAIMS, 1_000)
        deliveries = await shared.deliveries(notification)

        for user, standing in zip(users, STANDINGS, strict=True):
            got = standing[2]
            claimed = {claim.delivery.unless for claim in claims if claim.delivery.user == user}
            assert (claimed, rungs[user]) == (needing(got), got), standing
            states = {Rung(each.unless): each.state for each in deliveries if each.user_id == user}
            assert states == {unless: "sending" if unless in needing(got) else "cancelled" for unless in Rung}

    async def test_an_expansion_reads_the_same(self, expansions: Expansions, shared: SharedRows) -> None:
        users = [f"user-{number:02}" for number in range(len(STANDINGS))]
        notification = await shared.publish([Step(Channel.EMAIL, 0, unless) for unless in Rung])
        for user, (marks, row, _) in zip(users, STANDINGS, strict=True):
            await shared.members(user, **marks)
            if row is not None:
                await shared.touch(notification, user, **row)

        for step in range(len(Rung)):
            await expanded(expansions, notification, step)
        deliveries = await shared.deliveries(notification)

        for user, standing in zip(users, STANDINGS, strict=True):
            made = {Rung(each.unless) for each in deliveries if each.user_id == user}
            assert made == needing(standing[2]), standing

    async def test_is_none_once_the_notification_is_gone(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish([Step(Channel.EMAIL, 0)])
        await expanded(expansions, notification)
        claim = await claim_one(queue, lane=EMAIL)
        assert await _rung(queue, claim) is Rung.NONE

        await shared.withdraw(notification)

        assert await _rung(queue, claim) is None

    async def test_somebody_else_s_row_and_watermark_say_nothing(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        await shared.members("ben", **READ_TO_HERE)
        await shared.user("ada", tenant="other", **READ_TO_HERE)
        notification = await shared.publish([Step(Channel.EMAIL, 0)])
        await shared.touch(notification, "ben", read_at=START)
        await shared.touch(notification, "ada", tenant="other", read_at=START)
        await shared.touch(notification, "ada", position=POSITION + 1, read_at=START)
        await expanded(expansions, notification)

        assert (await claim_one(queue, lane=EMAIL)).delivery.user == "ada"


async def _rung(queue: DeliveryQueue, claim: Claim) -> Rung | None:
    return await queue.rung(claim.delivery.id, claim.delivery.tenant, claim.delivery.fence)


class TestClaim:
    async def test_has_all_that_is_needed_to_send(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish([Step(Channel.EMAIL, 0)])
        await expanded(expansions, notification)

        claim = await claim_one(queue, lane=EMAIL)

        assert claim.content.id == notification
        assert claim.contact is not None
        assert claim.contact.email == "a@b.example"
        assert len(claim.devices) == 1

    async def test_lanes_of_shared_audiences_are_their_own(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows, rows: Rows
    ) -> None:
        await shared.members("ada")
        of_audience = await shared.publish([Step(Channel.EMAIL, 0)])
        await expanded(expansions, of_audience, now=START)
        direct = await rows.notification(plan=[Step(Channel.EMAIL, SECOND)])

        assert await queue.next_due() == {EMAIL: START, DIRECT_EMAIL: START + SECOND}
        assert (await claim_one(queue, START + SECOND, DIRECT_EMAIL)).content.id == direct
        assert (await claim_one(queue, START + SECOND, EMAIL)).content.id == of_audience
        assert await queue.next_due() == {}

    async def test_nothing_withdrawn_or_expired_is_claimed(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        withdrawn = await shared.publish([Step(Channel.EMAIL, 0)])
        expired = await shared.publish([Step(Channel.EMAIL, 0)], position=POSITION + 1, expires_at=START + SECOND)
        for notification in (withdrawn, expired):
            await expanded(expansions, notification)
        await shared.withdraw(withdrawn)

        assert await queue.claim(EMAIL, START + SECOND, LEASE, 10) == []

        await queue.rescue(START + SECOND, MAX_CLAIMS, 100)
        [dropped] = await shared.deliveries(withdrawn)
        [late] = await shared.deliveries(expired)
        assert [(row.state, row.reason) for row in (dropped, late)] == [
            ("cancelled", "The notification was withdrawn."),
            ("expired", "The notification expired before this step was sent."),
        ]
        assert await queue.next_due() == {}

    async def test_a_vanished_worker_s_claim_is_returned(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        await expanded(expansions, await shared.publish([Step(Channel.EMAIL, 0)]))
        first = await claim_one(queue, lane=EMAIL)

        assert await queue.renew([(first.delivery.id, 1)], START, LEASE) == [first.delivery.id]
        assert await queue.rescue(START + LEASE, MAX_CLAIMS, 10) == 1
        assert (await claim_one(queue, START + LEASE, EMAIL)).delivery.fence == 2


class TestNextTurn:
    """A delivery that fails pulls the next step forward, whether that has been expanded yet or not."""

    PLAN = (Step(Channel.PUSH, 0), Step(Channel.EMAIL, HOUR), Step(Channel.SMS, HOUR), Step(Channel.EMAIL, 2 * HOUR))

    async def fail(self, queue: DeliveryQueue, claim: Claim, now: int = START) -> None:
        failed = replace(settled(claim, DeliveryState.FAILED, "no"), pull_next=True)
        assert await queue.settle([failed], now) == [claim.delivery.id]

    async def test_steps_that_are_not_there_yet_are_made_and_are_due(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada", "ben")
        notification = await shared.publish(self.PLAN)
        await expanded(expansions, notification)
        failing, other = await queue.claim(PUSH, START, LEASE, 10)

        await self.fail(queue, failing, START + 5)

        rows = {(row.user_id, row.step, row.state, row.due_at) for row in await shared.deliveries(notification)}
        assert rows == {
            (other.delivery.user, 0, "sending", START),
            (failing.delivery.user, 0, "failed", START),
            (failing.delivery.user, 1, "queued", START + 5),
            (failing.delivery.user, 2, "queued", START + 5),
        }

    async def test_their_expansion_finds_them_there(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish(self.PLAN)
        await expanded(expansions, notification)
        await self.fail(queue, await claim_one(queue, lane=PUSH))

        for turn in (START, START + HOUR):
            await expanded(expansions, notification, 1, turn)

        assert [(row.step, row.due_at) for row in await shared.deliveries(notification)] == [
            (0, START),
            (1, START),
            (2, START),
        ]
        assert await shared.counts(ExpansionKey("default", notification, 1)) == ("done", 1, 1, 0, 0)

    async def test_what_the_member_has_reached_is_passed_over(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        plan = [
            Step(Channel.PUSH, 0, Rung.READ),
            Step(Channel.EMAIL, HOUR, Rung.DELIVERED),
            Step(Channel.SMS, 2 * HOUR, Rung.READ),
        ]
        await shared.members("ada")
        notification = await shared.publish(plan)
        await expanded(expansions, notification)
        await shared.touch(notification, "ada", delivered_at=START)

        await self.fail(queue, await claim_one(queue, lane=PUSH))

        assert [(row.step, row.state) for row in await shared.deliveries(notification)] == [
            (0, "failed"),
            (2, "queued"),
        ]

    async def test_nothing_follows_what_is_gone(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish(self.PLAN)
        await expanded(expansions, notification)
        claim = await claim_one(queue, lane=PUSH)
        await shared.withdraw(notification)

        await self.fail(queue, claim)

        assert len(await shared.deliveries(notification)) == 1


class TestTheEnd:
    async def test_ends_expansions_and_queued_deliveries_of_this_notification_alone(
        self, queue: DeliveryQueue, expansions: Expansions, shared: SharedRows, database: Database
    ) -> None:
        await shared.members("ada", "ben")
        plan = [Step(Channel.EMAIL, 0), Step(Channel.SMS, HOUR)]
        mine = await shared.publish(plan)
        await expanded(expansions, mine)
        held = await queue.claim(EMAIL, START, LEASE, 1)
        other = await shared.publish(plan, position=POSITION + 1)
        await expanded(expansions, other)

        await end(database, mine)

        states = {row.user_id: (row.state, row.reason) for row in await shared.deliveries(mine)}
        assert states == {held[0].delivery.user: ("sending", None), _other(held[0]): ("cancelled", "so")}
        assert [row.state for row in await shared.deliveries(other)] == ["queued", "queued"]
        row = await shared.expansion(ExpansionKey("default", mine, 1))
        assert (row.state, row.reason, row.finished_at) == ("cancelled", "so", START + 1)
        assert (await shared.expansion(ExpansionKey("default", mine, 0))).state == "done"
        assert (await shared.expansion(ExpansionKey("default", other, 1))).state == "waiting"

    async def test_says_whether_it_expired(
        self, expansions: Expansions, shared: SharedRows, database: Database
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish([Step(Channel.EMAIL, 0), Step(Channel.SMS, HOUR)])
        await expanded(expansions, notification)

        await end(database, notification, expired=True)

        assert [row.state for row in await shared.deliveries(notification)] == ["expired"]
        assert (await shared.expansion(ExpansionKey("default", notification, 1))).state == "expired"


async def test_the_end_waits_for_a_chunk_under_way_and_ends_its_deliveries_too(postgres_url: str) -> None:
    """PostgreSQL: both hold the expansion's row."""
    database = await open_database(postgres_url)
    shared = SharedRows(database)
    try:
        await shared.members("ada", "ben")
        notification = await shared.publish([Step(Channel.EMAIL, 0)])
        this = ExpansionKey("default", notification, 0)
        async with database.writer() as connection:
            await expansion_chunk.expand(connection, this, START, ALL, 1)
            ending = asyncio.ensure_future(end(database, notification))
            async with database.reader() as onlooker:
                while not (await onlooker.execute(_WAITING)).scalar_one():
                    assert not ending.done()
        await ending

        assert [row.state for row in await shared.deliveries(notification)] == ["cancelled"]
        assert (await shared.expansion(this)).state == "cancelled"
    finally:
        await database.close()


_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def end(database: Database, notification: UUID, *, expired: bool = False) -> None:
    async def work(connection: AsyncConnection) -> None:
        ending = DeliveryState.EXPIRED if expired else DeliveryState.CANCELLED
        await end_fallback(connection, "default", notification, START + 1, ending=ending, reason="so")

    await database.write(work)


def _other(claim: Claim) -> str:
    return "ben" if claim.delivery.user == "ada" else "ada"
