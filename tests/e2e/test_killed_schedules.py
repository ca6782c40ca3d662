"""Workers that are killed while schedules fire: each due time is published once, neither twice nor never."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from hub.core.model import InboxKey
from hub.store.clock import DatabaseClock
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.schedules import SqlScheduleStore
from hub.store.tables import inbox_heads, notifications
from tests.support.locks import until_one_waits
from tests.support.process import BellwireProcess
from tests.support.schedules import added, found, interval_of, schedule

PATIENCE = 30.0
SCHEDULES = 30


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as opened:
        yield opened


@pytest.fixture
def env(postgres_url: str, flushed_redis_url: str) -> dict[str, str]:
    return {
        "BELLWIRE_ENV": "production",
        "BELLWIRE_DATABASE_URL": postgres_url,
        "BELLWIRE_REDIS_URL": flushed_redis_url,
    }


async def test_workers_killed_while_many_fire(database: Database, env: dict[str, str], postgres_url: str) -> None:
    """One is killed within the transaction of a run, another while two of them fire what is due every second."""
    store, clock = SqlScheduleStore(database), DatabaseClock(database)
    await clock.sync()
    await SqlInboxStore(database).head(InboxKey("default", "ada"))
    made = [
        await added(
            store,
            schedule(
                now=clock.now(),
                every=1,
                missed="all",
                notification={"recipients": ["ada"], "title": "t", "category": f"schedule-{number}"},
            ),
        )
        for number in range(SCHEDULES)
    ]
    first, second, third = (BellwireProcess("worker", env=env) for _ in range(3))
    try:
        held = sa.select(inbox_heads).where(inbox_heads.c.user_id == "ada").with_for_update()
        async with database.writer() as in_the_way:
            await in_the_way.execute(held)
            await asyncio.to_thread(first.start)
            await until_one_waits(postgres_url)
            await asyncio.to_thread(first.kill)
        assert await _published(database) == {}, "killed half-way through: nothing is stored"
        await asyncio.gather(asyncio.to_thread(second.start), asyncio.to_thread(third.start))
        await _until_published(database, 2 * SCHEDULES)
        await asyncio.to_thread(second.kill)
        before = (await _published(database)).total()
        await _until_published(database, before + 2 * SCHEDULES)
    finally:
        # Out of the middle of whatever they do: what is committed by then has to add up.
        for worker in (first, second, third):
            await asyncio.to_thread(worker.kill)
    published = await _published(database)
    for number, one in enumerate(made):
        now = await found(store, one.id)
        times = (now.dealt_with - interval_of(one).start) // 1_000
        assert times > 0
        assert published[f"schedule-{number}"] == times
        log = await store.log("default", one.id)
        assert [entry.due_at for entry in log] == [now.dealt_with - 1_000 * age for age in range(len(log))]


async def _published(database: Database) -> Counter[str]:
    async with database.reader() as connection:
        rows = await connection.execute(sa.select(notifications.c.category, sa.func.count()).group_by("category"))
        return Counter({row[0]: row[1] for row in rows})


async def _until_published(database: Database, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await _published(database)).total() < count:
            pass
