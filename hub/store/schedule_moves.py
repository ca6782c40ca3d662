"""Moving schedules on: the part of a transaction that lets each due time be dealt with exactly once.

Whoever makes a run holds the schedule's row, finds it as it was when the run was decided (by its revision), and
moves it on in the same transaction. So of any number of workers one makes the run, a crash leaves all or nothing,
and there is no lease. Rows that others hold are passed over: a worker that was stopped in the middle holds nobody up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Move, RunOutcome, RunRecord
from hub.store.bulk import Bulk
from hub.store.rows import Row, Values
from hub.store.sql import among, insert_on_conflict
from hub.store.tables_schedules import schedule_runs, schedules

KEPT_RECORDS = 20
"""Entries of a schedule's log; the next one takes the place of the oldest."""


class Held:
    """The rows of schedules that moves are about, locked for the rest of the transaction."""

    def __init__(self, connection: AsyncConnection, rows: Mapping[UUID, sa.Row[str, UUID, int, int]]) -> None:
        self._connection = connection
        self._rows = rows
        self._claimed: set[UUID] = set()

    @classmethod
    async def lock(cls, connection: AsyncConnection, moves: Sequence[Move]) -> Held:
        """Lock, in order, what nobody else holds."""
        if not moves:
            return cls(connection, {})
        here = sa.and_(
            schedules.c.tenant.in_({move.tenant for move in moves}),
            among(connection, schedules.c.id, sorted({move.schedule for move in moves})),
        )
        rows = await connection.execute(
            sa.select(schedules.c.tenant, schedules.c.id, schedules.c.revision, schedules.c.records)
            .where(here)
            .order_by(schedules.c.tenant, schedules.c.id)
            .with_for_update(skip_locked=True)
        )
        return cls(connection, {row.id: row for row in rows.all()})

    def take(self, move: Move) -> bool:
        """Tell whether a move is still to be made, by us; of several of one revision the first is."""
        row = self._rows.get(move.schedule)
        if row is None or row.tenant != move.tenant:
            return False
        if move.revision is None:
            return True
        if row.revision != move.revision or move.schedule in self._claimed:
            return False
        self._claimed.add(move.schedule)
        return True

    async def make(self, moves: Sequence[Move]) -> None:
        """Make moves that were taken."""
        if not moves:
            return
        logged = {move.schedule: self._rows[move.schedule].records for move in moves}
        entries: dict[tuple[UUID, int], Values] = {}
        for move in moves:
            for record in move.records:
                entry = record_values(move.tenant, move.schedule, logged[move.schedule], record)
                entries[move.schedule, entry["slot"]] = entry
                logged[move.schedule] += 1
        bulk = Bulk(self._connection)
        moved = {move.schedule for move in moves if move.revision is not None}
        bulk.update(schedules, [_moved(move, logged[move.schedule]) for move in moves if move.revision is not None])
        by_hand = {move.schedule: move.tenant for move in moves if move.schedule not in moved}
        bulk.update(
            schedules, [{"tenant": tenant, "id": id_, "records": logged[id_]} for id_, tenant in by_hand.items()]
        )
        await bulk.write()
        await log_records(self._connection, list(entries.values()))


async def move(connection: AsyncConnection, moves: Sequence[Move]) -> list[bool]:
    """Move schedules on; see `ScheduleStore.move`. Locks: schedules."""
    held = await Held.lock(connection, moves)
    taken = [held.take(each) for each in moves]
    await held.make([each for each, is_ours in zip(moves, taken, strict=True) if is_ours])
    return taken


async def log_records(connection: AsyncConnection, entries: Sequence[Values]) -> None:
    """Write entries of logs over the oldest ones; whoever does it holds the schedules' rows."""
    if not entries:
        return
    insert = insert_on_conflict(connection.dialect.name, schedule_runs)
    key = [column.name for column in schedule_runs.primary_key.columns]
    others = {column.name: insert.excluded[column.name] for column in schedule_runs.c if column.name not in key}
    await connection.execute(insert.on_conflict_do_update(index_elements=key, set_=others), entries)


def record_values(tenant: str, schedule: UUID, number: int, record: RunRecord) -> Values:
    """Write a row of `schedule_runs`."""
    return {
        "tenant": tenant,
        "schedule_id": schedule,
        "slot": number % KEPT_RECORDS,
        "number": number,
        "due_at": record.due_at,
        "through": record.through,
        "outcome": record.outcome.value,
        "decided_at": record.at,
        "by_hand": record.by_hand,
        "notification_id": record.notification,
        "reason": record.reason,
    }


def record_of(row: Row) -> RunRecord:
    """Read a row of `schedule_runs`."""
    return RunRecord(
        due_at=row.due_at,
        outcome=RunOutcome(row.outcome),
        at=row.decided_at,
        through=row.through,
        by_hand=row.by_hand,
        notification=row.notification_id,
        reason=row.reason,
    )


def _moved(made: Move, records: int) -> Values:
    assert made.revision is not None  # noqa: S101 - runs by hand move nothing
    last = made.records[-1]
    return {
        "tenant": made.tenant,
        "id": made.schedule,
        "next_at": made.next_at,
        "dealt_with": made.dealt_with,
        "ended_at": last.at if made.next_at is None else None,
        "revision": made.revision + 1,
        "records": records,
    }
