"""Erasing a user, a bounded transaction at a time; whatever breaks off, the next call goes on with what is left.

Locks: schedules; or notifications, deliveries, the head, (deletes items); timers that nobody holds. In the end
memberships, the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningDelete

from hub.core.model import InboxKey, ItemState
from hub.store import schedule_recipients
from hub.store.export import notification_ids
from hub.store.heads import Tally
from hub.store.rows import Row
from hub.store.sql import among
from hub.store.tables import (
    attempts,
    deliveries,
    devices,
    inbox_heads,
    inbox_items,
    memberships,
    notifications,
    shared_items,
    shared_marks,
    tickets,
    timers,
    users,
)
from hub.store.tables_queue import delivery_events

ERASED_AT_ONCE = 200
"""Notifications that one transaction erases."""


async def erase_some(connection: AsyncConnection, key: InboxKey) -> bool:
    """Erase a part; False once nothing is left."""
    if await _delete(connection, key, users, devices):
        return True
    if await schedule_recipients.take_out(connection, key):
        return True
    if found := await notification_ids(connection, key, None, ERASED_AT_ONCE):
        await _delete_notifications(connection, key, found)
        return True
    # Whoever joins or leaves has these before the head.
    left = sa.select(memberships).where(_of(memberships, key)).order_by(memberships.c.topic, memberships.c.joined)
    await connection.execute(left.with_for_update())
    head = await _lock_head(connection, key)
    # Whoever was publishing had the head before us, and has left something by now; who comes later waits for it.
    if head is not None and await notification_ids(connection, key, None, 1):
        return True
    return await _delete(connection, key, tickets, shared_items, shared_marks, memberships, inbox_heads)


def _of(table: sa.Table, key: InboxKey) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == key.tenant, table.c.user_id == key.user)


async def _delete(connection: AsyncConnection, key: InboxKey, *tables: sa.Table) -> bool:
    """Delete the user's rows of some tables; False if there were none."""
    deleted = [await connection.execute(sa.delete(table).where(_of(table, key))) for table in tables]
    return any(result.rowcount for result in deleted)


async def _delete_notifications(connection: AsyncConnection, key: InboxKey, found: Sequence[UUID]) -> None:
    """Delete what the user has of notifications, and those that nobody else has anything of."""
    content = sa.and_(notifications.c.tenant == key.tenant, among(connection, notifications.c.id, found))
    # Two who are erased at the same time come one after the other here, and the second finds that nobody else is left.
    await connection.execute(
        sa.select(notifications.c.id).where(content).order_by(notifications.c.id).with_for_update()
    )
    mine = sa.and_(_of(deliveries, key), among(connection, deliveries.c.notification_id, found))
    locked = await connection.execute(
        sa.select(deliveries.c.id).where(mine).order_by(deliveries.c.id).with_for_update()
    )
    sent = locked.scalars().all()
    await _delete_items(connection, key, found)
    if sent:
        for table in (attempts, delivery_events):
            of_deliveries = sa.and_(table.c.tenant == key.tenant, among(connection, table.c.delivery_id, sent))
            await connection.execute(sa.delete(table).where(of_deliveries))
        here = sa.and_(deliveries.c.tenant == key.tenant, among(connection, deliveries.c.id, sent))
        await connection.execute(sa.delete(deliveries).where(here))
    await _delete_timers(connection, key.tenant, found, timers.c.user_id == key.user)
    deleted = await connection.execute(nobodys(connection, key.tenant, found))
    if gone := deleted.scalars().all():
        await _delete_timers(connection, key.tenant, gone, sa.true())


async def _delete_items(connection: AsyncConnection, key: InboxKey, found: Sequence[UUID]) -> None:
    """Delete items and count them out. Whoever is still connected reads the inbox anew, as no change tells of it."""
    head = await _lock_head(connection, key)
    mine = sa.and_(_of(inbox_items, key), among(connection, inbox_items.c.notification_id, found))
    rows = (await connection.execute(sa.delete(inbox_items).where(mine).returning(inbox_items))).all()
    if head is None:
        return
    tallies = [Tally.of_row(row) for row in rows if row.state == int(ItemState.LIVE)]
    await connection.execute(
        sa.update(inbox_heads)
        .where(_of(inbox_heads, key))
        .values(
            version=head.version + 1,
            floor=head.version + 1,
            unread_count=head.unread_count - sum(tally.unread for tally in tallies),
            unseen_count=head.unseen_count - sum(tally.unseen for tally in tallies),
        )
    )


async def _lock_head(connection: AsyncConnection, key: InboxKey) -> Row | None:
    """Lock the head if there is one; to make one would be the opposite of what is wanted."""
    return (await connection.execute(sa.select(inbox_heads).where(_of(inbox_heads, key)).with_for_update())).first()


async def _delete_timers(
    connection: AsyncConnection, tenant: str, of: Sequence[UUID], condition: sa.ColumnElement[bool]
) -> None:
    """Delete timers of notifications. Those that somebody is applying go with that."""
    here = sa.and_(timers.c.tenant == tenant, among(connection, timers.c.notification_id, of), condition)
    free = sa.select(timers.c.id).where(here).with_for_update(skip_locked=True)
    if found := (await connection.execute(free)).scalars().all():
        await connection.execute(sa.delete(timers).where(among(connection, timers.c.id, found)))


def nobodys(connection: AsyncConnection, tenant: str, found: Sequence[UUID]) -> ReturningDelete[UUID]:
    """Delete, of some notifications, those that nobody has an item or a delivery of; return their ids."""

    def there_is(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        here = sa.and_(table.c.tenant == notifications.c.tenant, table.c.notification_id == notifications.c.id)
        return sa.exists().where(here, *conditions).correlate(notifications)

    somebodys = sa.or_(
        notifications.c.audience != 0,
        there_is(inbox_items),
        there_is(deliveries, deliveries.c.user_id.is_not(None)),  # each kind of recipient has an index of its own
        there_is(deliveries, deliveries.c.address.is_not(None)),
    )
    here = sa.and_(notifications.c.tenant == tenant, among(connection, notifications.c.id, found))
    return sa.delete(notifications).where(here, ~somebodys).returning(notifications.c.id)
