"""Publications to store, and inboxes to check: what a client would hold, and what a recount says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor
from hub.core.ids import uuid7
from hub.core.model import (
    Changes,
    Channel,
    Content,
    Counts,
    Head,
    IdempotencyRecord,
    InboxChange,
    InboxKey,
    InboxQuery,
    Item,
    ItemState,
    NewDelivery,
    Priority,
    Publication,
    Rung,
    Selection,
    Step,
    Untold,
    When,
)
from hub.ports import InboxStore
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.rows import ITEM_COLUMNS, item_of, items_with_content
from hub.store.tables import inbox_items, metadata, notifications
from tests.support.clock import START

TENANT = "default"
ADA = InboxKey(TENANT, "ada")
GRACE = InboxKey(TENANT, "grace")
EMAIL_UNLESS_SEEN = Step(Channel.EMAIL, 60_000, Rung.SEEN)
LATER = START + 1_000
EVERYTHING = Selection(all=True)


def ids(*identifiers: UUID) -> Selection:
    """Select items by id."""
    return Selection(ids=identifiers)


def publication(
    *users: str,
    now: int = START,
    tenant: str = TENANT,
    plan: Sequence[Step] = (),
    title: str = "Hello",
    category: str = "general",
    deliver_at: int | None = None,
    expires_at: int | None = None,
    collapse_key: str | None = None,
    idempotency: tuple[str, bytes] | None = None,
) -> Publication:
    """Make a publication to users, with a delivery for every step and user."""
    content = Content(
        id=uuid7(now),
        tenant=tenant,
        category=category,
        title=title,
        body="World",
        action_url=None,
        data=b'{"n":1}',
        actor=None,
        priority=Priority.NORMAL,
        inbox=bool(users),
        collapse_key=collapse_key,
        created_at=now,
        deliver_at=deliver_at,
        expires_at=expires_at,
        plan=tuple(plan),
    )
    deliveries = tuple(
        NewDelivery(
            id=uuid7(now),
            step=number,
            channel=step.channel,
            due_at=content.appears_at + step.after,
            unless=step.unless,
            when=When.ALWAYS,
            user=user,
        )
        for user in users
        for number, step in enumerate(plan)
    )
    response = b'{"id":"%s"}' % str(content.id).encode()
    records = [] if idempotency is None else [IdempotencyRecord("publish", *idempotency, response)]
    return Publication(content, users, deliveries, tuple(records))


async def fill(store: SqlInboxStore, count: int, user: str = "ada") -> list[UUID]:
    """Publish to one user, oldest first, a second apart."""
    made = []
    for number in range(count):
        at = START + number * 1_000
        made.append((await store.publish(publication(user, now=at), at)).id)
    return made


def changes_of(applied: Iterable[Untold]) -> list[InboxChange]:
    """Return what timers changed in inboxes."""
    return [what for what, _ in applied if isinstance(what, InboxChange)]


async def missed(store: InboxStore, key: InboxKey, after: Cursor | None, limit: int) -> Changes:
    """Read what one client missed."""
    [changes] = await store.catch_up([(key, after)], limit)
    return changes


async def stored_items(database: Database, key: InboxKey) -> list[Item]:
    """Read every item of an inbox, whatever its state."""

    async def read(connection: AsyncConnection) -> list[Item]:
        rows = await connection.execute(
            sa.select(notifications, *ITEM_COLUMNS)
            .select_from(items_with_content)
            .where(inbox_items.c.tenant == key.tenant, inbox_items.c.user_id == key.user)
            .order_by(inbox_items.c.notification_id)
        )
        return [item_of(row) for row in rows]

    return await database.read(read)


async def table_counts(database: Database) -> dict[str, int]:
    """Count the rows of every table."""

    async def read(connection: AsyncConnection) -> dict[str, int]:
        return {
            table.name: (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
        }

    return await database.read(read)


async def delivery_states(database: Database, key: InboxKey) -> list[tuple[str, str | None, int | None]]:
    """Read `(state, reason, finished_at)` of a user's deliveries, in the order of their making."""
    deliveries = metadata.tables["deliveries"]

    async def read(connection: AsyncConnection) -> list[tuple[str, str | None, int | None]]:
        rows = await connection.execute(
            sa.select(deliveries.c.state, deliveries.c.reason, deliveries.c.finished_at)
            .where(deliveries.c.tenant == key.tenant, deliveries.c.user_id == key.user)
            .order_by(deliveries.c.created_at, deliveries.c.notification_id, deliveries.c.step)
        )
        return [(row.state, row.reason, row.finished_at) for row in rows]

    return await database.read(read)


def recount(items: Sequence[Item]) -> Counts:
    """Count the badge from scratch."""
    listed = [
        item
        for item in items
        if item.state is ItemState.LIVE and item.archived_at is None and item.snoozed_until is None
    ]
    return Counts(
        unread=sum(item.read_at is None for item in listed), unseen=sum(item.seen_at is None for item in listed)
    )


async def check_inbox(database: Database, key: InboxKey) -> Head:
    """Assert what is true of every inbox at rest: exact counts, no version beyond the head, `since` before it."""
    head = await SqlInboxStore(database).head(key)
    items = await stored_items(database, key)
    assert head.counts == recount(items)
    assert all(item.since <= item.version <= head.version for item in items)
    return head


class ClientView:
    """What a client holds that follows the documented merge rule to the letter."""

    def __init__(self, head: Head, items: Sequence[Item] = ()) -> None:
        self.head = head
        self.items: dict[UUID, Item] = {item.content.id: item for item in items}

    @classmethod
    async def of(cls, store: SqlInboxStore, key: InboxKey) -> ClientView:
        """Begin with the whole inbox, archived and snoozed items too."""
        pages = [
            await store.page(key, InboxQuery(archived=archived, snoozed=snoozed, limit=10_000))
            for archived, snoozed in ((False, False), (False, True), (True, False))
        ]
        return cls(pages[0].head, [item for page in pages for item in page.items])

    async def take(self, store: SqlInboxStore, change: InboxChange) -> None:
        """Apply a live change; one without a frame means: read the database."""
        assert change.head.version == self.head.version + 1, "versions have no holes"
        if change.item is not None:
            self.items[change.item.content.id] = change.item
        elif change.ids or change.all:
            self._merge(change)
        else:
            changes = await missed(store, change.key, self.head.cursor, 100_000)
            assert changes.resync is None
            self.items |= {item.content.id: item for item in changes.items}
        self.head = change.head

    def _merge(self, change: InboxChange) -> None:
        meant = [each for each in self.items if each not in change.but] if change.all else change.ids
        for identifier in meant:
            item = self.items.get(identifier)
            if item is None:
                continue
            merged = merge(item, dict(change.fields))
            # An item that the change leaves as it was keeps its version.
            self.items[identifier] = item if merged == item else replace(merged, version=change.head.version)

    async def assert_equals(self, database: Database, key: InboxKey) -> None:
        """Compare with the database."""
        stored = await stored_items(database, key)
        live = {item.content.id: item for item in stored if item.state is ItemState.LIVE}
        held = {identifier: item for identifier, item in self.items.items() if item.state is ItemState.LIVE}
        assert held == live
        assert self.head == await SqlInboxStore(database).head(key)


def merge(item: Item, fields: dict[str, Any]) -> Item:
    """Apply the merge rule: a time is set where there is none, null clears, `snoozed_until` replaces."""
    if fields.get("removed"):
        return replace(item, state=ItemState.GONE)
    for name, value in fields.items():
        if value is None or name == "snoozed_until" or getattr(item, name) is None:
            item = replace(item, **{name: value})
    return item
