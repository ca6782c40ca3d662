"""Timers: what the clock does to inboxes. Reads never filter by the clock; due rows are applied like any change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState, InboxChange, InboxKey, Item, ItemState, SharedWakeup, TimerKind
from hub.store.bulk import Bulk
from hub.store.heads import Heads, LockedHead, Tally, leave_wakeups, lock_heads, save_heads
from hub.store.rows import ITEM_COLUMNS, Row, Values, item_of, items_with_content
from hub.store.sql import among
from hub.store.tables import deliveries, inbox_items, notifications, timers

Applied = list[tuple[InboxChange, SharedWakeup | None]]

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
    match TimerKind(timer.kind):
        case TimerKind.RELEASE:
            return await _release(connection, timer, now, cluster)
        case TimerKind.EXPIRE:
            return await _expire(connection, timer, now, cluster)
        case TimerKind.UNSNOOZE:
            return await _unsnooze(connection, timer, now, cluster)


async def _release(connection: AsyncConnection, timer: Row, now: int, cluster: str) -> Applied:
    """PENDING becomes LIVE, and counts."""
    pending = inbox_items.c.state == int(ItemState.PENDING)
    heads, items = await _lock(connection, timer, pending, now)
    changes = []
    for user, item in items.items():
        head = heads[InboxKey(timer.tenant, user)]
        head.version += 1
        head.add(_tally(item))
        live = replace(item, state=ItemState.LIVE, version=head.version, since=head.version)
        changes.append(InboxChange(InboxKey(timer.tenant, user), head.head(cluster), item=live))
    values: Values = {"state": int(ItemState.LIVE), "since": sa.bindparam("new_version")}
    return await _write(
        connection,
        timer,
        [heads[InboxKey(timer.tenant, user)] for user in items],
        values=values,
        changes=changes,
        now=now,
    )


async def _expire(connection: AsyncConnection, timer: Row, now: int, cluster: str) -> Applied:
    """LIVE and PENDING become GONE; what was still queued is not sent any more."""
    await _expire_deliveries(connection, timer, now)
    heads, items = await _lock(connection, timer, inbox_items.c.state != int(ItemState.GONE), now)
    changes = []
    for user, item in items.items():
        head = heads[InboxKey(timer.tenant, user)]
        head.version += 1
        if item.state is ItemState.LIVE:
            head.add(_tally(item), -1)
        changes.append(
            InboxChange(
                InboxKey(timer.tenant, user),
                head.head(cluster),
                ids=(timer.notification_id,),
                fields={"removed": True},
            )
        )
    values: Values = {"state": int(ItemState.GONE)}
    return await _write(
        connection,
        timer,
        [heads[InboxKey(timer.tenant, user)] for user in items],
        values=values,
        changes=changes,
        now=now,
    )


async def _unsnooze(connection: AsyncConnection, timer: Row, now: int, cluster: str) -> Applied:
    """Bring a snoozed item back, told whole, as clients need not hold it. A timer of an earlier snooze does nothing."""
    snoozed = sa.and_(
        inbox_items.c.user_id == timer.user_id,
        inbox_items.c.state == int(ItemState.LIVE),
        inbox_items.c.snoozed_until == timer.due_at,
    )
    heads, items = await _lock(connection, timer, snoozed, now)
    changes = []
    for user, item in items.items():
        head = heads[InboxKey(timer.tenant, user)]
        head.version += 1
        back = replace(item, snoozed_until=None, version=head.version)
        head.add(_tally(item), -1)
        head.add(_tally(back))
        changes.append(InboxChange(InboxKey(timer.tenant, user), head.head(cluster), item=back))
    values: Values = {"snoozed_until": None}
    return await _write(
        connection,
        timer,
        [heads[InboxKey(timer.tenant, user)] for user in items],
        values=values,
        changes=changes,
        now=now,
    )


def _tally(item: Item) -> Tally:
    return Tally.of(
        seen_at=item.seen_at, read_at=item.read_at, archived_at=item.archived_at, snoozed_until=item.snoozed_until
    )


async def _lock(
    connection: AsyncConnection, timer: Row, condition: sa.ColumnElement[bool], now: int
) -> tuple[Heads, Mapping[str, Item]]:
    """Lock the heads of the notification's recipients whose items meet the condition, then read those items."""
    here = sa.and_(
        inbox_items.c.tenant == timer.tenant, inbox_items.c.notification_id == timer.notification_id, condition
    )
    users = (await connection.execute(sa.select(inbox_items.c.user_id).where(here))).scalars().all()
    if not users:
        return {}, {}
    keys = [InboxKey(timer.tenant, user) for user in users]
    heads = await lock_heads(connection, keys, now, Bulk(connection))
    rows = await connection.execute(
        sa.select(notifications, *ITEM_COLUMNS)
        .select_from(items_with_content)
        .where(here, among(connection, inbox_items.c.user_id, users))
        .order_by(inbox_items.c.user_id)
    )
    return heads, {row.user_id: item_of(row) for row in rows}


async def _write(
    connection: AsyncConnection,
    timer: Row,
    heads: Sequence[LockedHead],
    *,
    values: Values,
    changes: Sequence[InboxChange],
    now: int,
) -> Applied:
    """Write locked heads and their items of the timer's notification, and leave a wake-up row."""
    if not heads:
        return []
    update = (
        sa.update(inbox_items)
        .where(
            inbox_items.c.tenant == timer.tenant,
            inbox_items.c.notification_id == timer.notification_id,
            inbox_items.c.user_id == sa.bindparam("of_user"),
        )
        .values(values | {"version": sa.bindparam("new_version")})
    )
    await connection.execute(update, [{"of_user": head.key.user, "new_version": head.version} for head in heads])
    bulk = Bulk(connection)
    save_heads(bulk, heads)
    wakeups = leave_wakeups(bulk, heads, {timer.tenant: len(changes)}, now)
    await bulk.write()
    return [(change, wakeups[timer.tenant]) for change in changes]


async def _expire_deliveries(connection: AsyncConnection, timer: Row, now: int) -> None:
    queued = sa.and_(
        deliveries.c.tenant == timer.tenant,
        deliveries.c.notification_id == timer.notification_id,
        deliveries.c.state == DeliveryState.QUEUED.value,
    )
    found = await connection.execute(
        sa.select(deliveries.c.id).where(queued).order_by(deliveries.c.id).with_for_update()
    )
    ids = found.scalars().all()
    if ids:
        await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.tenant == timer.tenant, among(connection, deliveries.c.id, ids))
            .values(state=DeliveryState.EXPIRED.value, reason=_EXPIRED, finished_at=now)
        )
