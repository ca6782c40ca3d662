"""Collapse keys: of a user's unread items with one key, only the one that appeared last stays.

What is replaced is looked for once the user's head is locked. So of publishes at the same time with one key each sees
what the one before it made, and exactly one item is left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Content, DeliveryState, InboxChange, InboxKey, ItemState
from hub.store.delivery_sql import in_state
from hub.store.heads import LockedHead, Tally
from hub.store.rows import Row
from hub.store.sql import among, rows_of
from hub.store.tables import deliveries, inbox_items

REPLACED = "A newer notification took its place before this step was sent."

_PAIRS = 1_000
"""Items whose deliveries are looked for at once."""

_APART: sa.ColumnElement[int] = sa.literal_column("0", sa.Integer)
"""OFFSET 0: PostgreSQL plans a query with it by itself. Merged into the one around it, a look-up for each user becomes
a walk through an index of the whole tenant, as long as there are no statistics."""


async def collapse(
    connection: AsyncConnection, content: Content, heads: Mapping[str, LockedHead], now: int, cluster: str
) -> list[InboxChange]:
    """Take away what `content` replaces in the inboxes of these locked heads, right before it appears there.

    Each inbox that had something takes one version for that; the heads are the caller's to save. What is still queued
    for the replaced items is cancelled.
    """
    if content.collapse_key is None:
        return []
    rows = (await connection.execute(replaceable(connection, content.tenant, heads, content.collapse_key))).all()
    if not rows:
        return []
    changes = []
    for user, found in groupby(rows, key=attrgetter("user_id")):
        head = heads[user]
        head.version += 1
        older = list(found)
        for row in older:
            head.add(Tally.of_row(row), -1)
        changes.append(
            InboxChange(
                InboxKey(content.tenant, user),
                head.head(cluster),
                ids=tuple(row.notification_id for row in older),
                fields={"removed": True},
            )
        )
    await connection.execute(_BURY, [_buried(content.tenant, row, heads[row.user_id]) for row in rows])
    await _cancel(connection, content.tenant, [(row.user_id, row.notification_id) for row in rows], now)
    return changes


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


_BURY = (
    sa.update(inbox_items)
    .where(
        inbox_items.c.tenant == sa.bindparam("of_tenant"),
        inbox_items.c.user_id == sa.bindparam("of_user"),
        inbox_items.c.notification_id == sa.bindparam("of_notification"),
    )
    .values(state=int(ItemState.GONE), version=sa.bindparam("new_version"))
)


def _buried(tenant: str, row: Row, head: LockedHead) -> dict[str, object]:
    return {
        "of_tenant": tenant,
        "of_user": row.user_id,
        "of_notification": row.notification_id,
        "new_version": head.version,
    }


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
