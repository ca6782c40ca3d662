"""Timers: what the clock does to inboxes. Reads never filter by the clock; due rows are applied like any change."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState, InboxChange, InboxKey, ItemState, TimerKind
from hub.store.collapse import Collapse
from hub.store.recipients import Applied, Of, lock_recipients, tally_of, write_recipients
from hub.store.rows import Row, Values
from hub.store.tables import inbox_items, timers
from hub.store.withdrawal import withdraw

_EXPIRED = "The notification expired before this step was due."


async def next_due(connection: AsyncConnection) -> int | None:
    """Return when the earliest timer is due."""
    due: int | None = (await connection.execute(sa.select(sa.func.min(timers.c.due_at)))).scalar()
    return due


async def apply_next(connection: AsyncConnection, now: int, cluster: str) -> Applied | None:
    """Take the earliest due timer that nobody else holds, apply and delete it; None if there is none.

    Locks: the timer (never waited for), deliveries, heads, items.
    """
    due = sa.select(timers).where(timers.c.due_at <= now).order_by(timers.c.due_at, timers.c.id).limit(1)
    timer = (await connection.execute(due.with_for_update(skip_locked=True))).first()
    if timer is None:
        return None
    await connection.execute(sa.delete(timers).where(timers.c.id == timer.id))
    of = Of(timer.tenant, timer.notification_id)
    match TimerKind(timer.kind):
        case TimerKind.RELEASE:
            return await _release(connection, of, now, cluster)
        case TimerKind.EXPIRE:
            return await withdraw(connection, of, now, cluster, ending=DeliveryState.EXPIRED, reason=_EXPIRED)
        case TimerKind.UNSNOOZE:
            return await _unsnooze(connection, timer, of, now, cluster)


async def _release(connection: AsyncConnection, of: Of, now: int, cluster: str) -> Applied:
    """PENDING becomes LIVE, and counts; what its collapse key replaces goes right before it."""
    pending = inbox_items.c.state == int(ItemState.PENDING)
    heads, items = await lock_recipients(connection, of, pending, now)
    if not items:
        return []
    content = next(iter(items.values())).content
    collapse = await Collapse.find(connection, [(content, [InboxKey(of.tenant, user) for user in items])])
    changes = []
    for user, item in items.items():
        head = heads[user]
        changes += collapse.replace(content, head, cluster)
        head.version += 1
        head.add(tally_of(item))
        live = replace(item, state=ItemState.LIVE, version=head.version, since=head.version)
        changes.append(InboxChange(InboxKey(of.tenant, user), head.head(cluster), item=live))
    values: Values = {"state": int(ItemState.LIVE), "since": sa.bindparam("new_version")}
    await collapse.write(connection, now)
    changed = [heads[user] for user in items]
    return await write_recipients(connection, of, changed, values=values, changes=changes, now=now)


async def _unsnooze(connection: AsyncConnection, timer: Row, of: Of, now: int, cluster: str) -> Applied:
    """Bring a snoozed item back, told whole, as clients need not hold it. A timer of an earlier snooze does nothing."""
    snoozed = sa.and_(
        inbox_items.c.user_id == timer.user_id,
        inbox_items.c.state == int(ItemState.LIVE),
        inbox_items.c.snoozed_until == timer.due_at,
    )
    heads, items = await lock_recipients(connection, of, snoozed, now)
    changes = []
    for user, item in items.items():
        head = heads[user]
        head.version += 1
        back = replace(item, snoozed_until=None, version=head.version)
        head.add(tally_of(item), -1)
        head.add(tally_of(back))
        changes.append(InboxChange(InboxKey(of.tenant, user), head.head(cluster), item=back))
    values: Values = {"snoozed_until": None}
    changed = [heads[user] for user in items]
    return await write_recipients(connection, of, changed, values=values, changes=changes, now=now)
