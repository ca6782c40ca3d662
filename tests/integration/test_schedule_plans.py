"""Schedules on PostgreSQL: rows that others hold are passed over, and what is due is found by an index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from hub.core.errors import RunTaken
from hub.core.model import Published
from hub.store import inbox_publish
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.inbox_publish import Publish
from hub.store.schedules import SqlScheduleStore
from tests.support.clock import START
from tests.support.schedules import HOUR, added, move_of, run_of


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as opened:
        yield opened


@pytest.fixture
def made(database: Database) -> SqlScheduleStore:
    return SqlScheduleStore(database)


@pytest.fixture
def store(database: Database) -> SqlInboxStore:
    return SqlInboxStore(database)


async def test_who_stopped_in_the_middle_holds_nobody_up(
    made: SqlScheduleStore, store: SqlInboxStore, database: Database
) -> None:
    held, other = await added(made), await added(made)
    async with database.writer() as stopped:
        await inbox_publish.store(stopped, [Publish(run_of(held), START + HOUR)], database.cluster)
        # Heads are waited for as ever, so to others.
        async with asyncio.timeout(20):
            to_others = replace(run_of(other), users=("zoe",))
            outcomes = await store.publish_all([run_of(held), to_others], START + HOUR)
            assert list(await made.move([move_of(held)])) == [False]
        assert [type(outcome) for outcome in outcomes] == [RunTaken, Published]
    assert len(await made.log("default", held.id)) == 1


async def test_due_schedules_are_found_by_an_index(made: SqlScheduleStore, database: Database) -> None:
    due = "next_at IS NOT NULL AND paused_at IS NULL AND next_at <= 5 ORDER BY next_at, tenant, id LIMIT 9"
    async with database.reader() as connection:
        plan = "\n".join((await connection.execute(sa.text(f"EXPLAIN SELECT * FROM schedules WHERE {due}"))).scalars())  # noqa: S608 - ours
    assert "schedules_due_ix" in plan
    assert "Sort" not in plan
