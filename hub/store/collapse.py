"""Collapse keys: of a user's unread items with one key, only the one that appeared last stays.

What is replaced is looked for once the users' heads are locked. So of publishes at the same time with one key each sees
what the one before it made, and exactly one item is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Self
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Content, DeliveryState, InboxChange, InboxKey, ItemState
from hub.store.bulk import Bulk
from hub.store.delivery_sql import in_state
from hub.store.heads import LockedHead, Tally
from hub.store.sql import among, rows_of
from hub.store.tables import deliveries, inbox_items

REPLACED = "A newer notification took its place before this step was sent."

_PAIRS = 1_000
"""Items whose deliveries are looked for at once."""

_APART: sa.ColumnElement[int] = sa.literal_column("0", sa.Integer)
"""OFFSET 0: PostgreSQL plans a query with it by itself. Merged into the one around it, a look-up for each user becomes
a walk through an index of the whole tenant, as long as there are no statistics."""


class _Unread(NamedTuple):
    notification: UUID
    tally: Tally


class Collapse:
    """What some contents replace, each right before it appears; `write` stores it, after the items themselves."""

    def __init__(self) -> None:
        self._unread: defaultdict[tuple[InboxKey, str], list[_Unread]] = defaultdict(list)
        """By inbox and collapse key: as a rule at most one."""
        self._buried: dict[tuple[InboxKey, UUID], int] = {}
        """Replaced items, with the version of that."""

    @classmethod
    async def find(cls, connection: AsyncConnection, appearing: Iterable[tuple[Content, Collection[InboxKey]]]) -> Self:
        """Look up what may be replaced by contents that appear in these inboxes, whose heads must be locked."""
        collapse = cls()
        users: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for content, keys in appearing:
            if content.collapse_key is not None and keys:
                users[content.tenant, content.collapse_key].update(key.user for key in keys)
        for (tenant, name), names in sorted(users.items()):
            for row in await connection.execute(replaceable(connection, tenant, names, name)):
                unread = _Unread(row.notification_id, Tally.of_row(row))
                collapse._unread[InboxKey(tenant, row.user_id), name].append(unread)
        return collapse

    def replace(self, content: Content, head: LockedHead, cluster: str) -> list[InboxChange]:
        """Take away what this content replaces in an inbox, which takes a version for it; none if there is nothing.

        Call it right before the item takes its own version, and then `appeared`.
        """
        if content.collapse_key is None or not (older := self._unread.pop((head.key, content.collapse_key), None)):
            return []
        head.version += 1
        for item in older:
            head.add(item.tally, -1)
            self._buried[head.key, item.notification] = head.version
        ids = tuple(item.notification for item in older)
        return [InboxChange(head.key, head.head(cluster), ids=ids, fields={"removed": True})]

    def appeared(self, content: Content, key: InboxKey, tally: Tally) -> None:
        """Note an item that appears in this very transaction: the next of the same key replaces it."""
        if content.collapse_key is not None:
            self._unread[key, content.collapse_key].append(_Unread(content.id, tally))

    async def write(self, connection: AsyncConnection, now: int) -> None:
        """Store what was replaced, and cancel what is still queued for it."""
        if not self._buried:
            return
        bulk = Bulk(connection)
        bulk.update(
            inbox_items,
            [
                {
                    "tenant": key.tenant,
                    "user_id": key.user,
                    "notification_id": notification,
                    "state": int(ItemState.GONE),
                    "version": version,
                }
                for (key, notification), version in self._buried.items()
            ],
        )
        await bulk.write()
        items: defaultdict[str, list[tuple[str, UUID]]] = defaultdict(list)
        for key, notification in self._buried:
            items[key.tenant].append((key.user, notification))
        for tenant, those in items.items():
            await _cancel(connection, tenant, those, now)


def replaceable(connection: AsyncConnection, tenant: str, users: Collection[str], key: str) -> sa.Select[Any]:
    """Select the users' unread items with this key; the words are those of the index that has just them."""
    item = inbox_items.c
    columns = (item.user_id, item.notification_id, item.seen_at, item.read_at, item.archived_at, item.snoozed_until)
    unread = sa.and_(
        item.tenant == tenant,
        item.collapse_key == key,
        item.state == sa.literal_column(str(int(ItemState.LIVE))),
        item.read_at.is_(None),
        item.archived_at.is_(None),
    )
    names = sorted(users)
    if connection.dialect.name != "postgresql":
        found = sa.select(*columns).where(unread, item.user_id.in_(names)).subquery()
        return sa.select(found).order_by(found.c.user_id, found.c.notification_id)
    wanted = rows_of("wanted", user_id=(sa.Text(), names))
    each = sa.select(*columns).where(unread, item.user_id == wanted.c.user_id)
    looked_up = each.offset(_APART).lateral()
    return (
        sa.select(looked_up)
        .select_from(wanted.join(looked_up, sa.true()))
        .order_by(looked_up.c.user_id, looked_up.c.notification_id)
    )


def queued_for(connection: AsyncConnection, tenant: str, items: Sequence[tuple[str, UUID]]) -> sa.Select[Any]:
    """Select the queued deliveries for these items `(user, notification)`, and lock those that nobody holds.

    Heads are locked already, so to wait for a delivery here could be to wait in a circle. One that somebody holds needs
    no cancelling: no claim takes it any more, as its item is gone, and right before a send that is looked at once more.
    """
    queued = sa.and_(deliveries.c.tenant == tenant, in_state(deliveries, DeliveryState.QUEUED))
    if connection.dialect.name != "postgresql":
        of_items = sa.tuple_(deliveries.c.user_id, deliveries.c.notification_id).in_(items)
        return sa.select(deliveries.c.id).where(queued, of_items)
    users, identifiers = zip(*items, strict=True)
    wanted = rows_of("wanted", user_id=(sa.Text(), users), notification_id=(sa.Uuid(), identifiers))
    of_item = sa.and_(
        deliveries.c.user_id == wanted.c.user_id, deliveries.c.notification_id == wanted.c.notification_id
    )
    found = sa.select(deliveries.c.id).where(queued, of_item).with_for_update(skip_locked=True).lateral()
    return sa.select(found.c.id).select_from(wanted.join(found, sa.true()))


async def _cancel(connection: AsyncConnection, tenant: str, items: Sequence[tuple[str, UUID]], now: int) -> None:
    for start in range(0, len(items), _PAIRS):
        found = await connection.execute(queued_for(connection, tenant, items[start : start + _PAIRS]))
        ids = found.scalars().all()
        if ids:
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.tenant == tenant, among(connection, deliveries.c.id, ids))
                .values(state=DeliveryState.CANCELLED.value, reason=REPLACED, finished_at=now)
            )
