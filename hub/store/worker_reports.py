"""What workers tell of themselves, and what their metrics show of the whole queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel, DeliveryState, Priority
from hub.core.model.queues import Gauges, RateKey, WorkerSign
from hub.ports import Lane
from hub.store.delivery_sql import LANES, in_state, number, queued_in
from hub.store.engine import Database
from hub.store.expansion_chunk import waiting as expansion_waits
from hub.store.queue_depths import MINUTE, RATED, by_lane, counted, in_channel
from hub.store.queue_pauses import paused_channels, waiting
from hub.store.sql import insert_on_conflict
from hub.store.tables import deliveries, expansions
from hub.store.tables_queue import queue_pauses, queue_rates, workers

ALIVE = 30_000
"""Milliseconds without a sign of life after which a worker is taken for gone."""

_FORGOTTEN = 3_600_000
"""Milliseconds after which a worker that is gone is forgotten."""

_now: sa.BindParameter[int] = sa.bindparam("now")


def _lane(lane: Lane) -> Any:
    here = queued_in(deliveries, lane)
    earliest = sa.select(deliveries.c.due_at).where(here).order_by(deliveries.c.due_at).limit(number(1))
    return sa.select(
        number(LANES.index(lane)).label("lane"),
        counted(here).label("queued"),
        counted(here, deliveries.c.due_at <= _now).label("due"),
        earliest.scalar_subquery().label("earliest"),
    )


def _channel(number_: int, channel: Channel) -> Any:
    return sa.select(
        number(number_).label("channel"),
        counted(in_state(deliveries, DeliveryState.SENDING), in_channel(channel, deliveries)).label("in_flight"),
        counted(in_state(deliveries, DeliveryState.FAILED), in_channel(channel, deliveries)).label("dead"),
        counted(_expansions_of(channel)).label("audiences"),
    )


def _expansions_of(channel: Channel) -> sa.ColumnElement[bool]:
    return sa.and_(in_channel(channel, expansions), expansion_waits)


_CHANNELS = tuple(Channel)
lane_gauges = sa.union_all(*map(_lane, LANES))
channel_gauges = sa.union_all(*(_channel(index, channel) for index, channel in enumerate(_CHANNELS)))

# Prepared transactions and the slots of replicas hold snapshots too. A session's start is told only to its own role
# and to members of pg_read_all_stats; `backend_xmin` is told to everybody.
_SNAPSHOTS = sa.text("""
SELECT
    (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
     WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()) AS seconds,
    greatest(
        (SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()),
        (SELECT max(age(transaction)) FROM pg_prepared_xacts),
        (SELECT max(age(xmin)) FROM pg_replication_slots)
    ) AS transactions
""")


class SqlWorkerReports:
    """`WorkerReports` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, sign: WorkerSign, counts: Mapping[RateKey, int], now: int) -> None:
        """Give a sign of life, add to the rates, and drop those that nobody looks at any more."""

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(self._seen(sign, now))
            if counts:
                await connection.execute(self._adding(), _rates(counts))
            await connection.execute(sa.delete(queue_rates).where(queue_rates.c.minute < now - (RATED + 2) * MINUTE))
            await connection.execute(sa.delete(workers).where(workers.c.seen_at < now - _FORGOTTEN))

        await self._database.write(write)

    async def leave(self, sign: WorkerSign) -> None:
        """Be gone at once."""

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(sa.delete(workers).where(workers.c.id == sign.id))

        await self._database.write(write)

    async def providers(self, now: int) -> Mapping[Channel, str] | None:
        """Return the channels that some living worker can send on."""

        async def read(connection: AsyncConnection) -> dict[Channel, str] | None:
            living = sa.select(workers.c.channels).where(workers.c.seen_at > now - ALIVE).order_by(workers.c.id)
            found = [json.loads(channels) for channels in await connection.scalars(living)]
            if not found:
                return None
            return {Channel(name): provider for each in found for name, provider in each.items()}

        return await self._database.read(read)

    async def gauges(self, now: int) -> Gauges:
        """Read the whole queue, of all tenants."""

        async def read(connection: AsyncConnection) -> Gauges:
            lanes = {LANES[row.lane]: row for row in await connection.execute(lane_gauges, {"now": now})}
            channels = {_CHANNELS[row.channel]: row for row in await connection.execute(channel_gauges)}
            snapshots = (await connection.execute(_SNAPSHOTS)).one() if self._database.dialect == "postgresql" else None
            return Gauges(
                queued=by_lane({lane: row.queued for lane, row in lanes.items()}),
                due=by_lane({lane: row.due for lane, row in lanes.items()}),
                lag=await _lags(connection, {lane: row.earliest for lane, row in lanes.items()}, now),
                in_flight={channel: row.in_flight for channel, row in channels.items()},
                dead={channel: row.dead for channel, row in channels.items()},
                audiences={channel: row.audiences for channel, row in channels.items()},
                paused=await _pauses(connection),
                snapshot_age=None if snapshots is None else snapshots.seconds or 0.0,
                snapshot_transactions=None if snapshots is None else snapshots.transactions or 0,
            )

        return await self._database.read(read)

    def _seen(self, sign: WorkerSign, now: int) -> sa.Insert:
        """Write the worker's row."""
        channels = json.dumps({channel.value: provider for channel, provider in sign.channels.items()})
        adding = insert_on_conflict(self._database.dialect, workers).values(
            id=sign.id,
            channels=channels,
            started_at=sign.started_at,
            seen_at=now,
            providers=json.dumps(sign.providers),
        )
        told = {name: adding.excluded[name] for name in ("channels", "providers", "seen_at")}
        return adding.on_conflict_do_update(index_elements=[workers.c.id], set_=told)

    def _adding(self) -> sa.Insert:
        adding = insert_on_conflict(self._database.dialect, queue_rates)
        return adding.on_conflict_do_update(
            index_elements=list(queue_rates.primary_key.columns),
            set_={"counted": queue_rates.c.counted + adding.excluded.counted},
        )


def _rates(counts: Mapping[RateKey, int]) -> list[dict[str, str | int]]:
    """Write rows in the order of their keys: workers report at the same time."""
    rows: list[dict[str, str | int]] = [
        {
            "tenant": key.queue.tenant,
            "channel": key.queue.channel.value,
            "minute": key.minute,
            "outcome": key.outcome,
            "counted": count,
        }
        for key, count in counts.items()
    ]
    return sorted(rows, key=lambda row: (row["tenant"], row["channel"], row["minute"], row["outcome"]))


async def _lags(
    connection: AsyncConnection, earliest: Mapping[Lane, int | None], now: int
) -> dict[tuple[Channel, Priority], int]:
    """Work out for how long the longest-waiting deliveries have been due, those of paused queues left out."""
    paused = await paused_channels(connection)
    lags: dict[tuple[Channel, Priority], int] = {}
    for lane, first in earliest.items():
        due_at = first
        if lane.channel in paused and first is not None:
            due_at = min((each.due_at for each in await waiting(connection, lane)), default=None)
        key = (lane.channel, lane.priority)
        lags[key] = max(lags.get(key, 0), 0 if due_at is None else now - due_at)
    return lags


async def _pauses(connection: AsyncConnection) -> dict[Channel, int]:
    rows = await connection.execute(
        sa.select(queue_pauses.c.channel, sa.func.count().label("tenants")).group_by(queue_pauses.c.channel)
    )
    return {Channel(row.channel): row.tenants for row in rows}
