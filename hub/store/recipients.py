"""Changing items of whole notifications, whoever their recipients are: what time and publishers do to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxChange, InboxKey, Item, Untold
from hub.store.bulk import Bulk
from hub.store.heads import LockedHead, Tally, leave_wakeups, lock_heads, save_heads
from hub.store.rows import ITEM_COLUMNS, Values, item_of, items_with_content
from hub.store.sql import among
from hub.store.tables import inbox_items, notifications

Applied = list[Untold]


class Locked(NamedTuple):
    """An item whose user's head is locked."""

    item: Item
    head: LockedHead

    @property
    def key(self) -> InboxKey:
        """Whose it is."""
        return self.head.key


async def lock_items(
    connection: AsyncConnection, tenant: str, of: Collection[UUID], condition: sa.ColumnElement[bool], now: int
) -> list[Locked]:
    """Lock the heads of whoever has an item of these notifications that meets the condition, then read those items.

    They come in the order of their appearance, and of their users.
    """
    here = sa.and_(inbox_items.c.tenant == tenant, among(connection, inbox_items.c.notification_id, of), condition)
    users = set((await connection.execute(sa.select(inbox_items.c.user_id).where(here))).scalars())
    if not users:
        return []
    heads = await lock_heads(connection, [InboxKey(tenant, user) for user in users], now, Bulk(connection))
    rows = await connection.execute(
        sa.select(notifications, *ITEM_COLUMNS)
        .select_from(items_with_content)
        .where(here, among(connection, inbox_items.c.user_id, sorted(users)))
        .order_by(inbox_items.c.appeared_at, inbox_items.c.notification_id, inbox_items.c.user_id)
    )
    return [Locked(item_of(row), heads[InboxKey(tenant, row.user_id)]) for row in rows]


async def write_items(
    connection: AsyncConnection,
    changed: Sequence[tuple[Locked, Values]],
    changes: Sequence[InboxChange],
    now: int,
) -> Applied:
    """Write items of one tenant, each with its new values, and their heads; leave one wake-up row for all of it."""
    if not changed:
        return []
    bulk = Bulk(connection)
    bulk.update(inbox_items, [_key(locked) | values for locked, values in changed])
    heads = {locked.key: locked.head for locked, _ in changed}
    save_heads(bulk, heads.values())
    tenant = changed[0][0].key.tenant
    wakeups = leave_wakeups(bulk, heads.values(), {tenant: len(changes)}, now)
    await bulk.write()
    return [(change, wakeups[tenant]) for change in changes]


def _key(locked: Locked) -> Values:
    return {
        "tenant": locked.key.tenant,
        "user_id": locked.key.user,
        "notification_id": locked.item.content.id,
    }


def tally_of(item: Item) -> Tally:
    """Return what a LIVE item adds to its user's counts."""
    return Tally.of(
        seen_at=item.seen_at, read_at=item.read_at, archived_at=item.archived_at, snoozed_until=item.snoozed_until
    )
