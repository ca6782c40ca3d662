"""What operators do to deliveries: each transaction locks what it changes, and leaves alone what a worker holds.

Locks: expansions, deliveries; rows of one table in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core import operating
from hub.core.errors import StateConflict
from hub.core.ids import uuid7
from hub.core.model import Delivery, DeliveryState, ExpansionState
from hub.core.model.queues import Change, DeliveryFilter, EventKind, Place, QueueKey, Replayed
from hub.core.transitions import ENDS
from hub.store.bulk import Bulk
from hub.store.delivery_sql import LANES, in_state, queued_in
from hub.store.expansion_chunk import waiting as expansion_waits
from hub.store.queue_depths import in_channel
from hub.store.queue_find import walk_of
from hub.store.rows import Values, delivery_of
from hub.store.sql import among
from hub.store.tables import deliveries, expansions
from hub.store.tables_queue import delivery_events


async def act(
    connection: AsyncConnection, *, tenant: str, delivery: UUID, kind: EventKind, now: int, change: Change
) -> Delivery | None:
    """Do something to one delivery; see `QueueControl.act`."""
    here = sa.and_(deliveries.c.tenant == tenant, deliveries.c.id == delivery)
    row = (await connection.execute(sa.select(deliveries).where(here).with_for_update())).first()
    if row is None:
        return None
    before = delivery_of(row)
    after = _done(before, kind, now, change)
    if after != before:
        if after.address != before.address:
            await _refuse_twins(connection, after)
        await _write(connection, [(before, after)], kind, now)
    return after


def _done(delivery: Delivery, kind: EventKind, now: int, change: Change) -> Delivery:
    match kind:
        case EventKind.RETRIED:
            return operating.retried(delivery, now)
        case EventKind.PROMOTED:
            return operating.promoted(delivery, now)
        case EventKind.CANCELLED:
            return operating.cancelled(delivery, now)
        case EventKind.CHANGED:
            return operating.changed(delivery, change)
        case EventKind.RESCUED:
            raise AssertionError("no operator rescues")


async def _refuse_twins(connection: AsyncConnection, delivery: Delivery) -> None:
    """Refuse an address that the same step has a delivery for."""
    twin = sa.select(deliveries.c.id).where(
        deliveries.c.tenant == delivery.tenant,
        deliveries.c.notification_id == delivery.notification,
        deliveries.c.address == delivery.address,
        deliveries.c.step == delivery.step,
    )
    if await connection.scalar(twin) is not None:
        raise StateConflict("another delivery of the same step goes to this address already", pointer="$.address")


async def _write(
    connection: AsyncConnection, changes: Sequence[tuple[Delivery, Delivery]], kind: EventKind, now: int
) -> None:
    """Write deliveries whose rows are locked, and what was done to them; that it was cancelled its row tells."""
    bulk = Bulk(connection)
    bulk.update(deliveries, [_values(after) for _, after in changes])
    if kind is not EventKind.CANCELLED:
        bulk.insert(delivery_events, [_event(before, after, kind, now) for before, after in changes])
    await bulk.write()


def _values(delivery: Delivery) -> Values:
    return {
        "tenant": delivery.tenant,
        "id": delivery.id,
        "state": delivery.state.value,
        "due_at": delivery.due_at,
        "priority": int(delivery.priority),
        "address": delivery.address,
        "reason": delivery.reason,
        "finished_at": delivery.finished_at,
        "claims": delivery.claims,
        "forgiven": delivery.forgiven,
    }


def _event(before: Delivery, after: Delivery, kind: EventKind, now: int) -> Values:
    return {
        "tenant": before.tenant,
        "delivery_id": before.id,
        "id": uuid7(now),
        "at": now,
        "kind": kind.value,
        "before": before.state.value,
        "after": after.state.value,
        "reason": before.reason,
        "ended_at": before.finished_at if before.state in ENDS else None,
    }


async def replay(
    connection: AsyncConnection,
    *,
    tenant: str,
    wanted: DeliveryFilter,
    after: Place | None,
    limit: int,
    now: int,
    dry_run: bool,
) -> Replayed:
    """Retry some of what is dead; see `QueueControl.replay`."""
    walk = walk_of(tenant, wanted, oldest_first=True)
    rows = walk.rows(after, limit)
    last = (await connection.execute(sa.select(rows).order_by(*walk.order(rows)).offset(limit - 1))).first()
    following = None if last is None else walk.place(last)
    found = (await connection.scalars(sa.select(rows.c.id).where(*walk.rest(rows)))).all()
    if dry_run or not found:
        return Replayed(len(found), following)
    # Whoever replays the same at this moment has them first, and leaves none for us.
    locked = await connection.execute(
        sa.select(deliveries)
        .where(
            deliveries.c.tenant == tenant,
            among(connection, deliveries.c.id, found),
            in_state(deliveries, DeliveryState.FAILED),
        )
        .order_by(deliveries.c.id)
        .with_for_update()
    )
    changes = [(dead, operating.retried(dead, now)) for dead in map(delivery_of, locked)]
    if changes:
        await _write(connection, changes, EventKind.RETRIED, now)
    return Replayed(len(changes), following)


async def empty(connection: AsyncConnection, key: QueueKey, now: int, limit: int) -> int:
    """Cancel some of what waits in a queue; see `QueueControl.empty`."""
    ended = await _end_expansions(connection, key, now, limit)
    return ended + (await _end_queued(connection, key, now, limit - ended) if ended < limit else 0)


async def _end_expansions(connection: AsyncConnection, key: QueueKey, now: int, limit: int) -> int:
    of_queue = sa.and_(expansions.c.tenant == key.tenant, in_channel(key.channel, expansions), expansion_waits)
    some = sa.select(expansions.c.notification_id, expansions.c.step).where(of_queue).order_by(expansions.c.due_at)
    keys = [(row.notification_id, row.step) for row in await connection.execute(some.limit(limit))]
    if not keys:
        return 0
    of_keys = sa.and_(of_queue, sa.tuple_(expansions.c.notification_id, expansions.c.step).in_(keys))
    await connection.execute(
        sa.select(expansions.c.step)
        .where(of_keys)
        .order_by(expansions.c.notification_id, expansions.c.step)
        .with_for_update()
    )
    ending: dict[str, Any] = {
        "state": ExpansionState.CANCELLED.value,
        "reason": operating.EMPTIED,
        "after_user": "",
        "finished_at": now,
    }
    return (await connection.execute(sa.update(expansions).where(of_keys).values(ending))).rowcount


def _queued(key: QueueKey, limit: int) -> Any:
    """Select what waits in all lanes of a queue: the earliest of each, and of those the earliest."""
    steps = [
        sa.select(
            sa.select(deliveries.c.id, deliveries.c.due_at)
            .where(queued_in(deliveries, lane), deliveries.c.tenant == key.tenant)
            .order_by(deliveries.c.due_at, deliveries.c.id)
            .limit(limit)
            .subquery()
        )
        for lane in LANES
        if lane.channel is key.channel
    ]
    return sa.union_all(*steps).order_by(sa.column("due_at"), sa.column("id")).limit(limit)


async def _end_queued(connection: AsyncConnection, key: QueueKey, now: int, limit: int) -> int:
    found = [row.id for row in await connection.execute(_queued(key, limit))]
    here = sa.and_(
        deliveries.c.tenant == key.tenant,
        among(connection, deliveries.c.id, found),
        in_state(deliveries, DeliveryState.QUEUED),
    )
    locking = sa.select(deliveries.c.id).where(here).order_by(deliveries.c.id).with_for_update()
    if not (locked := (await connection.scalars(locking)).all()):
        return 0
    await connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.tenant == key.tenant, among(connection, deliveries.c.id, locked))
        .values(state=DeliveryState.CANCELLED.value, reason=operating.EMPTIED, finished_at=now)
    )
    return len(locked)
