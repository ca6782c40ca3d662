"""The clock over real databases, on a machine whose own clock is set."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hub.store import clock as module
from hub.store.clock import DatabaseClock
from hub.store.engine import open_database

HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.mark.parametrize("by", [DAY, -DAY])
async def test_on_postgres_the_machines_own_clock_does_not_matter(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, by: int
) -> None:
    """Nothing is sent early, no lease ends, and no schedule fires because of it."""
    wall = module._wall_ms
    async with await open_database(postgres_url) as database:
        clock = DatabaseClock(database)
        await clock.sync()
        monkeypatch.setattr(module, "_wall_ms", lambda: wall() + by)
        await clock.sync()
        started_then = DatabaseClock(database)
        await started_then.sync()
        async with database.reader() as connection:
            now = (
                await connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp()) * 1000"))
            ).scalar_one()
        for each in (clock, started_then):
            assert abs(each.now() - now) < HOUR


@pytest.mark.parametrize("by", [DAY, -DAY])
async def test_on_sqlite_it_is_followed_but_never_back(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, by: int
) -> None:
    wall = module._wall_ms
    async with await open_database(sqlite_url) as database:
        clock = DatabaseClock(database)
        await clock.sync()
        before = clock.now()
        monkeypatch.setattr(module, "_wall_ms", lambda: wall() + by)
        assert clock.now() - before < HOUR, "a jump is seen at the next look, not in between"
        await clock.sync()
        assert before + max(by, 0) <= clock.now() < before + max(by, 0) + HOUR
