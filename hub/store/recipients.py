"""Changing the items of one notification, whoever its recipients are: for what time and publishers do to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxChange, InboxKey, Item, SharedWakeup
from hub.store.bulk import Bulk
from hub.store.heads import LockedHead, Tally, leave_wakeups, lock_heads, save_heads
from hub.store.rows import ITEM_COLUMNS, Values, item_of, items_with_content
from hub.store.sql import among
from hub.store.tables import inbox_items, notifications

Applied = list[tuple[InboxChange, SharedWakeup | None]]
"""What to tell, each with its wake-up."""


class Of(NamedTuple):
    """The notification whose items are changed."""

    tenant: str
    notification: UUID


async def lock_recipients(
    connection: AsyncConnection, of: Of, condition: sa.ColumnElement[bool], now: int
) -> tuple[Mapping[str, LockedHead], Mapping[str, Item]]:
    """Lock the heads of the recipients whose items meet the condition, then read those items, by user."""
    here = sa.and_(inbox_items.c.tenant == of.tenant, inbox_items.c.notification_id == of.notification, condition)
    users = (await connection.execute(sa.select(inbox_items.c.user_id).where(here))).scalars().all()
    if not users:
        return {}, {}
    locked = await lock_heads(connection, [InboxKey(of.tenant, user) for user in users], now, Bulk(connection))
    heads = {key.user: head for key, head in locked.items()}
    rows = await connection.execute(
        sa.select(notifications, *ITEM_COLUMNS)
        .select_from(items_with_content)
        .where(here, among(connection, inbox_items.c.user_id, users))
        .order_by(inbox_items.c.user_id)
    )
    return heads, {row.user_id: item_of(row) for row in rows}


async def write_recipients(
    connection: AsyncConnection,
    of: Of,
    heads: Sequence[LockedHead],
    *,
    values: Values,
    changes: Sequence[InboxChange],
    now: int,
) -> Applied:
    """Write locked heads and their items of the notification, and leave a wake-up row."""
    if not heads:
        return []
    update = (
        sa.update(inbox_items)
        .where(
            inbox_items.c.tenant == of.tenant,
            inbox_items.c.notification_id == of.notification,
            inbox_items.c.user_id == sa.bindparam("of_user"),
        )
        .values(values | {"version": sa.bindparam("new_version")})
    )
    await connection.execute(update, [{"of_user": head.key.user, "new_version": head.version} for head in heads])
    bulk = Bulk(connection)
    save_heads(bulk, heads)
    wakeups = leave_wakeups(bulk, heads, {of.tenant: len(changes)}, now)
    await bulk.write()
    return [(change, wakeups[of.tenant]) for change in changes]


def tally_of(item: Item) -> Tally:
    """Return what a LIVE item adds to its user's counts."""
    return Tally.of(
        seen_at=item.seen_at, read_at=item.read_at, archived_at=item.archived_at, snoozed_until=item.snoozed_until
    )
