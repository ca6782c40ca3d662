"""Timers: what the clock does to inboxes. Reads never filter by the clock; due rows are applied like any change."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState, InboxChange, ItemState, TimerKind
from hub.store import shared_timers
from hub.store.recipients import Applied, lock_items, tally_of, write_items
from hub.store.release import release, take_others
from hub.store.rows import Row, Values
from hub.store.tables import inbox_items, timers
from hub.store.withdrawal import Of, withdraw

_EXPIRED = "The notification expired before this step was due."


async def next_due(connection: AsyncConnection) -> int | None:
    """Return when the earliest timer is due."""
    due: int | None = (await connection.execute(sa.select(sa.func.min(timers.c.due_at)))).scalar()
    return due


async def apply_next(connection: AsyncConnection, now: int, limit: int, cluster: str) -> tuple[int, Applied]:
    """Take the earliest due timer that nobody else holds, apply and delete it; returns how many timers it was.

    A release may take others of its tenant along, up to the limit. Locks: timers (never waited for), deliveries, the
    shared log, heads, items; of what is replaced, those deliveries that nobody holds.
    """
    due = sa.select(timers).where(timers.c.due_at <= now).order_by(timers.c.due_at, timers.c.id).limit(1)
    timer = (await connection.execute(due.with_for_update(skip_locked=True))).first()
    if timer is None:
        return 0, []
    await connection.execute(sa.delete(timers).where(timers.c.id == timer.id))
    match TimerKind(timer.kind):
        case TimerKind.RELEASE:
            others = await take_others(connection, timer.tenant, now, limit - 1) if limit > 1 else ()
            together = [timer.notification_id, *others]
            return len(together), await release(connection, timer.tenant, together, now, cluster)
        case TimerKind.EXPIRE:
            of = Of(timer.tenant, timer.notification_id)
            return 1, await withdraw(connection, of, now, cluster, ending=DeliveryState.EXPIRED, reason=_EXPIRED)
        case TimerKind.UNSNOOZE:
            return 1, await _unsnooze(connection, timer, now, cluster)


async def _unsnooze(connection: AsyncConnection, timer: Row, now: int, cluster: str) -> Applied:
    """Bring a snoozed item back, told whole, as clients need not hold it. A timer of an earlier snooze does nothing."""
    snoozed = sa.and_(
        inbox_items.c.user_id == timer.user_id,
        inbox_items.c.state == int(ItemState.LIVE),
        inbox_items.c.snoozed_until == timer.due_at,
    )
    changed, changes = [], []
    for locked in await lock_items(connection, timer.tenant, [timer.notification_id], snoozed, now):
        item, head = locked
        head.version += 1
        back = replace(item, snoozed_until=None, version=head.version)
        head.add(tally_of(item), -1)
        head.add(tally_of(back))
        values: Values = {"snoozed_until": None, "version": back.version}
        changed.append((locked, values))
        changes.append(InboxChange(head.key, head.head(cluster), item=back))
    if not changed:
        return await shared_timers.unsnooze(connection, timer, now, cluster)
    return await write_items(connection, changed, changes, now)
