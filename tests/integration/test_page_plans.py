"""How PostgreSQL reads a page: by one plan for all calls, which reads as much however much the tables hold.

That it is all look-ups, there and on SQLite, is in `test_shared_plans.py`. Looks at plans and at what was read, never
at clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import pytest

from hub.core.model import InboxQuery
from hub.store import inbox_page
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.page_sql import Shape
from tests.support.plans import explain, read_blocks
from tests.support.population import RARE, Population, fill, heavy

POPULATION = Population(users=300, heavy=3, own=600, shared=600)
CROWD = """
INSERT INTO inbox_heads (tenant, user_id, epoch, version, floor, unread_count, unseen_count, created_at)
SELECT tenant, user_id || '-' || n, epoch, version, floor, unread_count, unseen_count, created_at
FROM inbox_heads, generate_series(1, 10) AS n WHERE user_id LIKE 'user-%';
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category)
SELECT tenant, user_id || '-' || n, notification_id, state, version, since, appeared_at, category
FROM inbox_items, generate_series(1, 10) AS n WHERE user_id LIKE 'user-%';
INSERT INTO memberships (tenant, user_id, topic, joined)
SELECT tenant, user_id || '-' || n, topic, joined FROM memberships, generate_series(1, 10) AS n;
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
SELECT tenant, gen_random_uuid(), category, title, body, priority, inbox, plan, created_at
FROM notifications, generate_series(1, 10) AS n;
ANALYZE
"""
"""Ten times as many others."""

MORE = 1.5
"""Times as much may be read, as an index of more rows may be a level higher."""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    await fill(postgres_url, POPULATION)
    async with await open_database(postgres_url) as opened:
        yield opened


async def test_a_plan_for_one_call_looks_like_the_one_for_all(database: Database) -> None:
    """Where one looks better, PostgreSQL makes a plan for each call, and that takes longer than to read the page."""
    for kind, query in _kinds(await _last(database)).items():
        statement = inbox_page._statement("postgresql", Shape.of(query))
        values = inbox_page._values("postgresql", heavy(1), query)
        custom, generic = [
            (await explain(database, statement, values, generic=generic))[0]["Total Cost"] for generic in (False, True)
        ]
        assert custom == generic, kind


async def test_a_page_reads_as_much_among_ten_times_as_many_users(database: Database) -> None:
    kinds = _kinds(await _last(database))
    alone = await _blocks(database, kinds)
    async with database.writer() as connection:
        for statement in CROWD.split(";\n"):
            await connection.exec_driver_sql(statement)
    for kind, blocks in (await _blocks(database, kinds)).items():
        assert blocks <= MORE * alone[kind], kind


async def test_a_list_of_a_category_reads_no_rows_of_others(database: Database) -> None:
    query = InboxQuery(category=RARE)
    for generic in (False, True):
        values = inbox_page._values("postgresql", heavy(1), query)
        plan = await explain(database, inbox_page._statement("postgresql", Shape.of(query)), values, generic=generic)
        [items] = [node for node in plan if node.get("Relation Name") == "inbox_items"]
        assert items["Index Name"] == "inbox_items_list_ix"
        assert "category = " in items["Index Cond"]


def _kinds(last: tuple[int, UUID]) -> Mapping[str, InboxQuery]:
    return {
        "first": InboxQuery(),
        "after another": InboxQuery(after=last),
        "unread": InboxQuery(unread=True),
        "read": InboxQuery(unread=False),
        "of a category": InboxQuery(category="category-3"),
        "of a rare category": InboxQuery(category=RARE),
        "archived": InboxQuery(archived=True),
        "archived and unseen": InboxQuery(unseen=True, archived=True),
        "snoozed": InboxQuery(snoozed=True),
    }


async def _last(database: Database) -> tuple[int, UUID]:
    item = (await SqlInboxStore(database).page(heavy(1), InboxQuery())).items[-1]
    return item.appeared_at, item.content.id


async def _blocks(database: Database, kinds: Mapping[str, InboxQuery]) -> dict[str, int]:
    """Count the blocks that each of the pages looks at, by the plan that serves all calls."""
    return {
        kind: await read_blocks(
            database,
            inbox_page._statement("postgresql", Shape.of(query)),
            inbox_page._values("postgresql", heavy(1), query),
        )
        for kind, query in kinds.items()
    }
