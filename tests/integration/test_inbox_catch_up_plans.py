"""How the databases carry out the batched catch-up: by their indexes, whatever the statistics say.

Looks at plans, never at clocks.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from hub.store import inbox_catch_up
from hub.store.engine import Database, open_database
from tests.support.clock import START
from tests.support.plans import Plan, explain, indexes, kinds, scanned_whole, without_autovacuum

USERS = 10_000
TABLES = ("inbox_heads", "inbox_items", "notifications")
LOG = {"memberships_pk", "topics_pk", "shared_logs_pk", "shared_log_topic_ix", "shared_log_gone_ix", "shared_items_pk"}
"""By which the shared log is looked up; `test_shared_plans.py` fills it."""

_FILL = f"""
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
SELECT 'default', ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'c', 't', '', 2, true, '[]', {START}
FROM generate_series(1, 5000) AS n;
INSERT INTO inbox_heads (tenant, user_id, epoch, version, floor, unread_count, unseen_count, created_at)
SELECT 'default', 'user-' || lpad(u::text, 5, '0'), 'e', 2, 0, 2, 2, {START} FROM generate_series(1, {USERS}) AS u;
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category)
SELECT 'default', 'user-' || lpad(u::text, 5, '0'), notifications.id, 1, 1, 1, {START}, 'c'
FROM generate_series(1, {USERS}) AS u, (SELECT id FROM notifications ORDER BY id LIMIT 2) AS notifications
ORDER BY notifications.id, u
"""  # noqa: S608 - numbers of our own


@pytest.fixture
async def filled(postgres_url: str) -> AsyncIterator[Database]:
    """A database just filled: two notifications to everybody, and no statistics yet."""
    database = await open_database(postgres_url)
    try:
        async with database.writer() as connection:
            await without_autovacuum(connection, TABLES)
            for statement in _FILL.split(";\n"):
                await connection.execute(text(statement))
        yield database
    finally:
        await database.close()


async def test_every_wish_is_looked_up_by_index(filled: Database) -> None:
    """One test, as filling takes longest."""
    await _plans(filled, {"inbox_items_pk", "inbox_items_version_ix"})
    async with filled.writer() as connection:
        for table in TABLES:
            await connection.execute(text(f"ANALYZE {table}"))
    # Of a full inbox, only what is later than the cursor is read.
    await _plans(filled, {"inbox_items_version_ix"})


async def _plans(database: Database, by: set[str]) -> None:
    """Check that one user's items are read by one of these indexes, and everything else by its key."""
    statements = inbox_catch_up._statements("postgresql")
    for wishes in (1, 20, 200):
        values = {
            "place": list(range(wishes)),
            "tenant": ["default"] * wishes,
            "user_id": [f"user-{number:05}" for number in range(wishes)],
            "version": [1] * wishes,
            "beyond": 501,
        }
        for generic in (False, True):
            heads = await explain(database, statements.heads, values, generic=generic)
            assert _of_items(heads) in by
            assert indexes(heads) == {"inbox_heads_pk", _of_items(heads), *LOG}
            _only_look_ups(heads)
            items = await explain(database, statements.items, values, generic=generic)
            assert _of_items(items) in by
            assert indexes(items) == {"notifications_pk", _of_items(items)}
            _only_look_ups(items)


def _of_items(plan: Plan) -> str:
    [node] = [node for node in plan if node.get("Relation Name") == "inbox_items"]
    assert "user_id" in node["Index Cond"]
    return str(node["Index Name"])


def _only_look_ups(plan: Plan) -> None:
    """No table is read whole, hashed or merged; what is sorted was looked up before."""
    assert scanned_whole(plan) == set()
    assert kinds(plan) - {"Seq Scan"} <= {
        "Aggregate",
        "Append",
        "Function Scan",
        "Index Only Scan",
        "Index Scan",
        "Limit",
        "Memoize",
        "Nested Loop",
        "Result",
        "Sort",
        "Subquery Scan",
    }


async def test_every_wish_is_looked_up_by_index_on_sqlite(sqlite_url: str) -> None:
    database = await open_database(sqlite_url)
    try:
        async with database.reader() as connection:
            wishes = json.dumps([[0, "default", "ada", 0], [1, "default", "grace", 0]])
            for statement in inbox_catch_up._statements("sqlite"):
                compiled = statement.compile(dialect=connection.dialect).construct_expanded_state(
                    {"wishes": wishes, "beyond": 501}
                )
                rows = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {compiled.statement}", tuple(compiled.positional_parameters)
                )
                steps = [row.detail for row in rows]
                assert not [step for step in steps if step.startswith(tuple(f"SCAN {table}" for table in TABLES))]
                assert [step for step in steps if "INDEX inbox_items_version_ix" in step and "version>?" in step]
    finally:
        await database.close()
