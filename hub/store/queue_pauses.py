"""Paused queues: a row for each, which every claim reads.

A lane holds the deliveries of all tenants. While nobody has paused a channel, its lanes are claimed from as a whole.
While somebody has, they are claimed from tenant by tenant: however much a paused tenant has waiting, nobody has to
walk past it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel
from hub.core.model.queues import QueueKey
from hub.ports import Lane
from hub.store.delivery_sql import in_lane, number
from hub.store.rows import Values
from hub.store.sql import inserted
from hub.store.tables import deliveries
from hub.store.tables_queue import queue_pauses


def not_paused(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Leave out what belongs to a paused queue.

    By a scalar subquery, which is a probe for each row that is looked at: for a join PostgreSQL may give up the order
    of the queue's index, and with it the short walk. And by `<>`, which it takes to be true of nearly every row, as
    it is; for `IS NULL` it would expect to walk far.
    """
    paused = (
        sa.select(number(1))
        .where(queue_pauses.c.tenant == table.c.tenant, queue_pauses.c.channel == table.c.channel)
        .correlate(table)
        .scalar_subquery()
    )
    return sa.func.coalesce(paused, number(0)) != number(1)


class Waiting(NamedTuple):
    """A tenant with something queued in a lane."""

    tenant: str
    due_at: int
    """The earliest."""


def _waiting(*, shared: bool) -> Any:
    """Select the tenants with something queued in a lane, without the paused ones: two probes of an index each."""
    here = in_lane(deliveries, shared=shared)
    first = sa.select(deliveries.c.tenant).where(here).order_by(deliveries.c.tenant).limit(number(1))
    walk = sa.select(first.scalar_subquery().label("tenant")).cte("walk", recursive=True)
    following = first.where(deliveries.c.tenant > walk.c.tenant).correlate(walk).scalar_subquery()
    walk = walk.union_all(sa.select(following).where(walk.c.tenant.is_not(None)))
    earliest = (
        sa.select(deliveries.c.due_at)
        .where(here, deliveries.c.tenant == walk.c.tenant)
        .order_by(deliveries.c.due_at)
        .limit(number(1))
        .correlate(walk)
        .scalar_subquery()
    )
    paused = (
        sa.select(number(1))
        .where(queue_pauses.c.tenant == walk.c.tenant, queue_pauses.c.channel == sa.bindparam("in_channel"))
        .correlate(walk)
        .scalar_subquery()
    )
    return sa.select(walk.c.tenant, earliest.label("due_at")).where(walk.c.tenant.is_not(None), paused.is_(None))


waiting_direct = _waiting(shared=False)
waiting_shared = _waiting(shared=True)


async def waiting(connection: AsyncConnection, lane: Lane) -> Sequence[Waiting]:
    """Read which tenants have something queued in a lane that they have not paused, the earliest due first."""
    rows = await connection.execute(waiting_shared if lane.shared else waiting_direct, lane_values(lane))
    return sorted((Waiting(row.tenant, row.due_at) for row in rows), key=lambda each: (each.due_at, each.tenant))


def lane_values(lane: Lane) -> Values:
    """Return the parameters that `in_lane` asks for."""
    return {"in_channel": lane.channel.value, "in_priority": int(lane.priority)}


async def paused_channels(connection: AsyncConnection) -> frozenset[Channel]:
    """Read which channels anybody has paused."""
    return frozenset(map(Channel, await connection.scalars(sa.select(queue_pauses.c.channel).distinct())))


async def pauses_of(connection: AsyncConnection, tenant: str) -> Mapping[Channel, int]:
    """Read since when a tenant's queues are paused."""
    rows = await connection.execute(
        sa.select(queue_pauses.c.channel, queue_pauses.c.paused_at).where(queue_pauses.c.tenant == tenant)
    )
    return {Channel(row.channel): row.paused_at for row in rows}


async def pause(connection: AsyncConnection, key: QueueKey, now: int) -> None:
    """Pause a queue; one that is paused already stays so since when it was."""
    await inserted(connection, queue_pauses, {"tenant": key.tenant, "channel": key.channel.value, "paused_at": now})


async def resume(connection: AsyncConnection, key: QueueKey) -> None:
    """End a pause, if there is one."""
    here = sa.and_(queue_pauses.c.tenant == key.tenant, queue_pauses.c.channel == key.channel.value)
    await connection.execute(sa.delete(queue_pauses).where(here))
