"""Changing the items of one notification, whoever its recipients are: for what time and publishers do to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxChange, Item
from hub.store.heads import LockedHead, Tally, leave_wakeup, lock_heads, save_heads
from hub.store.rows import ITEM_COLUMNS, Values, item_of, items_with_content
from hub.store.sql import among
from hub.store.tables import inbox_items, notifications

Applied = list[tuple[InboxChange, UUID | None]]
"""What to tell, each with the wake-up row to settle once it has been told."""


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
    heads = await lock_heads(connection, of.tenant, users, now)
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
    await save_heads(connection, of.tenant, heads)
    update = (
        sa.update(inbox_items)
        .where(
            inbox_items.c.tenant == of.tenant,
            inbox_items.c.notification_id == of.notification,
            inbox_items.c.user_id == sa.bindparam("of_user"),
        )
        .values(values | {"version": sa.bindparam("new_version")})
    )
    await connection.execute(update, [{"of_user": head.user, "new_version": head.version} for head in heads])
    wakeup = await leave_wakeup(connection, of.tenant, {head.user: head.version for head in heads}, now)
    return [(change, wakeup) for change in changes]


def tally_of(item: Item) -> Tally:
    """Return what a LIVE item adds to its user's counts."""
    return Tally.of(
        seen_at=item.seen_at, read_at=item.read_at, archived_at=item.archived_at, snoozed_until=item.snoozed_until
    )
