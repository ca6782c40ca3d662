"""Taking a notification back, from everybody who has it: by its publisher, or because its time is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState, InboxChange, ItemState
from hub.store.delivery_sql import in_state
from hub.store.expansions import end_fallback
from hub.store.recipients import Applied, lock_items, tally_of, write_items
from hub.store.rows import Values
from hub.store.shared_append import append_gone
from hub.store.sql import among
from hub.store.tables import deliveries, inbox_items, notifications, timers


class Of(NamedTuple):
    """The notification that is taken back."""

    tenant: str
    notification: UUID


RECALLED = "The notification was recalled before this step was sent."


async def recall(connection: AsyncConnection, of: Of, now: int, cluster: str) -> Applied | None:
    """Recall a notification; None if there is none. Recalled again, it changes nothing.

    Locks: the notification, its timers, then as `withdraw`.
    """
    here = sa.and_(notifications.c.tenant == of.tenant, notifications.c.id == of.notification)
    found = await connection.execute(sa.select(notifications.c.recalled_at).where(here).with_for_update())
    row = found.first()
    if row is None:
        return None
    if row.recalled_at is not None:
        return []
    await connection.execute(sa.update(notifications).where(here).values(recalled_at=now))
    await _drop_timers(connection, of)
    return await withdraw(connection, of, now, cluster, ending=DeliveryState.CANCELLED, reason=RECALLED)


async def withdraw(
    connection: AsyncConnection, of: Of, now: int, cluster: str, *, ending: DeliveryState, reason: str
) -> Applied:
    """Make the items of a notification GONE, whether they have appeared or not, and end what is still queued.

    Locks: of a shared one, expansions, queued deliveries, the log; of others, queued deliveries, heads, items.
    """
    here = sa.and_(notifications.c.tenant == of.tenant, notifications.c.id == of.notification)
    if await connection.scalar(sa.select(notifications.c.topic).where(here)) is not None:
        await end_fallback(connection, of.tenant, of.notification, now, ending=ending, reason=reason)
        event = await append_gone(connection, of.tenant, of.notification, now)
        return [] if event is None else [event]
    await _end_queued(connection, of, now, ending, reason)
    there = inbox_items.c.state != int(ItemState.GONE)
    changed, changes = [], []
    for locked in await lock_items(connection, of.tenant, [of.notification], there, now):
        head = locked.head
        head.version += 1
        if locked.item.state is ItemState.LIVE:
            head.add(tally_of(locked.item), -1)
        gone: Values = {"state": int(ItemState.GONE), "version": head.version}
        changed.append((locked, gone))
        changes.append(InboxChange(locked.key, head.head(cluster), ids=(of.notification,), fields={"removed": True}))
    return await write_items(connection, changed, changes, now)


async def _drop_timers(connection: AsyncConnection, of: Of) -> None:
    """Delete what time had still to do; waits for a timer that is being applied right now."""
    of_notification = sa.and_(timers.c.tenant == of.tenant, timers.c.notification_id == of.notification)
    found = await connection.execute(
        sa.select(timers.c.id).where(of_notification).order_by(timers.c.id).with_for_update()
    )
    due = found.scalars().all()
    if due:
        await connection.execute(sa.delete(timers).where(among(connection, timers.c.id, due)))


async def _end_queued(connection: AsyncConnection, of: Of, now: int, ending: DeliveryState, reason: str) -> None:
    """End the deliveries that wait in the queue. What a worker holds is looked at once more right before the send."""
    found = await _deliveries_of(connection, of)
    locked = await connection.execute(
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.tenant == of.tenant,
            among(connection, deliveries.c.id, found),
            in_state(deliveries, DeliveryState.QUEUED),
        )
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    ids = locked.scalars().all()
    if ids:
        await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.tenant == of.tenant, among(connection, deliveries.c.id, ids))
            .values(state=ending.value, reason=reason, finished_at=now)
        )


def _queued_to(recipient: sa.Column[str | None]) -> sa.Select[tuple[UUID]]:
    """Select a notification's queued deliveries to one kind of recipient: each kind has an index of its own."""
    return sa.select(deliveries.c.id).where(
        deliveries.c.tenant == sa.bindparam("tenant"),
        deliveries.c.notification_id == sa.bindparam("notification"),
        recipient.is_not(None),
        in_state(deliveries, DeliveryState.QUEUED),
    )


queued_of_notification = sa.union_all(_queued_to(deliveries.c.user_id), _queued_to(deliveries.c.address))


async def _deliveries_of(connection: AsyncConnection, of: Of) -> Sequence[UUID]:
    rows = await connection.execute(queued_of_notification, {"tenant": of.tenant, "notification": of.notification})
    return [row.id for row in rows]
