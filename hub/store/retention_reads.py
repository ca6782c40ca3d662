"""Finding what has served its time, and reading it row by row, as the tables have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core import archives
from hub.core.model import (
    Candidate,
    DeliveryState,
    ExpansionState,
    Hold,
    Lines,
    MarksPart,
    MembersPart,
    OwnPart,
    Part,
    SharedPart,
)
from hub.store.delivery_sql import number
from hub.store.rows import Row
from hub.store.sql import among
from hub.store.tables import (
    attempts,
    deliveries,
    expansions,
    inbox_items,
    notifications,
    shared_items,
    shared_log,
    shared_logs,
    shared_marks,
    timers,
)
from hub.store.tables_queue import delivery_events

KINDS = {
    notifications: "notification",
    inbox_items: "item",
    deliveries: "delivery",
    attempts: "attempt",
    delivery_events: "delivery_event",
    expansions: "expansion",
    shared_log: "shared_event",
    shared_items: "shared_item",
    shared_marks: "shared_mark",
}
"""What a row of each table is called in an archive."""

OF_DELIVERIES = (attempts, delivery_events)
"""What goes with a delivery."""

_ROWS_COUNTED = 2_000

_on_its_way = deliveries.c.state.in_(
    [sa.literal_column(f"'{state.value}'") for state in (DeliveryState.QUEUED, DeliveryState.SENDING)]
)
_to_user = deliveries.c.user_id.is_not(None)
_to_address = deliveries.c.address.is_not(None)
"""Each kind of recipient has an index of its own."""


def _of_notification(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    here = sa.and_(table.c.tenant == notifications.c.tenant, table.c.notification_id == notifications.c.id)
    return sa.select(number(1)).select_from(table).where(here, *conditions).correlate(notifications)


def _there_is(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Test for a row: by a look-up, as an EXISTS may become a walk through the whole table."""
    return _of_notification(table, *conditions).limit(number(1)).scalar_subquery().is_not(None)


def _count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    some = _of_notification(table, *conditions).limit(number(_ROWS_COUNTED)).subquery()
    return sa.select(sa.func.count()).select_from(some).scalar_subquery()


_is_shared = notifications.c.topic.is_not(None)
_hold = sa.case(
    (_there_is(timers), Hold.TIMER.value),
    (_is_shared & _there_is(expansions, expansions.c.state == ExpansionState.WAITING.value), Hold.EXPANSION.value),
    # An audience's deliveries may be a million: of those that are open there is an index.
    (
        _is_shared & _there_is(deliveries, deliveries.c.position.is_not(None), deliveries.c.finished_at.is_(None)),
        Hold.DELIVERY.value,
    ),
    (~_is_shared & _there_is(deliveries, _on_its_way, _to_user), Hold.DELIVERY.value),
    (~_is_shared & _there_is(deliveries, _on_its_way, _to_address), Hold.DELIVERY.value),
)
_rows = sa.case(
    (_is_shared, 0),
    else_=_count(inbox_items) + _count(deliveries, _to_user) + _count(deliveries, _to_address),
)

first_tenant = sa.select(sa.func.min(notifications.c.tenant)).where(notifications.c.tenant > sa.bindparam("after"))


async def tenants(connection: AsyncConnection) -> list[str]:
    """Read the tenants: one probe of an index for each."""
    found = set((await connection.execute(sa.select(shared_logs.c.tenant))).scalars())
    tenant = ""
    while (tenant := await connection.scalar(first_tenant, {"after": tenant})) is not None:
        found.add(tenant)
    return sorted(found)


def candidates_page(tenant: str, before: UUID, after: UUID | None, limit: int) -> sa.Select[Any]:
    """Select old notifications, with why they are still wanted."""
    old = sa.and_(notifications.c.tenant == tenant, notifications.c.id < before)
    if after is not None:
        old = sa.and_(old, notifications.c.id > after)
    columns = (notifications.c.id, _is_shared.label("shared"), _hold.label("hold"), _rows.label("rows"))
    return sa.select(*columns).where(old).order_by(notifications.c.id).limit(limit)


async def candidates(
    connection: AsyncConnection, tenant: str, before: UUID, after: UUID | None, limit: int
) -> list[Candidate]:
    """Read old notifications."""
    rows = await connection.execute(candidates_page(tenant, before, after, limit))
    return [Candidate(row.id, bool(row.shared), row.hold and Hold(row.hold), row.rows) for row in rows]


async def wanted(connection: AsyncConnection, tenant: str, of: Sequence[UUID]) -> set[UUID]:
    """Return which of these notifications are still wanted."""
    here = sa.and_(notifications.c.tenant == tenant, among(connection, notifications.c.id, of))
    rows = await connection.execute(sa.select(notifications.c.id, _hold.label("hold")).where(here))
    return {row.id for row in rows if row.hold is not None}


async def next_members(
    connection: AsyncConnection, tenant: str, notification: UUID, after: str, limit: int
) -> str | None:
    """Find the last of the next users who have something of a shared notification; None: there are no others."""
    of = (tenant, notification, after, limit)
    touched = await connection.execute(members_of(shared_items, *of))
    sent = await connection.execute(members_of(deliveries, *of, _to_user))
    users = {row.user_id for rows in (touched, sent) for row in rows}
    found = sorted(users)
    return found[limit - 1] if len(found) >= limit else None


def members_of(
    table: sa.Table, tenant: str, notification: UUID, after: str, limit: int, *conditions: sa.ColumnElement[bool]
) -> sa.Select[tuple[str]]:
    """Select the next users of whom a table has rows of a notification."""
    user = table.c.user_id
    here = sa.and_(table.c.tenant == tenant, table.c.notification_id == notification, user > after, *conditions)
    return sa.select(user).where(here).distinct().order_by(user).limit(limit)


async def read(connection: AsyncConnection, part: Part) -> Lines:
    """Read the rows of a part as lines of an archive, always in the same order."""
    lines: defaultdict[UUID | None, list[bytes]] = defaultdict(list)
    match part:
        case OwnPart():
            for row in await _rows_of(connection, notifications, part.tenant, part.notifications):
                lines[row.id].append(_line(notifications, row))
            for row in await _rows_of(connection, inbox_items, part.tenant, part.notifications):
                lines[row.notification_id].append(_line(inbox_items, row))
            for recipient in (_to_user, _to_address):
                made = await _rows_of(connection, deliveries, part.tenant, part.notifications, recipient)
                await _add_deliveries(connection, lines, made)
        case MembersPart():
            of = (part.notification,)
            lines[part.notification] = []
            for row in await _rows_of(connection, shared_items, part.tenant, of, *users_of(shared_items, part)):
                lines[row.notification_id].append(_line(shared_items, row))
            made = await _rows_of(connection, deliveries, part.tenant, of, _to_user, *users_of(deliveries, part))
            await _add_deliveries(connection, lines, made)
        case SharedPart():
            for table in (notifications, expansions, shared_log):
                rows = await _rows_of(connection, table, part.tenant, (part.notification,))
                lines[part.notification] += [_line(table, row) for row in rows]
        case MarksPart():
            rows = _in_order(shared_marks, await connection.execute(marks_of(part)))
            lines[None] = [_line(shared_marks, row) for row in rows]
    return lines


def marks_of(part: MarksPart) -> sa.Select[Any]:
    """Select the marks of some users."""
    mark = shared_marks.c
    here = sa.and_(mark.tenant == part.tenant, mark.position <= part.position, *users_of(shared_marks, part))
    return sa.select(shared_marks).where(here)


def users_of(table: sa.Table, part: MembersPart | MarksPart) -> list[sa.ColumnElement[bool]]:
    """Test whether a row is of one of the part's users."""
    upto = [] if part.upto is None else [table.c.user_id <= part.upto]
    return [table.c.user_id > part.after, *upto]


async def _rows_of(
    connection: AsyncConnection, table: sa.Table, tenant: str, of: Sequence[UUID], *conditions: sa.ColumnElement[bool]
) -> Sequence[Row]:
    return _in_order(table, await connection.execute(rows_of(connection, table, tenant, of, *conditions)))


def rows_of(
    connection: AsyncConnection, table: sa.Table, tenant: str, of: Sequence[UUID], *conditions: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """Select all that a table has of some notifications, in any order: to ask for one may make for a worse plan."""
    identifier = table.c.id if table is notifications else table.c.notification_id
    return sa.select(table).where(table.c.tenant == tenant, among(connection, identifier, of), *conditions)


def _in_order(table: sa.Table, rows: Iterable[Row]) -> list[Row]:
    """Sort rows by their key."""
    key = attrgetter(*(column.name for column in table.primary_key.columns))
    return sorted(rows, key=key)


async def _add_deliveries(
    connection: AsyncConnection, lines: defaultdict[UUID | None, list[bytes]], made: Sequence[Row]
) -> None:
    """Add deliveries, each followed by what there is about it."""
    if not made:
        return
    about: defaultdict[UUID, list[bytes]] = defaultdict(list)
    for table in OF_DELIVERIES:
        rows = await connection.execute(of_deliveries(connection, table, made[0].tenant, ids_of(made)))
        for row in _in_order(table, rows):
            about[row.delivery_id].append(_line(table, row))
    for row in made:
        lines[row.notification_id] += [_line(deliveries, row), *about[row.id]]


def of_deliveries(connection: AsyncConnection, table: sa.Table, tenant: str, of: Sequence[UUID]) -> sa.Select[Any]:
    """Select what a table has about some deliveries."""
    return sa.select(table).where(table.c.tenant == tenant, among(connection, table.c.delivery_id, of))


def _line(table: sa.Table, row: Row) -> bytes:
    columns = row._asdict()
    if "kind" in columns:  # which says what is in the line
        columns["event_kind"] = columns.pop("kind")
    return archives.line(KINDS[table], columns)


def ids_of(rows: Iterable[Row]) -> list[UUID]:
    """Return the ids of rows, in order."""
    return sorted(row.id for row in rows)
