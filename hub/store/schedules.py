"""`ScheduleStore` in SQL."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import IdempotencyConflict, InvalidRequest
from hub.core.model import Cron, Every, IdempotencyRecord, Missed, Move, Once, RunRecord, Schedule, Timing
from hub.core.scheduling import named_users
from hub.ports import Change, NewSchedule
from hub.store import idempotency_keys, schedule_moves
from hub.store.engine import Database
from hub.store.failures import Conflict
from hub.store.rows import Row, Values
from hub.store.schedule_moves import log_records, record_of, record_values
from hub.store.sql import among, insert_many, inserted
from hub.store.tables import idempotency
from hub.store.tables_schedules import WAITING, schedule_recipients, schedule_runs, schedules

_waiting = sa.text(WAITING)
_LISTED = [column for column in schedules.c if column.name != "notification"]


class SqlScheduleStore:
    """Schedules in PostgreSQL or SQLite; see `hub.ports.ScheduleStore` for what every method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: NewSchedule, limit: int) -> bytes | None:
        """Store a schedule, or return the first answer."""
        return await self._database.write(partial(_add, new=new, limit=limit), lookup=partial(_added, new=new))

    async def answered(self, tenant: str, record: IdempotencyRecord) -> bytes | None:
        """Return the answer that was given to the same request under the same key."""
        return await self._database.read(
            partial(
                idempotency_keys.answered,
                tenant=tenant,
                operation=record.operation,
                key=record.key,
                body_hash=record.body_hash,
            )
        )

    async def get(self, tenant: str, schedule: UUID) -> Schedule | None:
        """Read one."""

        async def read(connection: AsyncConnection) -> Schedule | None:
            row = (await connection.execute(sa.select(schedules).where(_here(tenant, schedule)))).first()
            return None if row is None else schedule_of(row)

        return await self._database.read(read)

    async def page(self, tenant: str, after: UUID | None, limit: int) -> Sequence[Schedule]:
        """Read a page, the oldest first."""
        listed = sa.select(*_LISTED).where(schedules.c.tenant == tenant).order_by(schedules.c.id).limit(limit)
        if after is not None:
            listed = listed.where(schedules.c.id > after)

        async def read(connection: AsyncConnection) -> list[Schedule]:
            return [schedule_of(row, notification="") for row in await connection.execute(listed)]

        return await self._database.read(read)

    async def log(self, tenant: str, schedule: UUID) -> Sequence[RunRecord]:
        """Read the last entries of a log, the newest first."""
        entries = sa.select(schedule_runs).where(
            schedule_runs.c.tenant == tenant, schedule_runs.c.schedule_id == schedule
        )

        async def read(connection: AsyncConnection) -> list[RunRecord]:
            rows = await connection.execute(entries.order_by(schedule_runs.c.number.desc()))
            return [record_of(row) for row in rows]

        return await self._database.read(read)

    async def change(self, tenant: str, schedule: UUID, change: Change) -> Schedule | None:
        """Change a schedule under its lock."""
        # Safe to repeat after an unknown COMMIT: every change, made once more, ends where it ended.
        return await self._database.write(partial(_change, tenant=tenant, schedule=schedule, change=change))

    async def remove(self, tenant: str, schedule: UUID) -> bool:
        """Delete one with its log."""

        async def delete(connection: AsyncConnection) -> bool:
            found = sa.select(schedules.c.tenant, schedules.c.id).where(_here(tenant, schedule)).with_for_update()
            return await delete_schedules(connection, (await connection.execute(found)).all()) > 0

        return await self._database.write(delete)

    async def due(self, now: int, limit: int) -> Sequence[Schedule]:
        """Read schedules that are due, the earliest first."""
        first = (
            sa.select(schedules)
            .where(_waiting, schedules.c.next_at <= now)
            .order_by(schedules.c.next_at, schedules.c.tenant, schedules.c.id)
            .limit(limit)
        )

        async def read(connection: AsyncConnection) -> list[Schedule]:
            return [schedule_of(row) for row in await connection.execute(first)]

        return await self._database.read(read)

    async def next_due(self) -> int | None:
        """Return when the earliest is due."""
        earliest = sa.select(schedules.c.next_at).where(_waiting).order_by(schedules.c.next_at).limit(1)

        async def read(connection: AsyncConnection) -> int | None:
            return (await connection.execute(earliest)).scalar()

        return await self._database.read(read)

    async def move(self, moves: Sequence[Move]) -> Sequence[bool]:
        """Move schedules on without publishing."""
        # Safe to repeat after an unknown COMMIT: the revision is another then.
        return await self._database.write(partial(schedule_moves.move, moves=moves))

    async def forget_ended(self, before: int, limit: int) -> int:
        """Delete schedules that ended before a time."""
        old = (
            sa.select(schedules.c.tenant, schedules.c.id)
            .where(schedules.c.ended_at < before)
            .order_by(schedules.c.ended_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

        async def delete(connection: AsyncConnection) -> int:
            return await delete_schedules(connection, (await connection.execute(old)).all())

        return await self._database.write(delete)


def schedule_of(row: Row, notification: str | None = None) -> Schedule:
    """Read a row of `schedules`; `notification` stands in for that column where it was not asked for."""
    return Schedule(
        tenant=row.tenant,
        id=row.id,
        name=row.name,
        timing=_timing_of(row),
        missed=Missed(row.missed),
        notification=(row.notification if notification is None else notification).encode(),
        next_at=row.next_at,
        dealt_with=row.dealt_with,
        created_at=row.created_at,
        updated_at=row.updated_at,
        paused_at=row.paused_at,
        ended_at=row.ended_at,
        revision=row.revision,
    )


def schedule_values(schedule: Schedule) -> Values:
    """Write a row of `schedules`, but for the number of its records."""
    timing = schedule.timing
    return {
        "tenant": schedule.tenant,
        "id": schedule.id,
        "name": schedule.name,
        "once_at": timing.at if isinstance(timing, Once) else None,
        "every_ms": timing.interval if isinstance(timing, Every) else None,
        "cron": timing.expression if isinstance(timing, Cron) else None,
        "timezone": timing.timezone if isinstance(timing, Cron) else None,
        "starts_at": None if isinstance(timing, Once) else timing.start,
        "ends_at": None if isinstance(timing, Once) else timing.end,
        "missed": schedule.missed.value,
        "notification": schedule.notification.decode(),
        "next_at": schedule.next_at,
        "dealt_with": schedule.dealt_with,
        "paused_at": schedule.paused_at,
        "ended_at": schedule.ended_at,
        "revision": schedule.revision,
        "created_at": schedule.created_at,
        "updated_at": schedule.updated_at,
    }


async def save(connection: AsyncConnection, schedule: Schedule) -> None:
    """Write a schedule over the one there is, and whom it names; whoever does it holds its row."""
    here = _here(schedule.tenant, schedule.id)
    await connection.execute(sa.update(schedules).where(here).values(schedule_values(schedule)))
    await connection.execute(
        sa.delete(schedule_recipients).where(
            schedule_recipients.c.tenant == schedule.tenant, schedule_recipients.c.schedule_id == schedule.id
        )
    )
    await insert_many(connection, schedule_recipients, _recipients(schedule))


async def delete_schedules(connection: AsyncConnection, found: Sequence[sa.Row[str, UUID]]) -> int:
    """Delete schedules, given by `tenant` and `id`, with all that is theirs; whoever does it holds their rows."""
    ids, tenants = [row.id for row in found], {row.tenant for row in found}
    if not ids:
        return 0
    for column in (schedule_runs.c.schedule_id, schedule_recipients.c.schedule_id, schedules.c.id):
        of_tenants = column.table.c.tenant.in_(tenants)
        await connection.execute(sa.delete(column.table).where(of_tenants, among(connection, column, ids)))
    return len(ids)


async def _add(connection: AsyncConnection, new: NewSchedule, limit: int) -> bytes | None:
    schedule = new.schedule
    if new.idempotency is not None:
        key = _key_values(schedule, new.idempotency)
        if not await inserted(connection, idempotency, key):
            return await _answered(connection, schedule.tenant, new.idempotency)
    some = (
        sa.select(schedules.c.id)
        .where(schedules.c.tenant == schedule.tenant, schedules.c.next_at.is_not(None))
        .limit(limit)
    )
    there = (await connection.execute(sa.select(sa.func.count()).select_from(some.subquery()))).scalar_one()
    if there >= limit:
        raise InvalidRequest(
            f"this tenant has {limit:,} schedules that have not ended: delete some, or raise "
            "BELLWIRE_SCHEDULES_PER_TENANT"
        )
    await connection.execute(sa.insert(schedules).values(schedule_values(schedule) | {"records": 0}))
    await insert_many(connection, schedule_recipients, _recipients(schedule))
    return None


async def _added(connection: AsyncConnection, new: NewSchedule) -> bytes | None:
    """Find a schedule that was stored though its COMMIT was not confirmed."""
    here = _here(new.schedule.tenant, new.schedule.id)
    found = (await connection.execute(sa.select(schedules.c.id).where(here))).scalar()
    return None if found is None else new.response


async def _answered(connection: AsyncConnection, tenant: str, record: IdempotencyRecord) -> bytes:
    columns = idempotency.c
    here = sa.and_(columns.tenant == tenant, columns.operation == record.operation, columns.key == record.key)
    earlier = (await connection.execute(sa.select(columns.body_hash, columns.response).where(here))).first()
    if earlier is None:
        raise Conflict("a key was forgotten between the two looks at it")
    if not hmac.compare_digest(earlier.body_hash, record.body_hash):
        raise IdempotencyConflict("this idempotency key was used before, with another body")
    response: bytes = earlier.response
    return response


async def _change(connection: AsyncConnection, tenant: str, schedule: UUID, change: Change) -> Schedule | None:
    locked = sa.select(schedules).where(_here(tenant, schedule)).with_for_update()
    row = (await connection.execute(locked)).first()
    if row is None:
        return None
    before = schedule_of(row)
    after, records = change(before)
    if after == before:
        return before
    await save(connection, after)
    entries = [record_values(tenant, schedule, number, record) for number, record in enumerate(records, row.records)]
    await log_records(connection, entries)
    if entries:
        counted = sa.update(schedules).where(_here(tenant, schedule)).values(records=row.records + len(entries))
        await connection.execute(counted)
    return after


def _here(tenant: str, schedule: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(schedules.c.tenant == tenant, schedules.c.id == schedule)


def _recipients(schedule: Schedule) -> list[Values]:
    return [
        {"tenant": schedule.tenant, "user_id": user, "schedule_id": schedule.id}
        for user in named_users(schedule.notification)
    ]


def _key_values(schedule: Schedule, record: IdempotencyRecord) -> Values:
    return {
        "tenant": schedule.tenant,
        "operation": record.operation,
        "key": record.key,
        "body_hash": record.body_hash,
        "response": record.response,
        "notification_id": schedule.id,
        "created_at": schedule.created_at,
    }


def _timing_of(row: Row) -> Timing:
    if row.once_at is not None:
        return Once(row.once_at)
    if row.every_ms is not None:
        return Every(row.every_ms, row.starts_at, row.ends_at)
    return Cron(row.cron, row.timezone, row.starts_at, row.ends_at)
