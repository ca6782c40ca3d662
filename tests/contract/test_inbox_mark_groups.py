"""The contract of `InboxStore.mark` for calls that come at once: as if each had come alone, one after the other."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from hub.core.cursor import Cursor
from hub.core.errors import DataError
from hub.core.model import Channel, InboxKey, Item, MarkAction, Marked, Publication, Rung, Selection, Step
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.marks import Mark
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EVERYTHING,
    GRACE,
    LATER,
    ClientView,
    check_inbox,
    delivery_states,
    fill,
    ids,
    publication,
    stored_items,
)

USERS = ["ada", "grace", "edsger", "nobody"]
PLANS: list[list[Step]] = [
    [],
    [Step(Channel.EMAIL, 9, Rung.SEEN)],
    [Step(Channel.PUSH, 1, Rung.DELIVERED), Step(Channel.SMS, 9, Rung.READ)],
]


async def together(store: SqlInboxStore, *marks: Mark) -> list[Marked]:
    return await asyncio.gather(*(one(store, mark) for mark in marks))


async def one(store: SqlInboxStore, mark: Mark) -> Marked:
    return await store.mark(mark.key, mark.action, mark.selection, mark.now, until=mark.until)


def seen(key: InboxKey, selection: Selection, action: MarkAction = MarkAction.SEEN) -> Mark:
    return Mark(key, action, selection, LATER, None)


async def test_marks_of_many_share_a_wakeup_row_and_nothing_else(database: Database, store: SqlInboxStore) -> None:
    [hers], [his] = await fill(store, 1), await fill(store, 1, "grace")
    first, second, none, again = await together(
        store, seen(ADA, ids(hers)), seen(GRACE, ids(his)), seen(GRACE, ids(hers)), seen(ADA, ids(hers))
    )
    assert [marked.changed for marked in (first, second, none, again)] == [1, 1, 0, 0]
    assert first.change is not None
    assert second.change is not None
    assert (first.change.key, first.change.ids, second.change.key, second.change.ids) == (ADA, (hers,), GRACE, (his,))
    assert first.wakeup is not None
    assert first.wakeup is second.wakeup
    assert (none.wakeup, again.wakeup) == (None, None)
    assert [first.wakeup.told(), first.wakeup.told()] == [False, True]
    for key, marked in ((ADA, first), (GRACE, second)):
        assert marked.head == await check_inbox(database, key)


async def test_marks_of_one_user_take_consecutive_versions(database: Database, store: SqlInboxStore) -> None:
    items = await fill(store, 5)
    view = await ClientView.of(store, ADA)
    marks = [seen(ADA, ids(item)) for item in items]
    marks += [seen(ADA, ids(items[0]), MarkAction.READ), seen(ADA, EVERYTHING, MarkAction.ARCHIVE)]
    outcomes = await together(store, *marks, seen(ADA, ids(items[1]), MarkAction.UNARCHIVE))
    assert [marked.head.version for marked in outcomes] == list(range(6, 14))
    for marked in outcomes:
        assert marked.change is not None
        await view.take(store, marked.change)
    await view.assert_equals(database, ADA)


async def test_a_bad_value_fails_its_caller_only(database: Database, store: SqlInboxStore) -> None:
    [item] = await fill(store, 1)
    stranger = InboxKey("default", "\ud800")
    bad = Mark(ADA, MarkAction.SNOOZE, ids(item), LATER, 2**70)
    outcomes = await asyncio.gather(
        *(one(store, mark) for mark in (seen(stranger, ids(item)), bad, seen(ADA, ids(item)))), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [DataError, DataError, Marked]
    assert (await check_inbox(database, ADA)).counts == (1, 0)


async def test_a_user_never_heard_of_beside_others(store: SqlInboxStore) -> None:
    [item] = await fill(store, 1)
    marked, strange, delivered = await together(
        store, seen(ADA, ids(item)), seen(GRACE, EVERYTHING), seen(GRACE, ids(item), MarkAction.DELIVERED)
    )
    assert (marked.changed, strange.changed, delivered.changed) == (1, 0, 0)
    assert strange.head == delivered.head == await store.head(GRACE)


@pytest.mark.parametrize("seed", range(6))
async def test_together_is_as_one_after_the_other(database: Database, store: SqlInboxStore, seed: int) -> None:
    """Twin tenants with the same items: in one the marks come alone, in the other at once."""
    dice = random.Random(seed)
    sent = await _publish_to_twins(store, dice)
    epochs = {key: (await store.head(key)).epoch for user in USERS for key in _twins(user)}
    for now in range(LATER, LATER + 6):
        marks = [_mark(dice, sent, now) for _ in range(dice.choice([2, 8, 20]))]
        alone = [await one(store, _of("alone", mark, epochs)) for mark in marks]
        crowd = await together(store, *(_of("crowd", mark, epochs) for mark in marks))
        for mark, first, second in zip(marks, alone, crowd, strict=True):
            assert _plain(first) == _plain(second), mark
        for left, right in map(_twins, USERS):
            assert await _items(database, left) == await _items(database, right)
            assert await delivery_states(database, left) == await delivery_states(database, right)
            head = await check_inbox(database, left)
            assert replace(await check_inbox(database, right), epoch=head.epoch) == head


def _twins(user: str) -> tuple[InboxKey, InboxKey]:
    return InboxKey("alone", user), InboxKey("crowd", user)


async def _publish_to_twins(store: SqlInboxStore, dice: random.Random) -> list[Publication]:
    sent = []
    for number in range(12):
        users = dice.sample(USERS[:3], dice.randint(1, 3))
        sent.append(publication(*users, now=START + number, tenant="alone", plan=dice.choice(PLANS)))
        await store.publish(sent[-1], START + number)
        await store.publish(replace(sent[-1], content=replace(sent[-1].content, tenant="crowd")), START + number)
    return sent


def _mark(dice: random.Random, sent: list[Publication], now: int) -> Mark:
    """Throw a mark; its tenant, and the epoch of its cursor, are put in later."""
    action = dice.choice([*MarkAction, MarkAction.SEEN, MarkAction.READ])
    some = [each.content.id for each in dice.sample(sent, dice.randint(1, 6))]
    selection = dice.choice(
        [ids(*some), ids(*some), ids(*some), EVERYTHING, Selection(all=True, through=Cursor("", dice.randint(0, 9)))]
    )
    until = now + dice.randint(1, 9) if action is MarkAction.SNOOZE and dice.random() < 0.7 else None
    return Mark(InboxKey("", dice.choice(USERS)), action, selection, now, until)


def _of(tenant: str, mark: Mark, epochs: dict[InboxKey, str]) -> Mark:
    key = InboxKey(tenant, mark.key.user)
    through = mark.selection.through
    if through is not None:
        through = through._replace(epoch=epochs[key])
    return mark._replace(key=key, selection=replace(mark.selection, through=through))


def _plain(marked: Marked) -> object:
    """Return an answer without its tenant; of one that changed nothing, the head may be that of a moment before."""
    change = marked.change
    if change is None:
        return marked.changed, marked.wakeup
    shape = (change.ids, change.all, change.but, change.fields, change.item and _plain_item(change.item))
    assert change.head == marked.head
    return marked.changed, marked.head.version, marked.head.counts, shape


def _plain_item(item: Item) -> Item:
    return replace(item, content=replace(item.content, tenant=""))


async def _items(database: Database, key: InboxKey) -> list[Item]:
    return [_plain_item(item) for item in await stored_items(database, key)]
