"""The promise that ties inbox and queue together: after an acknowledgement, no claim of a step it cancels succeeds."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from hub.core.errors import DataError
from hub.core.model import Channel, DeliveryState, InboxKey, MarkAction, Publication, Rung, Selection, Step
from hub.ports import DeliveryQueue
from hub.store import inbox_mark
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.marks import Mark
from tests.support.clock import START
from tests.support.inboxes import ADA, publication
from tests.support.queue import EMAIL, LEASE, MAX_CLAIMS, SECOND, claim_one, ids, settled
from tests.support.rows import Rows

ROUNDS = 60


@pytest.fixture
def inbox(database: Database) -> SqlInboxStore:
    return SqlInboxStore(database)


def only(sent: Publication) -> Selection:
    return Selection(ids=(sent.content.id,))


async def test_a_published_step_is_claimed_when_it_is_due(inbox: SqlInboxStore, queue: DeliveryQueue) -> None:
    sent = publication("ada", plan=[Step(Channel.EMAIL, 60 * SECOND)])
    await inbox.publish(sent, START)

    assert await queue.next_due() == {EMAIL: START + 60 * SECOND}
    assert await queue.claim(EMAIL, START + 60 * SECOND - 1, LEASE, 10) == []
    claim = await claim_one(queue, START + 60 * SECOND)

    assert claim.content == sent.content
    assert claim.delivery.id == sent.deliveries[0].id


async def test_the_same_deliveries_cannot_be_stored_twice(
    inbox: SqlInboxStore, queue: DeliveryQueue, rows: Rows
) -> None:
    sent = publication("ada", plan=[Step(Channel.EMAIL, 0)])
    await inbox.publish(sent, START)

    with pytest.raises(DataError):
        await inbox.publish(sent, START)

    assert ids(await queue.claim(EMAIL, START, LEASE, 10)) == [sent.deliveries[0].id]
    assert (await inbox.head(ADA)).version == 1


@pytest.mark.parametrize(
    ("action", "got"),
    [
        (MarkAction.DELIVERED, Rung.DELIVERED),
        (MarkAction.SEEN, Rung.SEEN),
        (MarkAction.READ, Rung.READ),
        (MarkAction.ARCHIVE, Rung.READ),
    ],
)
async def test_an_acknowledgement_cancels_the_steps_it_makes_needless_and_no_others(
    inbox: SqlInboxStore, queue: DeliveryQueue, rows: Rows, action: MarkAction, got: Rung
) -> None:
    sent = publication("ada", "grace", plan=[Step(Channel.EMAIL, 0, unless) for unless in Rung])
    await inbox.publish(sent, START)

    await inbox.mark(ADA, action, only(sent), START)
    claims = await queue.claim(EMAIL, START, LEASE, 10)

    left = {claim.delivery.unless for claim in claims if claim.delivery.user == "ada"}
    assert left == {unless for unless in Rung if unless is Rung.NONE or unless > got}
    assert len([claim for claim in claims if claim.delivery.user == "grace"]) == len(Rung)


async def test_what_is_returned_to_the_queue_after_the_acknowledgement_is_not_claimed_again(
    inbox: SqlInboxStore, queue: DeliveryQueue, rows: Rows
) -> None:
    sent = publication("ada", plan=[Step(Channel.EMAIL, 0)])
    await inbox.publish(sent, START)
    claim = await claim_one(queue)
    await inbox.mark(ADA, MarkAction.SEEN, only(sent), START)
    assert await queue.rung(claim.delivery.id, "default", claim.delivery.fence) is Rung.SEEN

    retried = settled(claim, DeliveryState.QUEUED, "busy", due_at=START)
    assert await queue.settle([retried], START) == [claim.delivery.id]

    assert await queue.claim(EMAIL, START, LEASE, 10) == []
    await queue.rescue(START, MAX_CLAIMS, 100)
    row = await rows.state(claim.delivery.id)
    assert (row.state, row.reason) == ("cancelled", "Seen before it was sent.")


async def test_expiry_ends_what_is_queued(inbox: SqlInboxStore, queue: DeliveryQueue, rows: Rows) -> None:
    sent = publication("ada", plan=[Step(Channel.EMAIL, 60 * SECOND)], expires_at=START + SECOND)
    await inbox.publish(sent, START)

    await inbox.apply_timers(START + SECOND, 10)

    assert (await rows.state(sent.deliveries[0].id)).state == "expired"
    assert await queue.next_due() == {}


async def test_a_pending_notification_s_step_counts_from_when_it_appears(
    inbox: SqlInboxStore, queue: DeliveryQueue
) -> None:
    sent = publication("ada", plan=[Step(Channel.EMAIL, SECOND)], deliver_at=START + 60 * SECOND)
    await inbox.publish(sent, START)

    assert await queue.claim(EMAIL, START + 61 * SECOND - 1, LEASE, 10) == []
    # The release may be late; the step is due all the same.
    assert (await claim_one(queue, START + 61 * SECOND)).delivery.id == sent.deliveries[0].id


async def test_however_claim_and_acknowledgement_race_none_succeeds_after_it(
    inbox: SqlInboxStore, queue: DeliveryQueue, rows: Rows, database: Database
) -> None:
    for number in range(ROUNDS):
        sent = publication("ada", plan=[Step(Channel.EMAIL, 0)])
        await inbox.publish(sent, START)

        claims = await _race(inbox, queue, database, sent, number)

        assert not any(taken for after, taken in claims if after)
        taken = sum(taken for _, taken in claims)
        assert (await rows.state(sent.deliveries[0].id)).state == ("sending" if taken else "cancelled")
        assert taken <= 1


async def _race(
    inbox: SqlInboxStore, queue: DeliveryQueue, database: Database, sent: Publication, number: int
) -> list[tuple[bool, int]]:
    """Acknowledge and claim at once. For every claim: whether it began after the acknowledgement, and what it took."""
    acknowledged = False
    claims: list[tuple[bool, int]] = []

    async def mark() -> None:
        nonlocal acknowledged
        await inbox.mark(ADA, MarkAction.SEEN, only(sent), START)
        acknowledged = True

    async def claim(head_start: int) -> None:
        for _ in range(head_start):  # so many round trips late: the race is run from every distance
            async with database.reader() as connection:
                await connection.execute(text("SELECT 1"))
        after = False
        while not after:
            after = acknowledged
            claims.append((after, len(await queue.claim(EMAIL, START, LEASE, 10))))

    await asyncio.gather(mark(), *(claim((number + offset) % 6) for offset in range(3)))
    return claims


async def test_a_claim_passes_over_what_an_acknowledgement_holds(postgres_url: str) -> None:
    """PostgreSQL: the acknowledgement locks its deliveries first, so a claim meanwhile neither takes nor waits."""
    database = await open_database(postgres_url)
    inbox, queue = SqlInboxStore(database), SqlDeliveryQueue(database)
    try:
        sent = publication("ada", "grace", plan=[Step(Channel.EMAIL, 0)])
        await inbox.publish(sent, START)
        async with database.writer() as connection:
            seen = Mark(ADA, MarkAction.SEEN, only(sent), START, None)
            await inbox_mark.store(connection, [seen], database.cluster)
            meanwhile = await queue.claim(EMAIL, START, LEASE, 10)
        assert [claim.delivery.user for claim in meanwhile] == ["grace"]
        assert await queue.claim(EMAIL, START, LEASE, 10) == []
    finally:
        await database.close()


async def test_an_acknowledgement_waits_for_no_claim(inbox: SqlInboxStore, queue: DeliveryQueue, rows: Rows) -> None:
    """What is being sent is left alone: its worker reads the rung right before the send."""
    sent = publication("ada", plan=[Step(Channel.EMAIL, 0)])
    await inbox.publish(sent, START)
    claim = await claim_one(queue)

    await inbox.mark(ADA, MarkAction.READ, only(sent), START)

    assert (await rows.state(claim.delivery.id)).state == "sending"
    assert await queue.settle([settled(claim, DeliveryState.CANCELLED, "read")], START) == [claim.delivery.id]


async def test_an_acknowledgement_in_another_tenant_cancels_nothing(inbox: SqlInboxStore, queue: DeliveryQueue) -> None:
    sent = publication("ada", plan=[Step(Channel.EMAIL, 0)])
    await inbox.publish(sent, START)

    await inbox.mark(InboxKey("other", "ada"), MarkAction.READ, only(sent), START)
    await inbox.mark(InboxKey("default", "grace"), MarkAction.READ, Selection(all=True), START)

    assert (await claim_one(queue)).delivery.id == sent.deliveries[0].id
