"""How what has served its time is found, and dropped: by index, however much there is.

Looks at plans, never at clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from hub.core.model import MarksPart
from hub.store.engine import Database, open_database
from hub.store.retention_reads import (
    candidates_page,
    first_tenant,
    marks_of,
    members_of,
    of_deliveries,
    rows_of,
)
from hub.store.retention_trim import first_needed
from hub.store.tables import (
    attempts,
    deliveries,
    expansions,
    inbox_items,
    notifications,
    shared_items,
    shared_log,
    shared_marks,
)
from tests.support.clock import START
from tests.support.plans import explain, indexes, scanned_whole, without_autovacuum

ONE = UUID("00000000-0000-7000-8000-000000000001")
LAST = UUID("00000000-0000-7000-8000-000000000fff")
GROWING = {
    "attempts",
    "deliveries",
    "inbox_heads",
    "inbox_items",
    "notifications",
    "shared_items",
    "shared_log",
    "shared_marks",
    "timers",
}
_FILL = f"""
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
SELECT 'default', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'c', 't', '', 2, true, '[]', {START}
FROM generate_series(1, 2000) AS n;
INSERT INTO inbox_heads (tenant, user_id, epoch, version, floor, unread_count, unseen_count, created_at)
SELECT 'default', 'user-' || u, 'e', 1, 0, 1, 1, 1 FROM generate_series(1, 2000) AS u;
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category)
SELECT 'default', 'user-' || u, notifications.id, 1, 1, 1, {START}, 'c' FROM notifications, generate_series(1, 10) AS u;
INSERT INTO deliveries (tenant, id, notification_id, user_id, step, channel, priority, unless, "when", state, due_at,
                        created_at)
SELECT 'default', gen_random_uuid(), notifications.id, 'user-' || u, 0, 'email', 2, 2, 'always', 'sent', 1, 1
FROM notifications, generate_series(1, 10) AS u;
INSERT INTO attempts (tenant, delivery_id, number, endpoint, provider, outcome, started_at, finished_at)
SELECT 'default', id, 1, 'e', 'console', 'ok', {START}, {START} FROM deliveries;
INSERT INTO timers (id, tenant, due_at, kind, notification_id)
SELECT gen_random_uuid(), 'default', {START}, 0, id FROM notifications;
INSERT INTO shared_log (tenant, position, kind, topic, previous, ordinal, notification_id, category, appeared_at)
SELECT 'default', row_number() OVER (ORDER BY id), 0, 't', 0, 0, id, 'c', row_number() OVER (ORDER BY id)
FROM notifications;
INSERT INTO shared_items (tenant, user_id, position, notification_id, version)
SELECT 'default', 'user-' || u, log.position, log.notification_id, 1
FROM shared_log AS log, generate_series(1, 10) AS u;
INSERT INTO shared_marks (tenant, user_id, level, position, version, marked_at)
SELECT 'default', 'user-' || u, 1, p, 1, {START} FROM generate_series(1, 2000) AS u, generate_series(1, 5) AS p
"""  # noqa: S608 - numbers of our own


@pytest.fixture
async def filled(postgres_url: str) -> AsyncIterator[Database]:
    """A database just filled, without statistics yet."""
    async with await open_database(postgres_url) as database:
        async with database.writer() as connection:
            await without_autovacuum(connection, sorted(GROWING))
            for statement in _FILL.split(";\n"):
                await connection.exec_driver_sql(statement)
        yield database


async def test_everything_is_found_by_an_index(filled: Database) -> None:
    """One test, as filling takes longest."""
    await _plans(filled, by_the_best=False)
    async with filled.writer() as connection:
        for table in sorted(GROWING):
            await connection.exec_driver_sql(f"ANALYZE {table}")
    await _plans(filled, by_the_best=True)


async def _plans(database: Database, *, by_the_best: bool) -> None:
    for generic in (False, True):
        for name, (statement, values, wanted) in (await _statements(database)).items():
            plan = await explain(database, statement, values, generic=generic)
            assert scanned_whole(plan) & GROWING == set(), name
            assert indexes(plan) <= wanted or not by_the_best, name


async def _statements(database: Database) -> dict[str, tuple[Any, dict[str, Any], set[str]]]:
    by_user, by_address = deliveries.c.user_id.is_not(None), deliveries.c.address.is_not(None)
    steps = {"deliveries_user_step_uq", "deliveries_address_step_uq"}
    shared = {"shared_items_notification_ix", "shared_log_notification_ix", "expansions_pk"}
    counted = {
        "timers_notification_ix",
        "expansions_tenant_ix",
        "deliveries_shared_open_ix",
        "inbox_items_notification_ix",
    }
    async with database.reader() as connection:
        ids = [ONE] * 5
        deleting = sa.delete(attempts).where(
            attempts.c.tenant == "default", attempts.c.delivery_id == sa.any_(sa.literal(ids, sa.ARRAY(sa.Uuid())))
        )
        of_rows: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
            table.name: (rows_of(connection, table, "default", [ONE], *conditions), {}, wanted)
            for table, conditions, wanted in (
                (notifications, (), {"notifications_pk"}),
                (inbox_items, (), {"inbox_items_notification_ix"}),
                (deliveries, (by_user,), steps),
                (shared_items, (shared_items.c.user_id > "user-1",), shared),
                (shared_log, (), shared),
                (expansions, (), shared),
            )
        }
        to_address = rows_of(connection, deliveries, "default", ids, by_address)
        calls = of_deliveries(connection, attempts, "default", ids)
    return {
        **of_rows,
        "to addresses": (to_address, {}, steps),
        "attempts": (calls, {}, {"attempts_pk"}),
        "deleting attempts": (deleting, {}, {"attempts_pk"}),
        "tenants": (first_tenant, {"after": "a"}, {"notifications_pk"}),
        "candidates": (
            candidates_page("default", LAST, ONE, 50),
            {},
            {"notifications_pk", *steps, *shared, *counted},
        ),
        "members": (members_of(shared_items, "default", ONE, "user-1", 5), {}, shared | {"shared_items_pk"}),
        "members by delivery": (members_of(deliveries, "default", ONE, "user-1", 5, by_user), {}, steps),
        "marks": (marks_of(MarksPart("default", 3, "user-1990", "user-1995")), {}, {"shared_marks_pk"}),
        "trimmable": (first_needed("default"), {}, {"shared_log_pk", "notifications_pk"}),
    }


async def test_everything_is_found_by_an_index_on_sqlite(sqlite_url: str) -> None:
    small = {"memberships", "topics"}
    async with await open_database(sqlite_url) as database, database.reader() as connection:
        by_user = deliveries.c.user_id.is_not(None)
        statements = [
            candidates_page("default", LAST, ONE, 50),
            first_needed("default"),
            marks_of(MarksPart("default", 3, "a", "b")),
            members_of(shared_items, "default", ONE, "a", 5),
            members_of(deliveries, "default", ONE, "a", 5, by_user),
            of_deliveries(connection, attempts, "default", [ONE]),
            *(rows_of(connection, table, "default", [ONE]) for table in (notifications, inbox_items, shared_log)),
            rows_of(connection, deliveries, "default", [ONE], by_user),
            sa.select(shared_marks).where(shared_marks.c.tenant == "default", shared_marks.c.user_id > "a"),
        ]
        for statement in statements:
            compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
            steps = [row.detail.split() for row in rows]
            scanned = {step[1] for step in steps if step[0] == "SCAN"} & (GROWING - small)
            assert scanned == set(), (str(compiled), steps)
