"""The contract of `InboxStore` when many do many things at once, and when something breaks in the middle."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import Never

import pytest
from structlog.testing import capture_logs

from hub.core.model import DeliveryState, InboxKey, InboxQuery, Item, ItemState, MarkAction, Published, Selection
from hub.store import inbox_mark, inbox_publish, recipients
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    EVERYTHING,
    GRACE,
    LATER,
    TENANT,
    changes_of,
    check_inbox,
    delivery_states,
    fill,
    missed,
    publication,
    stored_items,
    table_counts,
)

USERS = [f"user-{number}" for number in range(8)]


class Crowd:
    """Publishers, markers and sweepers over the same few users; `taken` is every version that anybody was told."""

    def __init__(self, store: SqlInboxStore) -> None:
        self.store = store
        self.taken: dict[InboxKey, list[int]] = defaultdict(list)

    async def publisher(self, dice: random.Random) -> None:
        for _ in range(6):
            users = dice.sample(USERS, dice.randint(1, len(USERS)))
            now = START + dice.randint(0, 9)
            expires_at = LATER + 1 if dice.random() < 0.3 else None
            deliver_at = LATER if dice.random() < 0.3 else None
            sent = publication(*users, now=now, plan=[EMAIL_UNLESS_SEEN], expires_at=expires_at, deliver_at=deliver_at)
            for user, head in (await self.store.publish(sent, now)).heads.items():
                self.taken[InboxKey(TENANT, user)].append(head.version)

    async def marker(self, dice: random.Random) -> None:
        for _ in range(8):
            key = InboxKey(TENANT, dice.choice(USERS))
            action = dice.choice([*MarkAction])
            until = LATER + 2 if action is MarkAction.SNOOZE else None
            some = [item.content.id for item in (await self.store.page(key, InboxQuery(limit=5))).items]
            selection = EVERYTHING if dice.random() < 0.5 or not some else Selection(ids=tuple(some))
            marked = await self.store.mark(key, action, selection, LATER, until=until)
            if marked.change is not None:
                self.taken[key].append(marked.head.version)

    async def sweeper(self, dice: random.Random) -> None:
        for _ in range(6):
            for change in changes_of(await self.store.apply_timers(LATER + dice.randint(0, 3), 3)):
                self.taken[change.key].append(change.head.version)


async def test_versions_and_counts_with_many_writers(database: Database, store: SqlInboxStore) -> None:
    """With overlapping users in random order: no hole, no double, and the lock order leaves no deadlock to repeat."""
    crowd = Crowd(store)
    work = [crowd.publisher] * 4 + [crowd.marker] * 4 + [crowd.sweeper] * 2
    with capture_logs() as logs:
        await asyncio.gather(*(each(random.Random(number)) for number, each in enumerate(work)))
    assert [line for line in logs if line["event"] == "transaction_repeated"] == []
    for user in USERS:
        key = InboxKey(TENANT, user)
        head = await check_inbox(database, key)
        assert sorted(crowd.taken[key]) == list(range(1, head.version + 1))
        for item in await stored_items(database, key):
            assert item.seen_at is None or not await _queued(store, key, item)


async def _queued(store: SqlInboxStore, key: InboxKey, item: Item) -> bool:
    state = await store.notification(key.tenant, item.content.id)
    assert state is not None
    return any(delivery.user == key.user and delivery.state is DeliveryState.QUEUED for delivery, _ in state.deliveries)


async def test_first_publishes_to_the_same_new_users(database: Database, store: SqlInboxStore) -> None:
    orders = [random.Random(number).sample(USERS, len(USERS)) for number in range(10)]
    await asyncio.gather(*(store.publish(publication(*users), START) for users in orders))
    for user in USERS:
        assert (await check_inbox(database, InboxKey(TENANT, user))).version == 10


async def test_same_key_from_ten_at_once(database: Database, store: SqlInboxStore) -> None:
    attempts = [publication("ada", idempotency=("key", b"hash")) for _ in range(10)]
    outcomes = await asyncio.gather(*(store.publish(each, START) for each in attempts))
    [first] = [outcome for outcome in outcomes if not outcome.replayed]
    winner = next(each for each in attempts if each.content.id == first.id)
    assert {(each.id, each.response) for each in outcomes if each.replayed} == {
        (winner.content.id, winner.idempotency[0].response)
    }
    rows = await table_counts(database)
    assert (rows["notifications"], rows["inbox_items"], rows["idempotency"]) == (1, 1, 1)
    assert (await check_inbox(database, ADA)).version == 1


async def test_a_page_is_one_snapshot(store: SqlInboxStore) -> None:
    """Items up to the head's version are all there, and no others; and counts belong to them."""
    done = asyncio.Event()

    async def write() -> None:
        for number in range(30):
            sent = await store.publish(publication("ada", now=START + number), START + number)
            if number % 3 == 0:
                await store.mark(ADA, MarkAction.SEEN, Selection(ids=(sent.id,)), LATER)
        done.set()

    async def read() -> None:
        while not done.is_set():
            page = await store.page(ADA, InboxQuery(limit=1_000))
            changes = await missed(store, ADA, page.head.cursor._replace(version=0), 1_000)
            for head, items in ((page.head, page.items), (changes.head, changes.items)):
                assert max((item.version for item in items), default=0) == head.version
                assert sorted(item.since for item in items) == _since(len(items))
                assert sum(item.seen_at is None for item in items) == head.counts.unseen
                assert len(items) == head.counts.unread

    await asyncio.gather(write(), read(), read())


def _since(count: int) -> list[int]:
    """The versions with which the writer's items appear: every third is followed by a mark that takes one."""
    versions, version = [], 0
    for number in range(count):
        version += 1
        versions.append(version)
        version += number % 3 == 0
    return versions


@pytest.mark.parametrize("step", ["claim_keys", "lock_heads", "_appear", "leave_wakeups"])
async def test_publish_broken_in_the_middle_leaves_nothing(
    database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await fill(store, 1)
    before = await table_counts(database)
    sent = publication("ada", "grace", plan=[EMAIL_UNLESS_SEEN], idempotency=("key", b"hash"))
    with monkeypatch.context() as broken:
        broken.setattr(inbox_publish, step, _broken)
        with pytest.raises(ZeroDivisionError):
            await store.publish(sent, START)
    assert await table_counts(database) == before
    assert (await check_inbox(database, ADA)).version == 1
    again = await store.publish(publication("ada", "grace", idempotency=("key", b"hash")), START)
    assert not again.replayed


@pytest.mark.parametrize("step", ["lock_needless", "held_items", "save_heads", "leave_wakeups"])
async def test_mark_broken_in_the_middle_leaves_nothing(
    database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
    before = (await table_counts(database), await stored_items(database, ADA))
    with monkeypatch.context() as broken:
        broken.setattr(inbox_mark, step, _broken)
        with pytest.raises(ZeroDivisionError):
            await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
    assert (await table_counts(database), await stored_items(database, ADA)) == before
    assert (await check_inbox(database, ADA)).counts == (1, 1)
    assert [state for state, _, _ in await delivery_states(database, ADA)] == ["queued"]


async def test_timer_broken_in_the_middle_comes_again(
    database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(publication("ada", deliver_at=LATER), START)
    with monkeypatch.context() as broken:
        broken.setattr(recipients, "save_heads", _broken)
        with pytest.raises(ZeroDivisionError):
            await store.apply_timers(LATER, 9)
    assert [item.state for item in await stored_items(database, ADA)] == [ItemState.PENDING]
    assert len(await store.apply_timers(LATER, 9)) == 1
    assert (await check_inbox(database, ADA)).counts == (1, 1)


def _broken(*_args: object, **_kwargs: object) -> Never:
    raise ZeroDivisionError


async def test_a_caller_that_goes_away_does_not_stop_a_write_halfway(database: Database, store: SqlInboxStore) -> None:
    sent = [publication("ada", "grace") for _ in range(5)]
    callers = [asyncio.ensure_future(store.publish(each, START)) for each in sent]
    await asyncio.sleep(0)  # they have begun
    for caller in callers:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert not any(isinstance(outcome, Published) for outcome in outcomes)
    await database.settled()
    for key in (ADA, GRACE):
        assert (await check_inbox(database, key)).version == 5
