from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction

from hub.core.errors import ConfigurationError, DataError, StoreUnavailable
from hub.store import engine
from hub.store.clock import DatabaseClock
from hub.store.engine import Database, open_database, sqlite_path
from hub.store.failures import CommitUnknown
from hub.store.inbox import SqlInboxStore
from hub.store.migrate import migrate
from hub.store.tables import meta
from tests.support.clock import START
from tests.support.inboxes import ADA, check_inbox, fill, missed, publication
from tests.support.ledger import Ledger

OPEN_ELSEWHERE = """
import asyncio, sys
from hub.store.engine import open_database
from hub.core.errors import ConfigurationError
try:
    asyncio.run(open_database(sys.argv[1]))
except ConfigurationError as error:
    print(error)
    sys.exit(3)
"""


END_SESSION_AT_COMMIT = (
    "CREATE SEQUENCE commits",
    """CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$""",
    """CREATE CONSTRAINT TRIGGER end_session AFTER INSERT ON notifications DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION end_session()""",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await open_database(database_url) as opened:
        yield opened


async def identity(url: str) -> str:
    async with await open_database(url) as opened:
        return opened.cluster


async def note(connection: AsyncConnection, name: str) -> str:
    await connection.execute(sa.insert(meta).values(name=name, value="x"))
    return name


async def noted(connection: AsyncConnection, name: str) -> str | None:
    found: str | None = (await connection.execute(sa.select(meta.c.name).where(meta.c.name == name))).scalar()
    return found


class TestSqliteFile:
    async def test_second_process_is_refused(self, sqlite_url: str) -> None:
        opened = await open_database(sqlite_url)
        second = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", OPEN_ELSEWHERE, sqlite_url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 3, second.stderr
        assert f"in use by another Bellwire process (pid {os.getpid()})" in second.stdout
        assert "BELLWIRE_DATABASE_URL" in second.stdout
        with pytest.raises(ConfigurationError, match="in use"):
            await open_database(sqlite_url)
        await opened.close()
        await (await open_database(sqlite_url)).close()

    async def test_visitor_may_look_and_changes_no_identity(self, sqlite_url: str) -> None:
        async with await open_database(sqlite_url) as opened:
            before = opened.cluster
            async with await open_database(sqlite_url, exclusive=False) as visitor:
                assert visitor.cluster == before
        assert await identity(sqlite_url) == before

    async def test_identity_stays_over_restarts(self, sqlite_url: str) -> None:
        assert await identity(sqlite_url) == await identity(sqlite_url)

    async def test_identity_changes_with_a_backup_put_back(self, sqlite_url: str, tmp_path: Path) -> None:
        before = await identity(sqlite_url)
        path, backup = sqlite_path(sqlite_url), tmp_path / "backup.db"
        shutil.copyfile(path, backup)
        assert await identity(sqlite_url) == before
        shutil.copyfile(backup, path)
        after = await identity(sqlite_url)
        assert after != before
        assert await identity(sqlite_url) == after

    async def test_identity_changes_with_a_backup_of_a_running_server(self, sqlite_url: str, tmp_path: Path) -> None:
        path, backup = sqlite_path(sqlite_url), tmp_path / "backup.db"
        async with await open_database(sqlite_url) as opened:
            before = opened.cluster
            await fill(SqlInboxStore(opened), 1)
            with (
                contextlib.closing(sqlite3.connect(path)) as source,
                contextlib.closing(sqlite3.connect(backup)) as target,
            ):
                source.backup(target)
            await fill(SqlInboxStore(opened), 1)
            cursor = (await SqlInboxStore(opened).head(ADA)).cursor
        shutil.copyfile(backup, path)
        async with await open_database(sqlite_url) as restored:
            assert restored.cluster != before
            assert (await missed(SqlInboxStore(restored), ADA, cursor, 9)).resync == "unknown_epoch"

    @pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
    async def test_identity_changes_when_the_file_beside_it_is_lost(self, sqlite_url: str, damage: str) -> None:
        before = await identity(sqlite_url)
        damage_marker(Path(f"{sqlite_path(sqlite_url)}.epoch"), damage)
        assert await identity(sqlite_url) != before

    async def test_readers_cannot_write(self, sqlite_url: str) -> None:
        async with await open_database(sqlite_url) as opened:
            with pytest.raises(StoreUnavailable):
                await opened.read(lambda connection: note(connection, "x"))

    async def test_settings_of_the_file(self, sqlite_url: str) -> None:
        async with await open_database(sqlite_url) as opened, opened.writer() as connection:
            assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
            assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2
            assert (await connection.exec_driver_sql("PRAGMA cache_size")).scalar() == -65_536
            assert (await connection.exec_driver_sql("PRAGMA wal_autocheckpoint")).scalar() == 4_000

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///", "mysql://x/y", "", "bellwire.db"])
    async def test_other_urls_are_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="sqlite:///"):
            await open_database(url)


def damage_marker(marker: Path, how: str) -> None:
    if how == "missing":
        marker.unlink()
    else:
        marker.write_bytes(b"" if how == "empty" else b"\xff\xfe")


class TestPostgres:
    async def test_unix_socket_url(self, postgres_url: str) -> None:
        plain = unquote(postgres_url)  # `?host=/path`, as people write it
        for url in (postgres_url, plain, plain.replace("postgresql://", "postgres://")):
            async with await open_database(url) as opened:
                assert (await SqlInboxStore(opened).head(ADA)).version == 0

    async def test_identity_is_the_clusters_and_the_databases(self, postgres_url: str, empty_postgres_url: str) -> None:
        assert await identity(postgres_url) == await identity(postgres_url)
        assert await identity(postgres_url) != await identity(empty_postgres_url)

    async def test_identity_where_the_server_does_not_tell(self, postgres_url: str) -> None:
        role = f"modest_{uuid4().hex}"
        async with await open_database(postgres_url) as opened:
            async with opened.writer() as connection:
                await connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
                await connection.exec_driver_sql(f"GRANT ALL ON meta TO {role}")
                await connection.exec_driver_sql("REVOKE ALL ON FUNCTION pg_control_system() FROM PUBLIC")
            try:
                modest = sa.make_url(postgres_url).set(username=role).render_as_string(hide_password=False)
                assert await identity(modest) == await identity(modest) != opened.cluster
            finally:
                async with opened.writer() as connection:
                    await connection.exec_driver_sql(f"DROP OWNED BY {role}")
                    await connection.exec_driver_sql(f"DROP ROLE {role}")

    async def test_no_such_database(self, postgres_url: str) -> None:
        wrong = sa.make_url(postgres_url).set(database="no_such_thing").render_as_string(hide_password=False)
        with pytest.raises(ConfigurationError, match="no_such_thing"):
            await open_database(wrong)

    async def test_nobody_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable):
            await open_database(f"postgresql://postgres:@/db?host={tmp_path}")

    async def test_lost_connections_are_made_up_for(self, postgres_url: str) -> None:
        async with await open_database(postgres_url) as opened:
            store = SqlInboxStore(opened)
            await fill(store, 1)
            await _end_sessions(postgres_url)
            assert (await store.publish(publication("ada", now=START + 1), START + 1)).heads["ada"].version == 2
            await _end_sessions(postgres_url)
            assert (await check_inbox(opened, ADA)).version == 2

    async def test_who_stands_still_within_a_transaction_loses_its_locks_and_repeats_it(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or what a stopped worker had just locked would wait for as long as it is stopped."""
        monkeypatch.setitem(engine._SERVER_SETTINGS, "idle_in_transaction_session_timeout", "500ms")
        pids: list[int] = []

        async def stand_still_once(connection: AsyncConnection) -> None:
            pids.append((await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one())
            await connection.execute(sa.text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
            if len(pids) == 1:
                await Ledger(postgres_url).until(
                    "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'deliveries'::regclass)"
                )
            await connection.execute(sa.text("SELECT 1"))

        async with await open_database(postgres_url) as database:
            await database.write(stand_still_once)
        assert len(set(pids)) == 2

    async def test_server_going_down_during_commit(self, postgres_url: str) -> None:
        """A trigger that fires at COMMIT ends its own session, the first time."""
        async with await open_database(postgres_url) as opened:
            async with opened.writer() as connection:
                for statement in END_SESSION_AT_COMMIT:
                    await connection.exec_driver_sql(statement)
            published = await SqlInboxStore(opened).publish(publication("ada"), START)
            assert published.heads["ada"].version == 1
            async with opened.reader() as connection:
                assert (await connection.exec_driver_sql("SELECT last_value FROM commits")).scalar() == 2
            assert (await check_inbox(opened, ADA)).version == 1


async def _end_sessions(url: str) -> None:
    """Cut every other connection to this database, as a restart of the server does."""
    async with await open_database(url) as other, other.writer() as connection:
        await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class TestTransactions:
    async def test_reads_are_one_snapshot(self, database: Database) -> None:
        async with database.reader() as connection:
            assert await noted(connection, "a") is None
            assert await database.write(lambda writing: note(writing, "a")) == "a"
            assert await noted(connection, "a") is None
        assert await database.read(lambda connection: noted(connection, "a")) == "a"

    async def test_errors_roll_back(self, database: Database) -> None:
        await database.write(lambda connection: note(connection, "a"))

        async def twice(connection: AsyncConnection) -> str:
            await note(connection, "b")
            return await note(connection, "a")

        with pytest.raises(DataError):
            await database.write(twice)
        assert await database.read(lambda connection: noted(connection, "b")) is None

    async def test_writes_side_by_side(self, database: Database) -> None:
        await asyncio.gather(*(database.write(partial(note, name=str(number))) for number in range(20)))
        reads = [database.read(partial(noted, name=str(number))) for number in range(20)]
        assert None not in await asyncio.gather(*reads)

    @pytest.mark.parametrize("stored", [True, False])
    async def test_unknown_commit_is_looked_up(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, *, stored: bool
    ) -> None:
        """The connection is lost during COMMIT; whether it came to be stored decides if the work is done again."""
        runs: list[str] = []
        commit = AsyncTransaction.commit

        async def lose(transaction: AsyncTransaction) -> None:
            monkeypatch.undo()
            await (commit(transaction) if stored else transaction.rollback())
            raise ConnectionResetError

        async def work(connection: AsyncConnection) -> str:
            runs.append("run")
            return await note(connection, "a")

        async def lookup(connection: AsyncConnection) -> str | None:
            runs.append("looked up")
            return await noted(connection, "a")

        monkeypatch.setattr(AsyncTransaction, "commit", lose)
        assert await database.write(work, lookup=lookup) == "a"
        assert runs == (["run", "looked up"] if stored else ["run", "looked up", "run"])

    async def test_gives_up_after_a_while(self, database: Database) -> None:
        async def never(_: AsyncConnection) -> None:
            raise ConnectionResetError

        with pytest.raises(StoreUnavailable) as failure:
            await database.write(never)
        assert not isinstance(failure.value, CommitUnknown)

    async def test_bugs_pass_through(self, database: Database) -> None:
        with pytest.raises(sa.exc.DBAPIError):
            await database.write(lambda connection: connection.exec_driver_sql("SELECT no_such_column"))

    async def test_close_twice(self, database_url: str) -> None:
        opened = await open_database(database_url)
        await opened.close()
        await opened.close()


class TestClock:
    async def test_is_the_databases(self, database: Database) -> None:
        clock = DatabaseClock(database)
        await clock.sync()
        if database.dialect == "postgresql":
            async with database.reader() as connection:
                theirs = (await connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
            assert abs(clock.now() - int(theirs * 1000)) < 5_000
        assert clock.now() > START - 10**11

    async def test_never_goes_backwards(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = DatabaseClock(database)
        await clock.sync()
        before = clock.now()
        monkeypatch.setattr(clock, "_offset", clock._offset - 3_600_000)
        assert clock.now() == before
        await clock.sync()
        assert clock.now() >= before


async def test_a_second_process_that_must_stand_alone_is_refused(postgres_url: str) -> None:
    async with await open_database(postgres_url) as first:
        await first.stand_alone()
        async with await open_database(postgres_url) as second:
            with pytest.raises(ConfigurationError, match="BELLWIRE_REDIS_URL"):
                await second.stand_alone()
        await first.identify()  # holds on to it
    async with await open_database(postgres_url) as third:
        await third.stand_alone()


async def test_the_lock_of_the_only_process_is_taken_again_after_a_lost_connection(postgres_url: str) -> None:
    async with await open_database(postgres_url) as first, await open_database(postgres_url) as second:
        await first.stand_alone()
        async with second.writer() as connection:
            await connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                    "(SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        await first.identify()
        with pytest.raises(ConfigurationError):
            await second.stand_alone()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:sesame#1@127.0.0.1:1/db",
        "postgresql://u:sesame/1@127.0.0.1:1/db",
        "postgresql://u:sesame@127.0.0.1:port/db",
        "postgresql://u:sesame@[::1/db",
        "postgresql://u:sesame@127.0.0.1:1/db?sslmode=some",
    ],
)
async def test_a_url_that_cannot_be_read_is_told_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be understood") as refused:
        await open_database(url)
    assert "sesame" not in str(refused.value)
    assert refused.value.__suppress_context__, "the driver's own words quote the URL"


async def test_a_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bellwire.db'}"
    mask = os.umask(0o022)
    try:
        await migrate(url)
        async with await open_database(url):
            open_to_others = _open_to_others(tmp_path)
    finally:
        os.umask(mask)
    assert open_to_others == ["bellwire.db.epoch"], "and that is a random mark"


def _open_to_others(directory: Path) -> list[str]:
    assert (directory / "bellwire.db-wal").exists()
    return [file.name for file in directory.iterdir() if file.stat().st_mode & 0o077]
