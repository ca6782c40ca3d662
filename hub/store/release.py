"""Release: at its `deliver_at`, what was PENDING becomes LIVE and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxChange, ItemState, TimerKind
from hub.store import shared_timers
from hub.store.collapse import Collapse
from hub.store.recipients import Applied, lock_items, tally_of, write_items
from hub.store.rows import Values
from hub.store.shared_collapse import end_replaced
from hub.store.sql import among
from hub.store.tables import inbox_items, timers

FEW = 10
"""Recipients up to which a notification is released together with others."""


async def take_others(connection: AsyncConnection, tenant: str, now: int, limit: int) -> Sequence[UUID]:
    """Take more of the tenant's due releases, to go with one that is held already; returns their notifications.

    Many wait for the same full hour, and each by itself costs a transaction. Those with many recipients keep one of
    their own.
    """
    rows = (await connection.execute(together(tenant, now, limit))).all()
    if rows:
        await connection.execute(sa.delete(timers).where(among(connection, timers.c.id, [row.id for row in rows])))
    return [row.notification_id for row in rows]


def together(tenant: str, now: int, limit: int) -> sa.Select[Any]:
    """Select and lock, of the timers that are due next, the releases that can share a transaction and nobody holds."""
    few = sa.literal_column(str(limit), sa.Integer)  # not a parameter: of that, a plan would not know how few it is
    due = sa.select(timers).where(timers.c.due_at <= now).order_by(timers.c.due_at, timers.c.id).limit(few)
    next_due = due.subquery("next_due")
    recipient: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        inbox_items.c.tenant == next_due.c.tenant, inbox_items.c.notification_id == next_due.c.notification_id
    )
    recipients = sa.select(sa.func.count()).select_from(recipient.limit(FEW + 1).correlate(next_due).subquery())
    return (
        sa.select(timers.c.id, timers.c.notification_id)
        .select_from(next_due.join(timers, timers.c.id == next_due.c.id))
        .where(
            next_due.c.tenant == tenant,
            next_due.c.kind == int(TimerKind.RELEASE),
            recipients.scalar_subquery() <= FEW,
        )
        .with_for_update(of=timers, skip_locked=True)
    )


async def release(connection: AsyncConnection, tenant: str, of: Sequence[UUID], now: int, cluster: str) -> Applied:
    """Let notifications appear, each after what its collapse key replaces.

    Locks: the shared log, heads, items; of what is replaced, those expansions and deliveries that nobody holds.
    """
    shared = await shared_timers.release(connection, tenant, of, now)
    pending = await lock_items(connection, tenant, of, inbox_items.c.state == int(ItemState.PENDING), now)
    collapse = await Collapse.find(connection, [(locked.item.content, [locked.key]) for locked in pending])
    changed, changes = [], []
    for locked in pending:
        item, head = locked
        changes += collapse.replace(item.content, head, cluster)
        head.version += 1
        head.add(tally_of(item))
        collapse.appeared(item.content, head.key, tally_of(item))
        live = replace(item, state=ItemState.LIVE, version=head.version, since=head.version)
        values: Values = {"state": int(live.state), "version": live.version, "since": live.since}
        changed.append((locked, values))
        changes.append(InboxChange(head.key, head.head(cluster), item=live))
    applied = await write_items(connection, changed, changes, now)
    await collapse.write(connection, now)
    await end_replaced(connection, [(tenant, notification) for notification in shared.replaced], now)
    return shared.told + applied
