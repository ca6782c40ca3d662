"""The contract of `InboxStore.recall`: gone from every inbox and out of the queue, whatever had been done to it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from hub.core.model import (
    Channel,
    DeliveryState,
    InboxKey,
    InboxQuery,
    ItemState,
    MarkAction,
    Publication,
    Rung,
    Step,
)
from hub.ports import DeliveryQueue
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    GRACE,
    LATER,
    TENANT,
    ClientView,
    changes_of,
    check_inbox,
    delivery_states,
    fill,
    ids,
    missed,
    publication,
    stored_items,
    table_counts,
)
from tests.support.queue import EMAIL, LEASE, MAX_CLAIMS, SECOND, claim_one, settled

DUE = START + 60_000
AT_ONCE = Step(Channel.EMAIL, 0, Rung.NONE)


def without_inbox(sent: Publication) -> Publication:
    """Make it one that is only sent, to a user and to an address."""
    [delivery] = sent.deliveries
    to_address = replace(delivery, id=uuid4(), user=None, address="a@b.c")
    return replace(sent, content=replace(sent.content, inbox=False), users=(), deliveries=(delivery, to_address))


async def test_gone_from_every_inbox_and_out_of_the_queue(database: Database, store: SqlInboxStore) -> None:
    [other] = await fill(store, 1)
    sent = await store.publish(publication("ada", "grace", plan=[EMAIL_UNLESS_SEEN]), START)
    client = await ClientView.of(store, ADA)
    cursor = (await store.head(ADA)).cursor

    recalled = await store.recall(TENANT, sent.id, LATER)

    assert recalled is not None
    assert [(change.key, change.ids, change.fields) for change in changes_of(recalled)] == [
        (ADA, (sent.id,), {"removed": True}),
        (GRACE, (sent.id,), {"removed": True}),
    ]
    [wakeup] = {wakeup for _, wakeup in recalled}
    left = {each.id: list(each.heads) for each in await store.leftover_wakeups(LATER + 1, 9)}
    assert wakeup is not None
    assert left[wakeup.id] == [(ADA, 3), (GRACE, 2)]
    for change in changes_of(recalled):
        assert change.head == await check_inbox(database, change.key)
        assert await store.item(change.key, sent.id) is None
        [(state, reason, finished_at)] = await delivery_states(database, change.key)
        assert (state, finished_at) == ("cancelled", LATER)
        assert reason is not None
        assert "recalled" in reason
    assert [item.content.id for item in (await store.page(ADA, InboxQuery())).items] == [other]
    await client.take(store, changes_of(recalled)[0])
    await client.assert_equals(database, ADA)
    [gone] = (await missed(store, ADA, cursor, 9)).items
    assert (gone.content.id, gone.state, gone.version) == (sent.id, ItemState.GONE, 3)
    told = await store.notification(TENANT, sent.id)
    assert told is not None
    assert told.recalled_at == LATER


async def test_recalled_again_changes_nothing(database: Database, store: SqlInboxStore) -> None:
    sent = await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
    await store.recall(TENANT, sent.id, LATER)
    before = await table_counts(database)
    assert await store.recall(TENANT, sent.id, LATER + 1) == []
    assert (await check_inbox(database, ADA)).version == 2
    assert await table_counts(database) == before
    told = await store.notification(TENANT, sent.id)
    assert told is not None
    assert told.recalled_at == LATER


async def test_what_this_tenant_does_not_have(database: Database, store: SqlInboxStore) -> None:
    sent = await store.publish(publication("ada", tenant="acme", plan=[EMAIL_UNLESS_SEEN]), START)
    assert await store.recall(TENANT, sent.id, LATER) is None
    assert await store.recall(TENANT, uuid4(), LATER) is None
    assert (await check_inbox(database, InboxKey("acme", "ada"))).counts == (1, 1)


@pytest.mark.parametrize("action", [None, *MarkAction])
async def test_counts_stay_right_whatever_was_done(
    database: Database, store: SqlInboxStore, action: MarkAction | None
) -> None:
    sent = await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
    await fill(store, 1)
    if action is not None:
        until = DUE if action is MarkAction.SNOOZE else None
        await store.mark(ADA, action, ids(sent.id), LATER, until=until)
    await store.recall(TENANT, sent.id, LATER)
    assert (await check_inbox(database, ADA)).counts == (1, 1)
    assert await store.next_timer() is None, "the end of a snooze is dropped too"
    for again in MarkAction:
        assert (await store.mark(ADA, again, ids(sent.id), DUE, until=DUE + 1)).changed == 0


async def test_what_was_still_to_appear_never_does(database: Database, store: SqlInboxStore) -> None:
    sent = publication("ada", deliver_at=DUE, expires_at=DUE + 9, plan=[EMAIL_UNLESS_SEEN])
    await store.publish(sent, START)
    recalled = await store.recall(TENANT, sent.content.id, LATER)
    assert recalled is not None
    assert len(recalled) == 1
    assert await store.next_timer() is None
    assert await store.apply_timers(DUE + 9, 9) == []
    assert [item.state for item in await stored_items(database, ADA)] == [ItemState.GONE]
    assert (await check_inbox(database, ADA)).counts == (0, 0)


async def test_after_it_expired(database: Database, store: SqlInboxStore) -> None:
    sent = await store.publish(publication("ada", expires_at=DUE, plan=[EMAIL_UNLESS_SEEN]), START)
    await store.apply_timers(DUE, 9)
    assert await store.recall(TENANT, sent.id, DUE + 1) == []
    assert [state for state, _, _ in await delivery_states(database, ADA)] == ["expired"]


async def test_what_a_worker_holds_is_not_sent(store: SqlInboxStore, queue: DeliveryQueue) -> None:
    sent = await store.publish(publication("ada", plan=[AT_ONCE]), START)
    claim = await claim_one(queue)
    assert await queue.rung(claim.delivery.id, TENANT, claim.delivery.fence) is Rung.NONE
    await store.recall(TENANT, sent.id, LATER)
    assert await queue.rung(claim.delivery.id, TENANT, claim.delivery.fence) is None


async def test_without_inbox_it_is_out_of_the_queue_all_the_same(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue
) -> None:
    """There is no item to say so; a retry of what was on its way must not send it either."""
    sent = without_inbox(publication("ada", plan=[AT_ONCE]))
    await store.publish(sent, START)
    [held] = await queue.claim(EMAIL, START, LEASE, 1)
    assert await store.recall(TENANT, sent.content.id, LATER) == []
    assert await queue.rung(held.delivery.id, TENANT, held.delivery.fence) is None
    retry = settled(held, DeliveryState.QUEUED, "To be tried again.", due_at=LATER)
    assert await queue.settle([retry], LATER)
    assert await queue.claim(EMAIL, LATER + SECOND, LEASE, 9) == []
    await queue.rescue(LATER + SECOND, MAX_CLAIMS, 9)
    state = await store.notification(TENANT, sent.content.id)
    assert state is not None
    assert {delivery.state for delivery, _ in state.deliveries} == {DeliveryState.CANCELLED}


async def test_a_thousand_recipients_with_ten_steps_each(database: Database, store: SqlInboxStore) -> None:
    users = [f"user-{number}" for number in range(1_000)]
    sent = publication(*users, plan=[replace(EMAIL_UNLESS_SEEN, after=after) for after in range(10)])
    await store.publish(sent, START)
    recalled = await store.recall(TENANT, sent.content.id, LATER)
    assert recalled is not None
    assert len(recalled) == 1_000
    assert (await check_inbox(database, InboxKey(TENANT, users[500]))).counts == (0, 0)
    states = {state for state, _, _ in await delivery_states(database, InboxKey(TENANT, users[999]))}
    assert states == {"cancelled"}


async def test_while_it_is_released_expires_and_is_marked(database: Database, store: SqlInboxStore) -> None:
    """Whatever comes first, it is gone in the end, and nobody waits in a circle."""
    users = [f"user-{number}" for number in range(8)]
    plan = [EMAIL_UNLESS_SEEN]
    with capture_logs() as logs:
        for number in range(6):
            pending, live, ending = (
                publication(*users, plan=plan, deliver_at=deliver_at, expires_at=expires_at)
                for deliver_at, expires_at in ((DUE, None), (None, None), (None, DUE))
            )
            for sent in (pending, live, ending):
                await store.publish(sent, START)
            keys = [InboxKey(TENANT, user) for user in users[number:]]
            await asyncio.gather(
                *(store.recall(TENANT, sent.content.id, DUE) for sent in (pending, live, ending, live)),
                *(store.apply_timers(DUE, 9) for _ in range(2)),
                *(store.mark(key, MarkAction.READ, ids(live.content.id, ending.content.id), DUE) for key in keys),
            )
    assert [line for line in logs if line["event"] == "transaction_repeated"] == []
    for user in users:
        key = InboxKey(TENANT, user)
        assert (await check_inbox(database, key)).counts == (0, 0)
        assert {item.state for item in await stored_items(database, key)} == {ItemState.GONE}
        assert "queued" not in {state for state, _, _ in await delivery_states(database, key)}
