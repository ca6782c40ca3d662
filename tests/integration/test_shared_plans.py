"""How the databases read and mark shared items: by look-ups only, whatever the statistics say.

What is looked at are the statements that the store itself sends, and their plans, never clocks.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor
from hub.core.model import BROADCAST, InboxQuery, MarkAction, Selection
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.tables import metadata
from tests.support.clock import START
from tests.support.inboxes import publication
from tests.support.plans import Plan, nodes_of, scanned_whole, without_autovacuum
from tests.support.population import RARE, Population, fill, heavy, user

POPULATION = Population(users=500, heavy=200, own=20, shared=2_000)
NOW = START + 10**10
OTHERS = """
INSERT INTO topics (tenant, topic, position, items, created_at)
SELECT 'default', 'other-' || substr(notification_id::text, 1, 36), 0, 0, 1 FROM shared_log;
INSERT INTO deliveries (tenant, id, notification_id, user_id, position, step, channel, priority, unless, "when",
                        state, due_at, created_at)
SELECT 'default', gen_random_uuid(), notification_id, user_id, nullif(version % 2, 0), 0, 'email', 2, 2, 'always',
       'queued', 1, 1
FROM inbox_items
"""
GROWING = {
    "inbox_heads",
    "inbox_items",
    "notifications",
    "memberships",
    "topics",
    "shared_log",
    "shared_items",
    "shared_marks",
    "deliveries",
}

ALIASES = {"head", "member", "log", "state", "touched", "gone", "event", "item", "mark", "following", "content"}
"""What the store calls them in its statements."""

_WRITES = re.compile(r"\b(INSERT INTO|(?<!FOR )UPDATE \w+|DELETE FROM)\s")

Sent = dict[str, Sequence[Any]]
"""Statements, with the parameters of one of the times they were sent."""


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    """A population on PostgreSQL, with statistics that nobody renews."""
    async with await open_database(postgres_url) as database:
        async with database.writer() as connection:
            await without_autovacuum(connection, metadata.tables)
        await fill(postgres_url, POPULATION)
        async with database.writer() as connection:
            for statement in OTHERS.split(";\n"):
                await connection.exec_driver_sql(statement)
            await connection.exec_driver_sql("ANALYZE")
        yield database


async def test_whatever_the_statistics_say_shared_items_are_looked_up(postgres: Database) -> None:
    """One test, as filling takes longest."""
    sent = await workload(postgres)
    assert await _faults(postgres, sent) == []
    await _take_for_young(postgres)
    assert await _faults(postgres, sent) == []
    await _forget(postgres)
    # Of writes, `test_group_plans.py` tells: for many rows at once, to read all of a small table is no more work.
    reads = {statement: values for statement, values in sent.items() if _WRITES.search(statement) is None}
    assert await _faults(postgres, reads) == []


async def test_on_sqlite_shared_items_are_looked_up(sqlite_url: str) -> None:
    """SQLite plans by the indexes that there are: it has no statistics unless somebody runs ANALYZE."""
    await fill(sqlite_url, Population(users=60, heavy=60, own=20, shared=100))
    async with await open_database(sqlite_url) as database:
        sent = await workload(database)
        for statement, values in sent.items():
            async with database.reader() as connection:
                rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(values))
                steps = [row.detail for row in rows]
            assert [step for step in steps if not _is_look_up(step)] == [], statement


async def workload(database: Database) -> Sent:
    """Have the store do everything that has to do with shared items; returns what it sent to the database."""
    store, ada, grace = SqlInboxStore(database), heavy(1), heavy(2)
    with _listening(database) as sent:
        first = await store.page(ada, InboxQuery())
        last = first.items[-1]
        for query in (
            InboxQuery(after=(last.appeared_at, last.content.id)),
            InboxQuery(unread=True),
            InboxQuery(unread=False, unseen=False),
            InboxQuery(category=RARE),
            InboxQuery(category=RARE, after=(last.appeared_at, last.content.id)),
            InboxQuery(archived=True),
            InboxQuery(snoozed=True),
        ):
            await store.page(ada, query)
        head = await store.head(ada)
        shared = [item for item in first.items if item.position]
        await store.item(ada, shared[0].content.id)
        await store.versions([ada, grace])
        behind = Cursor(head.cursor.epoch, head.version - 2, head.position - 5)
        for count in (1, 50):
            await store.catch_up([(heavy(number), behind) for number in range(count)], 100)
        published = await store.publish(replace(publication(), users=(), audience=BROADCAST), NOW)
        await store.publish(replace(publication(), users=(), audience="topic-1"), NOW)
        for action in (MarkAction.DELIVERED, MarkAction.SEEN, MarkAction.READ, MarkAction.UNREAD, MarkAction.ARCHIVE):
            await store.mark(ada, action, Selection(ids=(published.id, shared[1].content.id)), NOW)
        for action in (MarkAction.SEEN, MarkAction.READ, MarkAction.UNREAD, MarkAction.ARCHIVE, MarkAction.DELIVERED):
            await store.mark(grace, action, Selection(all=True), NOW)
        await store.mark(user(1), MarkAction.SEEN, Selection(all=True, through=head.cursor), NOW)
        await store.recall("default", published.id, NOW)
        await store.mark(user(2), MarkAction.READ, Selection(all=True), NOW)
    return sent


@contextmanager
def _listening(database: Database) -> Iterator[Sent]:
    """Keep the statements that are sent meanwhile."""
    sent: Sent = {}

    def keep(_connection: Any, _cursor: Any, statement: str, values: Any, *_context: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "INSERT")):
            sent.setdefault(statement, values[0] if isinstance(values, list) else values)

    engines = (database._writing.sync_engine, database._reading.sync_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", keep)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", keep)


async def _take_for_young(database: Database) -> None:
    """Make PostgreSQL believe what it would know from when there were 20 users, one topic and one category.

    Of a key's only column but the tenant it knows that no two rows have the same, however many there are.
    """
    distinct = {"tenant": 1.0, "topic": 1.0, "category": 1.0, "user_id": 20.0}
    async with database.writer() as connection:
        for table in sorted(GROWING - {"inbox_heads", "topics"}):
            for column in distinct.keys() & metadata.tables[table].columns.keys():
                named = "'schemaname', 'public'::text, 'relname', $1::text, 'attname', $2::text, 'inherited', false"
                numbers = "'null_frac', 0::real, 'avg_width', 8, 'n_distinct', $3::real"
                await connection.exec_driver_sql(
                    "SELECT pg_clear_attribute_stats('public', $1, $2, false), "
                    f"pg_restore_attribute_stats({named}, {numbers})",
                    (table, column, distinct[column]),
                )


async def _forget(database: Database) -> None:
    """Take all statistics away, as of tables that were just filled."""
    async with database.writer() as connection:
        for table in metadata.tables:
            await connection.exec_driver_sql(f"SELECT pg_clear_relation_stats('public', '{table}')")
        await connection.exec_driver_sql("DELETE FROM pg_statistic WHERE starelid >= 16384")


async def _faults(database: Database, sent: Sent) -> list[tuple[str, str, str]]:
    """Find what is more than a look-up: where, how, in which statement."""
    faults = []
    for statement, values in sent.items():
        for generic in (False, True):
            async with database.writer() as connection:
                plan = await _explained(connection, statement, values, generic=generic)
            faults += [(table, "read whole", statement) for table in scanned_whole(plan) & GROWING]
            for node in plan:
                index, condition = node.get("Index Name"), node.get("Index Cond", "")
                if index is not None and not _looks_up(index, condition, node.get("Alias", "")):
                    faults.append((index, condition, statement))
    return faults


async def _explained(connection: AsyncConnection, statement: str, values: Sequence[Any], *, generic: bool) -> Plan:
    how = ", GENERIC_PLAN" if generic else ""
    found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON{how}) {statement}", tuple(values))
    return nodes_of(found.scalar_one())


def _is_look_up(step: str) -> bool:
    """Judge "SCAN <table>", or "SEARCH <table> USING INDEX <index> (<conditions>)"; everything else is no table's."""
    words = step.split()
    if words[0] not in {"SCAN", "SEARCH"} or words[1] not in GROWING | ALIASES:
        return True
    index = words[words.index("INDEX") + 1] if "INDEX" in words else ""
    conditions = step.partition("(")[2]
    if words[1] == _NEXT:
        return "position)>" in conditions
    if index in {"shared_log_topic_ix", "shared_log_live_ix", "shared_log_category_ix"}:
        return "position)>" in conditions and "position)<" in conditions
    if index == "sqlite_autoindex_shared_log_1":
        return "position=?" in conditions
    return words[0] == "SEARCH" and conditions.count("=?") + conditions.count(">?") + conditions.count("<?") > 1


_KEYS = {
    "shared_log_pk": '"position" = ',
    "shared_log_gone_ix": "topic",
    "shared_log_tombstones_ix": "topic",
    "shared_log_live_ix": r"ROW\(topic, .* > ROW.* <= ROW",
    "shared_log_topic_ix": r"ROW\(topic, .* > ROW.* <= ROW",
    "shared_log_category_ix": r"ROW\(category, .* > ROW.* <= ROW",
    "shared_logs_pk": "tenant",
    "topics_pk": "topic",
}
"""What the rows that an index leads to must have in common: more than their tenant."""


_NEXT = "following"
_KEYS_OF_ALIAS = {
    ("shared_log_topic_ix", _NEXT): r"ROW\(topic, .* > ROW",  # one event, that after a position: it needs no end
    ("shared_items_pk", "state"): '"position"',
}


def _looks_up(index: str, condition: str, alias: str) -> bool:
    of_alias = _KEYS_OF_ALIAS.get((index, alias.partition("_")[0]))
    if of_alias is not None:
        return re.search(of_alias, condition) is not None
    return re.search(_KEYS.get(index, r"\b(user_id|notification_id|id|appeared_at)\b"), condition) is not None
