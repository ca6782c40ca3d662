"""The contract of collapse keys: of a user's unread items with one key, only the one that appeared last stays."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from hub.core.model import InboxKey, ItemState, MarkAction, Publication, Published
from hub.ports import DeliveryQueue
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.tables import deliveries
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    EVERYTHING,
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
)
from tests.support.queue import EMAIL, LEASE, MAX_CLAIMS

DUE = START + 60_000
UNTIL = DUE + 60_000


def keyed(*users: str, key: str = "order-7", now: int = START, deliver_at: int | None = None) -> Publication:
    """Make a publication with a collapse key, and an e-mail at once."""
    plan = [replace(EMAIL_UNLESS_SEEN, after=0)]
    return publication(*(users or ("ada",)), now=now, plan=plan, collapse_key=key, deliver_at=deliver_at)


async def live(database: Database, key: InboxKey = ADA) -> set[UUID]:
    return {item.content.id for item in await stored_items(database, key) if item.state is ItemState.LIVE}


async def unread(database: Database, key: InboxKey = ADA) -> set[UUID]:
    items = await stored_items(database, key)
    return {item.content.id for item in items if item.state is ItemState.LIVE and item.read_at is None}


def removals(published: Published) -> Sequence[tuple[InboxKey, int, tuple[UUID, ...]]]:
    for change in published.replaced:
        assert change.fields == {"removed": True}
    return [(change.key, change.head.version, change.ids) for change in published.replaced]


async def test_the_newer_one_takes_the_place_of_the_older(database: Database, store: SqlInboxStore) -> None:
    [other] = await fill(store, 1)
    first = await store.publish(keyed(), START)
    cursor = (await store.head(ADA)).cursor
    client = await ClientView.of(store, ADA)

    second = await store.publish(keyed(now=LATER), LATER)

    assert removals(second) == [(ADA, 3, (first.id,))]
    assert second.heads["ada"].version == 4
    [between] = [change.head.counts for change in second.replaced]
    assert between == (1, 1)
    assert await check_inbox(database, ADA) == second.heads["ada"]
    assert second.heads["ada"].counts == (2, 2)
    assert await live(database) == {other, second.id}
    [change] = second.replaced
    await client.take(store, change)
    item = await store.item(ADA, second.id)
    assert item is not None
    await client.take(store, replace(change, head=second.heads["ada"], item=item, ids=(), fields={}))
    await client.assert_equals(database, ADA)
    told = [(item.content.id, item.version, item.state) for item in (await missed(store, ADA, cursor, 9)).items]
    assert told == [(first.id, 3, ItemState.GONE), (second.id, 4, ItemState.LIVE)]
    [(state, reason, finished_at), (still, _, _)] = await delivery_states(database, ADA)
    assert (state, finished_at, still) == ("cancelled", LATER, "queued")
    assert reason is not None
    assert "newer" in reason
    wakeups = {wakeup.id: list(wakeup.heads) for wakeup in await store.leftover_wakeups(LATER + 1, 9)}
    assert second.wakeup is not None
    assert wakeups[second.wakeup.id] == [(ADA, 4)]


@pytest.mark.parametrize(
    ("action", "stays"),
    [
        (None, False),
        (MarkAction.SEEN, False),
        (MarkAction.SNOOZE, False),
        (MarkAction.READ, True),
        (MarkAction.ARCHIVE, True),
    ],
)
async def test_only_what_is_unread_is_replaced(
    database: Database, store: SqlInboxStore, action: MarkAction | None, *, stays: bool
) -> None:
    first = await store.publish(keyed(), START)
    if action is not None:
        until = UNTIL if action is MarkAction.SNOOZE else None
        await store.mark(ADA, action, ids(first.id), START, until=until)
    second = await store.publish(keyed(now=LATER), LATER)
    assert await live(database) == ({first.id, second.id} if stays else {second.id})
    assert (await check_inbox(database, ADA)).counts == (1, 1)
    await store.apply_timers(UNTIL, 9)
    assert (await check_inbox(database, ADA)).counts == (1, 1), "the end of a snooze brings nothing back"


async def test_what_became_unread_again_goes_too(database: Database, store: SqlInboxStore) -> None:
    sent = []
    for number in range(3):
        sent.append((await store.publish(keyed(now=START + number), START + number)).id)
        await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
    await store.mark(ADA, MarkAction.UNREAD, EVERYTHING, LATER)
    assert await unread(database) == set(sent)
    last = await store.publish(keyed(now=LATER), LATER)
    [(_, _, gone)] = removals(last)
    assert sorted(gone) == sorted(sent)
    assert await live(database) == {last.id}
    assert await check_inbox(database, ADA) == last.heads["ada"]
    assert last.heads["ada"].counts == (1, 1)


async def test_only_the_same_key_of_the_same_user_in_the_same_tenant(database: Database, store: SqlInboxStore) -> None:
    """The category makes no difference: a key names one thing, whatever there is to be said of it."""
    other_category = publication("ada", collapse_key="order-7", category="order.delayed")
    others = [
        await store.publish(each, START)
        for each in (keyed("grace"), publication("ada", tenant="acme", collapse_key="order-7"), keyed(key="order-8"))
    ]
    replaced = await store.publish(other_category, START)
    sent = await store.publish(keyed(now=LATER), LATER)
    assert removals(sent) == [(ADA, 3, (replaced.id,))]
    assert await live(database) == {others[2].id, sent.id}
    assert await live(database, GRACE) == {others[0].id}
    assert await live(database, InboxKey("acme", "ada")) == {others[1].id}


async def test_of_many_recipients_each_loses_their_own(database: Database, store: SqlInboxStore) -> None:
    users = [f"user-{number}" for number in range(300)]
    older = await store.publish(keyed(*users[:200]), START)
    await store.mark(InboxKey(TENANT, users[7]), MarkAction.READ, EVERYTHING, START)
    sent = await store.publish(keyed(*users, now=LATER), LATER)
    assert {key.user for key, _, gone in removals(sent) if gone == (older.id,)} == {*users[:200]} - {users[7]}
    assert {user: head.version for user, head in sent.heads.items()} == {
        user: 3 if user in users[:200] else 1 for user in users
    }
    for number in (0, 7, 250):
        key = InboxKey(TENANT, users[number])
        assert await check_inbox(database, key) == sent.heads[key.user]
        assert await unread(database, key) == {sent.id}


class TestWithDeliverAt:
    async def test_it_replaces_when_it_appears_and_not_before(self, database: Database, store: SqlInboxStore) -> None:
        first = await store.publish(keyed(), START)
        client = await ClientView.of(store, ADA)
        later = await store.publish(keyed(now=LATER, deliver_at=DUE), LATER)
        assert (removals(later), await live(database)) == ([], {first.id})
        applied = await store.apply_timers(DUE, 9)
        removed, appeared = changes_of(applied)
        assert (removed.ids, removed.head.version) == ((first.id,), 2)
        assert appeared.item is not None
        assert (appeared.item.content.id, appeared.head.version) == (later.id, 3)
        assert len({wakeup for _, wakeup in applied}) == 1, "one wake-up row for both"
        for change in (removed, appeared):
            await client.take(store, change)
        await client.assert_equals(database, ADA)
        assert await check_inbox(database, ADA) == appeared.head
        assert [state for state, _, _ in await delivery_states(database, ADA)] == ["cancelled", "queued"]

    async def test_it_is_not_replaced_before_it_appears(self, database: Database, store: SqlInboxStore) -> None:
        later = await store.publish(keyed(deliver_at=DUE), START)
        now = await store.publish(keyed(now=LATER), LATER)
        assert (removals(now), await live(database)) == ([], {now.id})
        await store.apply_timers(DUE, 9)
        assert await live(database) == {later.id}

    async def test_of_two_at_the_same_time_one_is_left(self, database: Database, store: SqlInboxStore) -> None:
        for number in range(2):
            await store.publish(keyed(now=START + number, deliver_at=DUE), LATER)
        await asyncio.gather(*(store.apply_timers(DUE, 9) for _ in range(3)))
        assert len(await live(database)) == 1
        head = await check_inbox(database, ADA)
        assert (head.version, head.counts) == (3, (1, 1))

    async def test_recalled_before_it_appears_it_replaces_nothing(
        self, database: Database, store: SqlInboxStore
    ) -> None:
        first = await store.publish(keyed(), START)
        later = await store.publish(keyed(deliver_at=DUE), START)
        await store.recall(TENANT, later.id, LATER)
        assert await store.apply_timers(DUE, 9) == []
        assert await live(database) == {first.id}


async def test_a_repeated_publish_replaces_nothing(database: Database, store: SqlInboxStore) -> None:
    sent = [
        publication("ada", now=START + number, collapse_key="k", idempotency=(key, b"hash"))
        for number, key in enumerate(["a", "b", "a"])
    ]
    _, newest, again = [await store.publish(each, LATER) for each in sent]
    assert (again.replayed, removals(again)) == (True, [])
    assert await live(database) == {newest.id}


async def test_of_ten_at_once_exactly_one_is_left(database: Database, store: SqlInboxStore) -> None:
    users = ["ada", "grace", "zoe"]
    sent = [keyed(*users[number % 2 :], now=START + number) for number in range(10)]
    with capture_logs() as logs:
        published = await asyncio.gather(*(store.publish(each, LATER) for each in sent))
    assert [line for line in logs if line["event"] == "transaction_repeated"] == []
    for user, count in (("ada", 5), ("grace", 10), ("zoe", 10)):
        key = InboxKey(TENANT, user)
        assert len(await unread(database, key)) == 1
        head = await check_inbox(database, key)
        assert (head.version, head.counts) == (2 * count - 1, (1, 1))
        told = [each.heads[user].version for each in published if user in each.heads]
        told += [version for each in published for of, version, _ in removals(each) if of == key]
        assert sorted(told) == list(range(1, head.version + 1))
        states = [state for state, _, _ in await delivery_states(database, key)]
        assert sorted(states) == ["cancelled"] * (count - 1) + ["queued"]


async def test_while_items_are_marked_and_deliveries_claimed(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue
) -> None:
    """No deadlock to repeat, exact counts, and in the end nothing is queued for what is gone."""
    dice = random.Random(7)
    users = [f"user-{number}" for number in range(5)]

    async def publisher() -> None:
        for number in range(8):
            await store.publish(keyed(*dice.sample(users, 3), key=f"k{number % 2}"), START)

    async def marker() -> None:
        for _ in range(10):
            action = dice.choice([MarkAction.SEEN, MarkAction.READ, MarkAction.UNREAD])
            await store.mark(InboxKey(TENANT, dice.choice(users)), action, EVERYTHING, LATER)

    async def worker() -> None:
        for _ in range(10):
            await queue.claim(EMAIL, LATER, LEASE, 2)

    with capture_logs() as logs:
        await asyncio.gather(*(work() for work in (publisher, marker, worker) * 3))
    assert [line for line in logs if line["event"] == "transaction_repeated"] == []
    await queue.rescue(LATER, MAX_CLAIMS, 100)
    for user in users:
        key = InboxKey(TENANT, user)
        await check_inbox(database, key)
        gone = [item.content.id for item in await stored_items(database, key) if item.state is ItemState.GONE]
        assert gone
        for notification in gone:
            state = await store.notification(TENANT, notification)
            assert state is not None
            assert "queued" not in {each.state for each, _ in state.deliveries if each.user == user}


async def test_a_delivery_that_somebody_holds_is_passed_over(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue
) -> None:
    """The publish does not wait for it; no claim takes it, and tidying ends it."""
    if database.dialect == "sqlite":
        return  # its only writer holds everything
    first = await store.publish(keyed(), START)
    async with database.writer() as holder:
        held = sa.select(deliveries.c.id).where(deliveries.c.notification_id == first.id).with_for_update()
        await holder.execute(held)
        await store.publish(keyed(now=LATER), LATER)
    assert [state for state, _, _ in await delivery_states(database, ADA)] == ["queued", "queued"]
    [claim] = await queue.claim(EMAIL, LATER, LEASE, 9)
    assert claim.content.id != first.id
    await queue.rescue(LATER, MAX_CLAIMS, 9)
    [(state, reason, _), _] = await delivery_states(database, ADA)
    assert (state, reason) == ("cancelled", "The notification was withdrawn.")
