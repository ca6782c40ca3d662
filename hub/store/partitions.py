"""Monthly partitions of the tables that are read by time-ordered ids; PostgreSQL only.

What was there before is the partition `…_first`, months are `…_202701`. Whatever fits none of them (no month has been
made ahead for long, a clock is years ahead) lies in `…_rest`: no id is ever refused.

Partitions change under locks that everybody waits behind. So each change is a transaction of its own that gives up
after `PATIENCE`, and is tried again the next time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import DataError, StoreUnavailable
from hub.core.months import Month
from hub.store.engine import Database, Transaction
from hub.store.tables import attempts, notifications

KEYS = {notifications.name: "id", attempts.name: "delivery_id"}
"""The tables, and by which column."""

AHEAD = 3
"""Months for which there is room before they begin."""

PATIENCE = "200ms"
"""How long a change may wait for a lock, with everybody else behind it, or look whether a partition is empty."""

_ONLY_ONE = 0x62656C6C70617274
"""The advisory lock of whoever changes partitions: `bellpart` in ASCII."""

_PARTITION = re.compile(rf"({'|'.join(KEYS)})_(first|rest|[0-9]{{6}})(_pk)?", re.ASCII)
_UPPER = re.compile(r"TO \('([0-9a-f-]{36})'\)")

logger = structlog.get_logger(__name__)


def whole_of(name: str) -> str:
    """Return the name of the table, or index, that a partition's is a part of; any other name as it is."""
    match = _PARTITION.fullmatch(name)
    return name if match is None else match[1] + (match[3] or "")


def included(name: str | None, _type: str, _parents: object) -> bool:
    """Tell alembic what to compare with `tables`: everything but partitions."""
    return name is None or whole_of(name) == name


class _Partition(NamedTuple):
    name: str
    upper: UUID | None
    """The first id beyond it; None for the rest."""


async def keep(database: Database, now: int) -> None:
    """Make partitions for the months to come, and drop those of months gone by that are empty.

    Safe in any number of processes, and whatever the clock says: what cannot be done now is left to the next time.

    Raises:
        StoreUnavailable: the database cannot be reached.

    """
    if database.dialect != "postgresql":
        return
    month = Month.of(now)
    for table in KEYS:
        there = await database.read(partial(_partitions, table=table))
        for name in _past(there, month):
            await _try(database, name, partial(_drop, table=table, name=name))
        for wanted in _missing(table, there, month):
            await _try(database, f"{table}_{wanted}", partial(_make, table=table, month=wanted))


async def _try(database: Database, name: str, change: Transaction[None]) -> None:
    try:
        await database.write(change)
    except (StoreUnavailable, DataError) as error:
        # Somebody else is at it, a lock was not to be had; or the rest has rows of that month, and keeps them.
        logger.info("partition_left_as_it_is", partition=name, cause=type(error).__name__)


def _past(there: Sequence[_Partition], month: Month) -> Iterator[str]:
    yield from (each.name for each in there if each.upper is not None and each.upper <= month.first_id)


def _missing(table: str, there: Sequence[_Partition], month: Month) -> Iterator[Month]:
    """List the months to make: none that begins within what was there before."""
    names = {each.name for each in there}
    first = next((each.upper for each in there if each.name == f"{table}_first" and each.upper is not None), None)
    for wanted in (month.later(ahead) for ahead in range(AHEAD + 1)):
        if f"{table}_{wanted}" not in names and (first is None or first <= wanted.first_id):
            yield wanted


async def _partitions(connection: AsyncConnection, table: str) -> list[_Partition]:
    found = await connection.execute(
        sa.text(
            "SELECT part.relname AS name, pg_get_expr(part.relpartbound, part.oid) AS bounds FROM pg_inherits "
            "JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = CAST(:table AS regclass) ORDER BY 1"
        ),
        {"table": table},
    )
    uppers = ((row.name, _UPPER.search(row.bounds)) for row in found)
    return [_Partition(name, None if upper is None else UUID(upper[1])) for name, upper in uppers]


async def _alone(connection: AsyncConnection) -> bool:
    """Be the only one who changes partitions, and an impatient one."""
    await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    await connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{PATIENCE}'")
    free = await connection.execute(sa.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _ONLY_ONE})
    return bool(free.scalar_one())


async def _exists(connection: AsyncConnection, name: str) -> bool:
    return await connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": name}) is not None


async def _make(connection: AsyncConnection, table: str, month: Month) -> None:
    """Make a month's partition, and attach it: to make it a part at once would lock the whole table."""
    name = f"{table}_{month}"
    if not await _alone(connection) or await _exists(connection, name):
        return
    key = ", ".join(column.name for column in (notifications if table == "notifications" else attempts).primary_key)
    lower, upper = month.first_id, month.later(1).first_id
    await connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING COMMENTS)")
    await connection.exec_driver_sql(f"ALTER TABLE {name} ADD CONSTRAINT {name}_pk PRIMARY KEY ({key})")
    await connection.exec_driver_sql(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{lower}') TO ('{upper}')"
    )
    logger.info("partition_made", partition=name)


async def _drop(connection: AsyncConnection, table: str, name: str) -> None:
    """Drop a partition if it is empty, for which nobody may write to it any more."""
    if not await _alone(connection) or not await _exists(connection, name):
        return
    anything = sa.text(f"SELECT EXISTS (SELECT 1 FROM {name})")  # noqa: S608 - a name of our own
    if (await connection.execute(anything)).scalar_one():
        return  # before anybody has to wait
    await connection.exec_driver_sql(f"ALTER TABLE {table} DETACH PARTITION {name}")
    if (await connection.execute(anything)).scalar_one():
        raise StoreUnavailable("it is in use after all")
    await connection.exec_driver_sql(f"DROP TABLE {name}")
    logger.info("partition_dropped", partition=name)
