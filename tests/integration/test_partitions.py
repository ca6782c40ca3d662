"""Monthly partitions on PostgreSQL: always room for what comes, whatever the clock says; what is empty is dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from hub.core.ids import uuid7
from hub.core.months import Month
from hub.store import partitions
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.migrate import migrate
from hub.store.retention import SqlRetention
from tests.support.archive import DAY, MemoryShelf, archive
from tests.support.clock import START
from tests.support.inboxes import ADA, EMAIL_UNLESS_SEEN, check_inbox, publication

YEAR = 365 * DAY


def at(year: int, month: int, day: int = 15) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as opened:
        yield opened


async def names(database: Database, table: str = "notifications") -> list[str]:
    async with database.reader() as connection:
        found = await connection.execute(
            sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass)"),
            {"table": table},
        )
        return sorted(name.removeprefix(f"{table}_") for name in found.scalars())


async def rows_of(database: Database, partition: str) -> int:
    async with database.reader() as connection:
        return int((await connection.execute(sa.text(f"SELECT count(*) FROM {partition}"))).scalar_one())  # noqa: S608


async def publish(store: SqlInboxStore, moment: int) -> None:
    await store.publish(publication("ada", now=moment, plan=[EMAIL_UNLESS_SEEN]), moment)


def test_months() -> None:
    assert Month.of(at(2027, 12, 31)) == (2027, 12)
    assert [str(Month(2027, 11).later(ahead)) for ahead in (0, 1, 2, 14)] == ["202711", "202712", "202801", "202901"]
    new_year = at(2028, 1, 1)
    assert uuid7(new_year - 1) < Month(2028, 1).first_id <= uuid7(new_year)


async def test_there_is_room_for_three_months_ahead(database: Database) -> None:
    await partitions.keep(database, at(2030, 11))
    ahead = ["203011", "203012", "203101", "203102"]
    for table in partitions.KEYS:
        assert await names(database, table) == [*ahead, "rest"], "what there was before is empty, and gone"
    await partitions.keep(database, at(2030, 11))
    await partitions.keep(database, at(2030, 12))
    assert await names(database) == [*ahead[1:], "203103", "rest"]


async def test_everything_finds_its_place(database: Database) -> None:
    store = SqlInboxStore(database)
    await partitions.keep(database, at(2030, 11))
    for moment in (at(2030, 11), at(2031, 2), at(2040, 1), at(2020, 1)):
        await publish(store, moment)
    assert [await rows_of(database, f"notifications_{part}") for part in ("203011", "203102", "rest")] == [1, 1, 2]
    head = await check_inbox(database, ADA)
    assert head.counts == (4, 4)


async def test_a_clock_that_jumps_years_ahead_and_back(database: Database) -> None:
    store = SqlInboxStore(database)
    await publish(store, at(2030, 1))  # before anybody made room
    await partitions.keep(database, at(2045, 6))
    await publish(store, at(2045, 6))
    await partitions.keep(database, at(2030, 1))
    await publish(store, at(2030, 3))
    for moment in (at(2030, 1), at(2045, 6), at(2030, 4)):
        await partitions.keep(database, moment)
        await publish(store, moment)
    assert (await check_inbox(database, ADA)).counts == (6, 6)
    # That month had rows among the rest already, so it stays there; the next ones have places of their own.
    assert "203001" not in await names(database)
    assert await rows_of(database, "notifications_203003") == 1


async def test_a_month_is_dropped_once_it_is_empty(database: Database) -> None:
    store = SqlInboxStore(database)
    await partitions.keep(database, at(2030, 11))
    await publish(store, at(2030, 11))
    await publish(store, at(2030, 12))
    later = at(2031, 6)
    await partitions.keep(database, later)
    assert {"203011", "203012"} <= set(await names(database))
    async with database.writer() as connection:
        await connection.exec_driver_sql("UPDATE deliveries SET state = 'sent', finished_at = 1")
    await archive(database, MemoryShelf(), older_than=at(2030, 12, 1), now=later)
    await partitions.keep(database, later)
    assert "203011" not in await names(database)
    assert "203012" in await names(database)
    assert (await check_inbox(database, ADA)).counts == (1, 1)


async def test_nobody_waits_for_long(database: Database) -> None:
    """While somebody reads, nothing is dropped; nobody queues up behind the attempt."""
    await partitions.keep(database, at(2030, 11))
    async with database.reader() as connection:
        await connection.exec_driver_sql("SELECT 1 FROM notifications LIMIT 1")
        await SqlRetention(database).keep_room(at(2031, 6))
        assert "203011" in await names(database)
        await publish(SqlInboxStore(database), at(2031, 6))
    await SqlRetention(database).keep_room(at(2031, 6))
    assert "203011" not in await names(database)


async def test_one_at_a_time(database: Database) -> None:
    async with database.writer() as connection:
        assert await partitions._alone(connection)
        before = await names(database)
        await partitions.keep(database, at(2030, 11))
        assert await names(database) == before


async def test_rows_of_before_become_the_first_partition(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose ids are ahead of the time."""
    with monkeypatch.context() as older:
        older.setattr("hub.store.migrate.HEAD_REVISION", "0005")
        await migrate(empty_postgres_url)
    ahead = START + 20 * YEAR
    async with await open_database(empty_postgres_url) as database:
        async with database.writer() as connection:
            for moment in (START - 10 * YEAR, ahead):
                await connection.execute(
                    sa.text(
                        "INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan,"
                        " created_at) VALUES ('default', :id, 'c', 't', '', 2, true, '[]', 1)"
                    ),
                    {"id": uuid7(moment)},
                )
        await migrate(empty_postgres_url)
        assert await names(database) == ["first", "rest"]
        assert await rows_of(database, "notifications_first") == 2
        await partitions.keep(database, START)
        assert await names(database) == ["first", "rest"], "it has room for these months"
        await partitions.keep(database, ahead)
        assert len(await names(database)) == 2 + partitions.AHEAD
        store = SqlInboxStore(database)
        await store.publish(publication("ada"), START)
        assert await rows_of(database, "notifications_first") == 3


async def test_and_one_table_again(postgres_url: str) -> None:
    """A downgrade copies all partitions together."""
    from alembic import command  # noqa: PLC0415 - takes a while
    from alembic.config import Config  # noqa: PLC0415

    from hub.store.migrate import MIGRATIONS  # noqa: PLC0415

    async with await open_database(postgres_url) as database:
        await partitions.keep(database, at(2030, 11))
        for moment in (START, at(2030, 11)):
            await publish(SqlInboxStore(database), moment)

        def downgrade(connection: sa.Connection) -> None:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.downgrade(config, "0005")

        async with database.writer() as connection:
            await connection.run_sync(downgrade)
        assert await rows_of(database, "notifications") == 2
        assert await names(database) == []
    await migrate(postgres_url)
