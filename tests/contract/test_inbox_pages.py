"""Lists of an inbox: whatever is asked for, own items and shared ones are those that their rows say."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hub.core.model import InboxQuery, Item, MarkAction, Selection
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import ADA, EVERYTHING, ids, publication
from tests.support.shared_inboxes import pages, shared, whole

LATER = START + 10**7
OTHER = "other"
TOLD = (None, False, True)
FLAG = (False, True)
ACTIONS = (MarkAction.SEEN, MarkAction.READ, MarkAction.ARCHIVE, MarkAction.SNOOZE)


async def test_every_list_has_what_meets_it_in_order(database: Database, store: SqlInboxStore) -> None:
    await _varied(store)
    items = await whole(database, ADA)
    states = [*product(TOLD, TOLD, (None,)), *product(TOLD, (None,), (OTHER,))]
    for (unread, unseen, category), archived, snoozed in product(states, FLAG, FLAG):
        query = InboxQuery(unread=unread, unseen=unseen, archived=archived, snoozed=snoozed, category=category)
        expected = [item for item in items if _meets(item, query)]
        assert await pages(store, ADA, query) == expected, query
        if len(expected) > 1:
            assert await pages(store, ADA, replace(query, limit=len(expected) - 1)) == expected, query


async def test_an_item_of_the_same_moment_is_on_one_page_only(store: SqlInboxStore) -> None:
    """Own items of one time are told apart by their ids; a shared one of it is between them, wherever its id says."""
    for _ in range(3):
        await store.publish(publication("ada"), START)
    await shared(store, now=START)
    for _ in range(3):
        await store.publish(publication("ada"), START)
    items = await pages(store, ADA, InboxQuery())
    assert len({item.content.id for item in items}) == 7
    for limit in (1, 2, 3):
        assert await pages(store, ADA, InboxQuery(limit=limit)) == items


async def test_a_page_of_nobody_and_of_nothing(store: SqlInboxStore) -> None:
    """A user never heard of gets an inbox; the page knows it."""
    page = await store.page(ADA, InboxQuery(unread=True, category=OTHER))
    assert (page.items, page.has_more) == ([], False)
    assert page.head == await store.head(ADA)


async def _varied(store: SqlInboxStore) -> None:
    """Make items in every state, own ones and shared ones by turns, below marks and above."""
    await store.head(ADA)
    now = START
    for below in (True, False):
        for number in range(len(ACTIONS) * 2 + 2):
            now += 1_000
            category = OTHER if number % 3 == 0 else "general"
            own = (await store.publish(publication("ada", now=now, category=category), now)).id
            both = ids(own, await shared(store, now=now + 500, category=category))
            if number < len(ACTIONS):
                await _mark(store, ACTIONS[number], both, now)
            elif number < len(ACTIONS) * 2 - 1:
                await _mark(store, ACTIONS[number - len(ACTIONS)], both, now)
                await _mark(store, MarkAction.SNOOZE, both, now)
        if below:
            await store.mark(ADA, MarkAction.SEEN, EVERYTHING, now)
            unread = await store.page(ADA, InboxQuery(unread=True, limit=3))
            await store.mark(ADA, MarkAction.READ, EVERYTHING, now)
            await _mark(store, MarkAction.UNREAD, ids(*(item.content.id for item in unread.items)), now)


async def _mark(store: SqlInboxStore, action: MarkAction, which: Selection, now: int) -> None:
    await store.mark(ADA, action, which, now, until=LATER if action is MarkAction.SNOOZE else None)


def _meets(item: Item, query: InboxQuery) -> bool:
    asked = [
        (item.archived_at, query.archived),
        (item.snoozed_until, query.snoozed if query.snoozed or not query.archived else None),
        (item.read_at, None if query.unread is None else not query.unread),
        (item.seen_at, None if query.unseen is None else not query.unseen),
    ]
    is_so = all((at is not None) == wanted for at, wanted in asked if wanted is not None)
    return is_so and query.category in {None, item.content.category}
