"""How the databases find what groups of publishes and marks are about: by index, whatever the statistics say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from hub.core.model import InboxQuery
from hub.store import heads, inbox_page, mark_reads, shared_append, shared_heads
from hub.store.bulk import _for_postgres, _for_sqlite, _Kind, _Shape
from hub.store.engine import Database, open_database
from hub.store.keyed import KeyedQuery
from hub.store.page_sql import Shape
from hub.store.tables import deliveries, inbox_heads, inbox_items, metadata
from tests.support.inboxes import ADA
from tests.support.plans import Plan, explain, indexes, nodes_of, scanned_whole, without_autovacuum

SIZES = (1, 64, 500, 2_000)
ID = "00000000-0000-7000-8000-000000000001"
ITEM = {"inbox_items_pk", "inbox_items_notification_ix", "inbox_items_version_ix", "inbox_items_list_ix"}
"""The last of one user's items at most, where there are no statistics to tell that another is better."""
LOG = {
    "memberships_pk",
    "shared_items_pk",
    "shared_log_gone_ix",
    "shared_log_pk",
    "shared_log_topic_ix",
    "shared_logs_pk",
    "topics_pk",
}
EMPTY = {"memberships", "shared_items", "shared_logs", "topics"}
"""Here; to read all of nothing is quickest."""
LOOK_UPS: dict[str, tuple[KeyedQuery, Sequence[object], set[str]]] = {
    "lock heads": (heads._LOCK, ["default", "ada"], {"inbox_heads_pk", "shared_logs_pk"}),
    "read heads": (heads._READ, ["default", "ada"], {"inbox_heads_pk", *LOG}),
    "floors": (shared_heads._FLOORS, ["default", "ada"], {"inbox_heads_pk", *LOG}),
    "items": (mark_reads._ITEMS, ["default", "ada", ID], ITEM),
    "undelivered": (
        mark_reads._UNDELIVERED,
        ["default", "ada", ID, 0],
        ITEM | {"notifications_pk"},
    ),
    "needless": (
        mark_reads._NEEDLESS,
        ["default", "ada", ID, 2, 0],
        ITEM | {"deliveries_pending_user_ix", "deliveries_user_step_uq", "shared_log_notification_ix"},
    ),
    "lock deliveries": (mark_reads._LOCK, ["default", ID], {"deliveries_pk"}),
    "what a collapse key replaces": (shared_append._STANDING, ["default", "t", "key-7"], {"shared_log_collapse_ix"}),
}
UPDATES: dict[str, tuple[_Shape, Sequence[object]]] = {
    "heads": (_Shape(inbox_heads, ("tenant", "user_id", "version"), _Kind.UPDATE), ["default", "ada", 1]),
    "items": (
        _Shape(inbox_items, ("tenant", "user_id", "notification_id", "version"), _Kind.UPDATE),
        ["default", "ada", ID, 1],
    ),
    "deliveries": (_Shape(deliveries, ("tenant", "id", "state"), _Kind.UPDATE), ["default", ID, "cancelled"]),
}
_FILL = """
INSERT INTO inbox_heads (tenant, user_id, epoch, version, floor, unread_count, unseen_count, created_at)
SELECT 'default', 'user-' || n, 'e', 1, 0, 1, 1, 1 FROM generate_series(1, 5000) AS n;
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category)
SELECT 'default', user_id, gen_random_uuid(), 1, 1, 1, 1, 'c' FROM inbox_heads;
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
SELECT 'default', notification_id, 'c', 't', '', 2, true, '[]', 1 FROM inbox_items;
INSERT INTO deliveries (tenant, id, notification_id, user_id, step, channel, priority, unless, "when", state, due_at,
                        created_at)
SELECT 'default', gen_random_uuid(), notification_id, user_id, 0, 'email', 2, 2, 'always', 'queued', 1, 1
FROM inbox_items;
INSERT INTO shared_log (tenant, position, kind, topic, previous, ordinal, notification_id, category, appeared_at,
                        collapse_key)
SELECT 'default', n, 0, 't', n - 1, n, gen_random_uuid(), 'c', n, 'key-' || n FROM generate_series(1, 5000) AS n
"""


@pytest.fixture
async def filled(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as database:
        async with database.writer() as connection:
            filled = ("inbox_heads", "inbox_items", "notifications", "deliveries", "shared_log")
            await without_autovacuum(connection, filled)
            for statement in _FILL.split(";\n"):
                await connection.exec_driver_sql(statement)
        yield database


async def test_keys_are_looked_up_by_index(filled: Database) -> None:
    for analysed in (False, True):
        if analysed:
            async with filled.writer() as connection:
                await connection.exec_driver_sql("ANALYZE")
        for name, (query, key, allowed) in LOOK_UPS.items():
            for plan in await _plans(filled, query._postgres, key):
                assert scanned_whole(plan) <= EMPTY, name
                assert indexes(plan) <= allowed, name
                for node in plan:
                    if node.get("Index Name") in {None, "shared_logs_pk"}:
                        continue  # of logs a tenant has but one
                    # By the whole key, and not by the tenant alone.
                    assert node["Index Cond"].count(" AND ") >= 1, (name, node)


async def test_rows_of_large_tables_are_updated_by_index(filled: Database) -> None:
    """Which a small table need not be: there to read all of it is no more work."""
    async with filled.writer() as connection:
        await connection.exec_driver_sql("ANALYZE")
        await connection.exec_driver_sql(
            "UPDATE pg_class SET reltuples = 1e8 WHERE relname IN ('inbox_heads', 'inbox_items', 'deliveries')"
        )
    for name, (shape, row) in UPDATES.items():
        for plan in await _plans(filled, _for_postgres((shape,)), row):
            assert scanned_whole(plan) == set(), name


async def test_pages_do_not_walk_over_what_went(filled: Database, sqlite_url: str) -> None:
    """A topic whose items replace each other has few that are there among many that are not."""
    queries = {"shared_log_live_ix": InboxQuery(), "shared_log_category_ix": InboxQuery(category="c")}
    async with filled.writer() as connection:
        await connection.exec_driver_sql(
            "UPDATE shared_log SET gone_at_position = position + 1 WHERE position % 50 > 0"
        )
    for analysed in (False, True):
        if analysed:
            async with filled.writer() as connection:
                await connection.exec_driver_sql("ANALYZE")
        for index, query in queries.items():
            page = inbox_page._statement("postgresql", Shape.of(query))
            given = inbox_page._values("postgresql", ADA, query)
            for generic in (False, True):
                plan = await explain(filled, page, given, generic=generic)
                walked = {
                    node["Index Name"]
                    for node in plan
                    if node.get("Alias") == "log" and "topic" in node.get("Index Cond", "")
                }
                assert walked == {index}
    async with await open_database(sqlite_url) as database, database.reader() as connection:
        for index, query in queries.items():
            page = sa.text(f"EXPLAIN QUERY PLAN {inbox_page._statement('sqlite', Shape.of(query))}")
            rows = await connection.execute(page, inbox_page._values("sqlite", ADA, query))
            assert any(index in row.detail for row in rows)


async def _plans(database: Database, statement: str, row: Sequence[object]) -> list[Plan]:
    """Explain it for few and many keys, looking at them and not."""
    plans = []
    async with database.writer() as connection:
        await connection.exec_driver_sql(f"PREPARE tried AS {statement}")
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.exec_driver_sql(f"SET LOCAL plan_cache_mode = {mode}")
            for size in SIZES:
                arrays = ", ".join(f"'{{{','.join([str(value)] * size)}}}'" for value in row)
                found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) EXECUTE tried({arrays})")
                plans.append(nodes_of(found.scalar_one()))
        await connection.exec_driver_sql("DEALLOCATE tried")
    return plans


async def test_rows_are_found_by_index_on_sqlite(sqlite_url: str) -> None:
    async with await open_database(sqlite_url) as database, database.reader() as connection:
        statements: list[tuple[str, tuple[Any, ...]]] = [
            (query._sqlite, (json.dumps([key]),)) for query, key, _ in LOOK_UPS.values()
        ]
        statements += [(_for_sqlite(shape), tuple(row)) for shape, row in UPDATES.values()]
        for statement, values in statements:
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            steps = [row.detail.split() for row in rows]
            assert any("INDEX" in step for step in steps), steps
            # "SCAN <table>" or "SEARCH <table> USING INDEX …"; the rest is of subqueries, and of what has no table.
            of_tables = [
                step for step in steps if len(step) > 1 and step[1] in {*metadata.tables, "member", "gone", "log"}
            ]
            assert of_tables, steps
            assert all(step[0] == "SEARCH" for step in of_tables), steps
