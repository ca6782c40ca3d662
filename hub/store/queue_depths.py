"""How much waits: counted along indexes that hold nothing else, and never further than `COUNTED`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel, DeliveryState, Priority
from hub.core.model.queues import COUNTED, LaneDepth, QueueState
from hub.ports import Lane
from hub.store.delivery_sql import in_state, number, queued_in
from hub.store.expansion_chunk import waiting as expansion_waits
from hub.store.queue_pauses import pauses_of
from hub.store.tables import deliveries, expansions
from hub.store.tables_queue import queue_rates

MINUTE = 60_000
RATED = 15
"""Minutes that rates are told of, beside the running one."""

_tenant: sa.BindParameter[str] = sa.bindparam("of_tenant")
_now: sa.BindParameter[int] = sa.bindparam("now")


def counted(*conditions: sa.ColumnElement[bool]) -> Any:
    """Count rows of a table, as far as `COUNTED`."""
    some = sa.select(number(1).label("one")).where(*conditions).limit(number(COUNTED)).subquery()
    return sa.select(sa.func.count()).select_from(some).scalar_subquery()


def _lane(lane: Lane) -> Any:
    here = (queued_in(deliveries, lane), deliveries.c.tenant == _tenant)
    earliest = sa.select(deliveries.c.due_at).where(*here).order_by(deliveries.c.due_at).limit(number(1))
    return sa.select(
        number(lane.priority).label("priority"),
        counted(*here).label("queued"),
        counted(*here, deliveries.c.due_at <= _now).label("due"),
        earliest.scalar_subquery().label("earliest"),
    )


@cache
def depths(channel: Channel) -> Any:
    """Select the depths of a tenant's lanes of a channel, direct and shared."""
    return sa.union_all(*(_lane(Lane(channel, priority, shared)) for priority in Priority for shared in (False, True)))


def in_channel(channel: Channel, table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Compare a channel with a word that stands in the statement itself."""
    return table.c.channel == sa.literal_column(f"'{channel.value}'")


@cache
def others(channel: Channel) -> Any:
    """Select what else is counted of a tenant's queue."""
    sending = (in_state(deliveries, DeliveryState.SENDING), deliveries.c.tenant == _tenant)
    dead = (in_state(deliveries, DeliveryState.FAILED), deliveries.c.tenant == _tenant)
    return sa.select(
        counted(*sending, in_channel(channel, deliveries)).label("in_flight"),
        counted(*dead, in_channel(channel, deliveries)).label("dead"),
        counted(expansions.c.tenant == _tenant, in_channel(channel, expansions), expansion_waits).label("audiences"),
    )


_rates = sa.select(queue_rates).where(
    queue_rates.c.tenant == _tenant, queue_rates.c.channel == sa.bindparam("channel"), queue_rates.c.minute >= _now
)


async def states(connection: AsyncConnection, tenant: str, channels: Sequence[Channel], now: int) -> list[QueueState]:
    """Read queues; see `QueueControl.states`."""
    paused = await pauses_of(connection, tenant)
    found = []
    for channel in channels:
        values = {"of_tenant": tenant, "now": now}
        lanes = (await connection.execute(depths(channel), values)).all()
        rest = (await connection.execute(others(channel), values)).one()
        since = (now // MINUTE - RATED) * MINUTE
        rates: dict[int, dict[str, int]] = {}
        for row in await connection.execute(_rates, {**values, "channel": channel.value, "now": since}):
            rates.setdefault(row.minute, {})[row.outcome] = row.counted
        found.append(
            QueueState(
                channel=channel,
                paused_at=paused.get(channel),
                lanes=[_depth(priority, lanes) for priority in Priority],
                in_flight=rest.in_flight,
                dead=rest.dead,
                audiences=rest.audiences,
                rates=rates,
            )
        )
    return found


def _depth(priority: Priority, lanes: Sequence[sa.Row[Any]]) -> LaneDepth:
    """Put the direct deliveries and those of shared audiences together."""
    mine = [row for row in lanes if row.priority == priority]
    return LaneDepth(
        priority,
        queued=min(COUNTED, sum(row.queued for row in mine)),
        due=min(COUNTED, sum(row.due for row in mine)),
        earliest=min((row.earliest for row in mine if row.earliest is not None), default=None),
    )


def by_lane(rows: Mapping[Lane, int]) -> dict[tuple[Channel, Priority], int]:
    """Add the lanes of direct deliveries and of shared audiences up."""
    sums: dict[tuple[Channel, Priority], int] = {}
    for lane, value in rows.items():
        key = (lane.channel, lane.priority)
        sums[key] = min(COUNTED, sums.get(key, 0) + value)
    return sums
