"""The fallback plans of shared audiences: stored with the publish, expanded when they are due, ended with the item."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.expansion import first_turn
from hub.core.model import Channel, Content, DeliveryState, Expansion, ExpansionState, Priority
from hub.ports import Expanded, ExpansionKey, Lane
from hub.store import expansion_chunk
from hub.store.delivery_sql import LANES, in_state, number, of_kind, queued_in
from hub.store.engine import Database
from hub.store.expansion_chunk import waiting
from hub.store.queue_pauses import not_paused
from hub.store.rows import Values
from hub.store.sql import among
from hub.store.tables import deliveries, expansions

CANCELLED_AT_ONCE = 10_000
"""Queued deliveries that end in the very transaction that withdraws their notification."""

_LANES = tuple(lane for lane in LANES if lane.shared)


def expansion_rows(content: Content) -> list[Values]:
    """Return an expansion for every step of a shared notification's plan, whatever the size of its audience."""
    turn = first_turn(content.plan) if content.plan else 0
    return [
        {
            "tenant": content.tenant,
            "notification_id": content.id,
            "step": step_number,
            "channel": step.channel.value,
            "priority": int(content.priority),
            "turn": turn,
            "state": ExpansionState.WAITING.value,
            "due_at": content.appears_at + turn,
            "created_at": content.created_at,
        }
        for step_number, step in enumerate(content.plan)
    ]


queued_of = (
    sa.select(deliveries.c.id)
    .where(
        deliveries.c.tenant == sa.bindparam("tenant"),
        deliveries.c.notification_id == sa.bindparam("notification"),
        of_kind(deliveries, shared=True),
        in_state(deliveries, DeliveryState.QUEUED),
        deliveries.c.finished_at.is_(None),  # which goes without saying, but not for the index of what is open
    )
    .order_by(deliveries.c.id)
    .limit(sa.bindparam("limit"))
    .with_for_update()
)


async def end_fallback(
    connection: AsyncConnection, tenant: str, notification: UUID, now: int, *, ending: DeliveryState, reason: str
) -> None:
    """End what is left of a shared notification's plan, as EXPIRED or CANCELLED, in whatever makes its item GONE.

    Locks: its expansions, then its queued deliveries: those before the log's counter. Waits for a chunk under way,
    so that its deliveries end too. Past `CANCELLED_AT_ONCE` deliveries are left to the rescuer: no claim takes them.
    """
    of_notification = sa.and_(expansions.c.tenant == tenant, expansions.c.notification_id == notification, waiting)
    open_steps = (
        await connection.execute(
            sa.select(expansions.c.step).where(of_notification).order_by(expansions.c.step).with_for_update()
        )
    ).scalars()
    if steps := open_steps.all():
        state = ExpansionState(ending.value)
        await connection.execute(
            sa.update(expansions)
            .where(of_notification, expansions.c.step.in_(steps))
            .values(state=state.value, reason=reason, after_user="", finished_at=now)
        )
    queued = await connection.execute(
        queued_of, {"tenant": tenant, "notification": notification, "limit": CANCELLED_AT_ONCE}
    )
    if ids := queued.scalars().all():
        await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.tenant == tenant, among(connection, deliveries.c.id, ids))
            .values(state=ending.value, reason=reason, finished_at=now)
        )


def _in_lane(lane: Lane) -> sa.ColumnElement[bool]:
    return sa.and_(
        expansions.c.channel == sa.literal_column(f"'{lane.channel.value}'"),
        expansions.c.priority == number(lane.priority),
        waiting,
    )


def _first_due(lane: Lane) -> Any:
    """Select the first due expansions of one lane."""
    first = (
        sa.select(
            expansions.c.tenant,
            expansions.c.notification_id,
            expansions.c.step,
            expansions.c.channel,
            expansions.c.priority,
            expansions.c.due_at,
        )
        .where(_in_lane(lane), not_paused(expansions), expansions.c.due_at <= sa.bindparam("now"))
        .order_by(expansions.c.due_at)
        .limit(sa.bindparam("limit"))
        .subquery()
    )
    return sa.select(*first.c)


def _earliest(lane: Lane) -> Any:
    first = sa.select(expansions.c.due_at).where(_in_lane(lane), not_paused(expansions))
    first = first.order_by(expansions.c.due_at).limit(number(1))
    return sa.select(first.subquery().c.due_at)


def _at_hand(lane: Lane) -> Any:
    """Count the due deliveries of a lane, as far as `depth`."""
    some = (
        sa.select(number(1))
        .where(queued_in(deliveries, lane), not_paused(deliveries), deliveries.c.due_at <= sa.bindparam("now"))
        .limit(sa.bindparam("depth"))
    )
    return sa.select(sa.func.count()).select_from(some.subquery())


due_expansions = sa.union_all(*map(_first_due, _LANES))
next_due = sa.union_all(*map(_earliest, _LANES))
at_hand = {lane: _at_hand(lane) for lane in _LANES}


async def expansions_of(connection: AsyncConnection, tenant: str, notification: UUID) -> list[Expansion]:
    """Read how far the steps of a shared notification have got."""
    rows = await connection.execute(
        sa.select(expansions)
        .where(expansions.c.tenant == tenant, expansions.c.notification_id == notification)
        .order_by(expansions.c.step)
    )
    return [
        Expansion(
            step=row.step,
            channel=Channel(row.channel),
            turn=row.turn,
            due_at=row.due_at,
            state=ExpansionState(row.state),
            members=row.members,
            deliveries=row.deliveries,
            reached=row.reached,
            unreachable=row.unreachable,
            reason=row.reason,
            finished_at=row.finished_at,
        )
        for row in rows
    ]


class SqlExpansions:
    """`Expansions` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: int, limit: int, depth: int) -> Sequence[tuple[ExpansionKey, Lane]]:
        """Read due expansions of the lanes that have room."""

        async def read(connection: AsyncConnection) -> list[tuple[ExpansionKey, Lane]]:
            rows = await connection.execute(due_expansions, {"now": now, "limit": limit})
            found = [(row.due_at, ExpansionKey(row.tenant, row.notification_id, row.step), _lane(row)) for row in rows]
            room = {}
            for lane in sorted({lane for _, _, lane in found}):
                there = (await connection.execute(at_hand[lane], {"now": now, "depth": depth})).scalar_one()
                room[lane] = there < depth
            return [(key, lane) for _, key, lane in sorted(found) if room[lane]]

        return await self._database.read(read)

    async def expand(
        self, expansion: ExpansionKey, now: int, channels: frozenset[Channel], limit: int
    ) -> Expanded | None:
        """Expand over the next members, in one transaction."""
        # Safe to repeat after an unknown COMMIT: it goes on from where the row then says that it is.
        chunk = partial(expansion_chunk.expand, expansion=expansion, now=now, channels=channels, limit=limit)
        return await self._database.write(chunk)

    async def next_due(self) -> int | None:
        """Return when the earliest expansion is due."""

        async def read(connection: AsyncConnection) -> int | None:
            return min((await connection.execute(next_due)).scalars(), default=None)

        return await self._database.read(read)


def _lane(row: sa.Row[Any]) -> Lane:
    return Lane(Channel(row.channel), Priority(row.priority), shared=True)
