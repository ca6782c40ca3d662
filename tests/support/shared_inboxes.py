"""Inboxes with shared items, checked against what the tables say when read row by row, without any SQL of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor
from hub.core.model import (
    BROADCAST,
    Counts,
    Head,
    InboxKey,
    InboxPage,
    InboxQuery,
    Item,
    ItemState,
    Publication,
    SharedEvent,
)
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.rows import content_of
from hub.store.tables import inbox_heads, memberships, notifications, shared_items, shared_log, shared_marks
from tests.support.clock import START
from tests.support.inboxes import TENANT, publication, recount, stored_items

LIVE = ItemState.LIVE


def to(topic: str, *, tenant: str = TENANT, now: int = START, **content: Any) -> Publication:
    """Make a publication to a topic."""
    made = publication(tenant=tenant, now=now, **content)
    return replace(made, content=replace(made.content, inbox=True), audience=topic)


def everybody(**content: Any) -> Publication:
    """Make a publication to everybody."""
    return to(BROADCAST, **content)


async def shared(store: SqlInboxStore, topic: str = BROADCAST, now: int = START, **content: Any) -> UUID:
    """Publish to a topic, or to everybody."""
    return (await store.publish(to(topic, now=now, **content), now)).id


async def event_of(store: SqlInboxStore, published: Publication, now: int) -> SharedEvent:
    """Publish, and return the log's event."""
    outcome = await store.publish(published, now)
    assert outcome.shared is not None
    return outcome.shared


async def shared_of(database: Database, key: InboxKey) -> list[Item]:
    """Work out a user's live shared items from the bare rows."""

    async def read(connection: AsyncConnection) -> list[Item]:
        rows = {
            table.name: (await connection.execute(sa.select(table).where(table.c.tenant == key.tenant))).all()
            for table in (inbox_heads, memberships, shared_items, shared_log, shared_marks, notifications)
        }
        return _shared_of(key, rows)

    return await database.read(read)


def _shared_of(key: InboxKey, rows: Mapping[str, Sequence[sa.Row[Any]]]) -> list[Item]:
    mine = {name: [row for row in rows[name] if row.user_id == key.user]
            for name in ("inbox_heads", "memberships", "shared_items", "shared_marks")}  # fmt: skip
    [head] = mine["inbox_heads"]
    spans = [(BROADCAST, head.joined, None), *((row.topic, row.joined, row.left_at) for row in mine["memberships"])]
    contents = {row.id: content_of(row) for row in rows["notifications"]}
    touched = {row.position: row for row in mine["shared_items"]}
    items = []
    for event in rows["shared_log"]:
        has = any(
            topic == event.topic and joined < event.position and (left is None or event.position <= left)
            for topic, joined, left in spans
        )
        if event.kind != 0 or event.gone_at_position is not None or not has:
            continue
        row = touched.get(event.position)
        marks = {
            level: min((mark for mark in mine["shared_marks"] if mark.level == level
                        and mark.position >= event.position), key=lambda mark: mark.position, default=None)
            for level in (1, 2, 3)
        }  # fmt: skip
        seen, read, archived = (None if mark is None else mark.marked_at for mark in marks.values())
        version = max([mark.version for mark in marks.values() if mark is not None], default=0)
        items.append(
            Item(
                content=contents[event.notification_id],
                version=version if row is None else row.version,
                since=0,
                state=LIVE,
                appeared_at=event.appeared_at,
                seen_at=seen if row is None else row.seen_at,
                read_at=read if row is None else row.read_at,
                archived_at=archived if row is None else row.archived_at,
                snoozed_until=None if row is None else row.snoozed_until,
                position=event.position,
            )
        )
    return items


async def whole(database: Database, key: InboxKey) -> list[Item]:
    """Work out all live items of an inbox, newest first."""
    own = [item for item in await stored_items(database, key) if item.state is LIVE]
    return sorted([*own, *await shared_of(database, key)], key=_age, reverse=True)


def _age(item: Item) -> tuple[int, UUID]:
    return item.appeared_at, item.content.id


def _listed(item: Item) -> bool:
    return item.archived_at is None and item.snoozed_until is None


_QUERIES: Sequence[tuple[InboxQuery, Callable[[Item], bool]]] = [
    (InboxQuery(unread=True), lambda item: _listed(item) and item.read_at is None),
    (InboxQuery(unread=False), lambda item: _listed(item) and item.read_at is not None),
    (InboxQuery(unseen=True), lambda item: _listed(item) and item.seen_at is None),
    (InboxQuery(unseen=False), lambda item: _listed(item) and item.seen_at is not None),
    (
        InboxQuery(unread=True, unseen=False),
        lambda item: _listed(item) and item.read_at is None and item.seen_at is not None,
    ),
    (InboxQuery(category="other"), lambda item: _listed(item) and item.content.category == "other"),
    (InboxQuery(archived=True), lambda item: item.archived_at is not None),
    (InboxQuery(archived=True, unread=True), lambda item: item.archived_at is not None and item.read_at is None),
    (InboxQuery(snoozed=True), lambda item: item.archived_at is None and item.snoozed_until is not None),
]


async def check(database: Database, key: InboxKey, *, sizes: Sequence[int] = (2,)) -> Head:
    """Assert that everything the store says of an inbox is what its rows say: counts, pages, single items.

    The list is read in pages of these sizes, the rest at once.
    """
    store = SqlInboxStore(database)
    items = await whole(database, key)
    head = await store.head(key)
    assert head.counts == recount(items)
    for size in sizes:
        assert await pages(store, key, InboxQuery(limit=size)) == [item for item in items if _listed(item)]
    for query, meets in _QUERIES:
        assert await pages(store, key, query) == [item for item in items if meets(item)], query
    for item in items[:3]:
        assert await store.item(key, item.content.id) == item
    assert (await store.versions([key]))[key] == head.cursor
    [changes] = await store.catch_up([(key, head.cursor)], 100)
    assert (changes.head, list(changes.items), changes.resync) == (head, [], None)
    return head


async def pages(store: SqlInboxStore, key: InboxKey, query: InboxQuery) -> list[Item]:
    """Page through an inbox."""
    found: list[Item] = []
    while True:
        page: InboxPage = await store.page(key, query)
        assert len(page.items) <= query.limit
        found += page.items
        if not page.has_more:
            return found
        assert len(page.items) == query.limit
        query = replace(query, after=_age(page.items[-1]))


class Follower:
    """A client that knows only what catch-ups have told it, and keeps items by id."""

    def __init__(self, store: SqlInboxStore, key: InboxKey) -> None:
        self.store = store
        self.key = key
        self.cursor: Cursor | None = None
        self.items: dict[UUID, Item] = {}
        self.counts = Counts(0, 0)
        self.told: list[UUID] = []
        """What the last catch-up told of."""

    async def catch_up(self, limit: int = 1_000) -> str | None:
        """Take what it missed, or (on a resync) read everything anew; returns why."""
        [changes] = await self.store.catch_up([(self.key, self.cursor)], limit)
        if changes.resync is not None or self.cursor is None:
            queries = (InboxQuery(), InboxQuery(snoozed=True), InboxQuery(archived=True))
            read = [await pages(self.store, self.key, query) for query in queries]
            self.items = {item.content.id: item for listed in read for item in listed}
        self.told = [item.content.id for item in changes.items]
        for item in changes.items:
            self.take(item)
        self.cursor = changes.head.cursor
        self.counts = changes.head.counts
        return changes.resync

    def take(self, item: Item) -> None:
        """Upsert by id; a tombstone drops."""
        held = self.items.get(item.content.id)
        if item.state is not LIVE:
            self.items.pop(item.content.id, None)
        elif held is None or held.version <= item.version:
            self.items[item.content.id] = item

    async def assert_equals(self, database: Database) -> None:
        """Compare with the rows."""
        items = await whole(database, self.key)
        assert self.items == {item.content.id: item for item in items}
        assert self.counts == recount(items)
