from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hub.core.errors import ConfigurationError
from hub.core.model import InboxQuery
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from hub.store.migrate import HEAD_REVISION, MIGRATIONS, migrate, schema_is_current
from hub.store.partitions import included, whole_of
from hub.store.tables import metadata
from tests.support.clock import START
from tests.support.inboxes import ADA, publication

_STORED_BY_0002 = """
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
VALUES ('default', '00000000000070008000000000000001', 'c', 't', '', 2, true, '[]', 1);
INSERT INTO inbox_heads (tenant, user_id, epoch, version, floor, unread_count, unseen_count, created_at)
VALUES ('default', 'ada', 'e', 1, 0, 1, 1, 1);
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category)
VALUES ('default', 'ada', '00000000000070008000000000000001', 1, 1, 1, 1, 'c');
INSERT INTO wakeups (id, tenant, heads, created_at)
VALUES ('00000000000070008000000000000002', 'default', '[["ada", 1]]', 1)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new folder' / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


def test_head_revision_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


async def test_migrations_make_exactly_the_tables(database_url: str) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True, "include_name": included}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with await open_database(database_url) as database, database.reader() as connection:
        assert await connection.run_sync(differences) == []
        if database.dialect == "postgresql":  # collations are not part of what alembic compares
            columns = await connection.exec_driver_sql(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND collation_name = 'C'"
            )
            assert {f"{whole_of(row.table_name)}.{row.column_name}" for row in columns} == {
                str(column)
                for table in metadata.sorted_tables
                for column in table.columns
                if 'COLLATE "C"' in column.type.compile(connection.dialect)
            }


async def test_empty_database(empty_url: str) -> None:
    async with await open_database(empty_url) as database:
        assert not await schema_is_current(database)
        if database.dialect == "sqlite":
            with pytest.raises(ConfigurationError, match="bellwire migrate"):
                _ = database.cluster
        await migrate(empty_url)
        assert await schema_is_current(database)
        await database.identify()
        assert database.cluster


async def test_what_an_older_version_stored_is_kept(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From each revision: an inbox and its notification come through, and go on working."""
    with monkeypatch.context() as older:
        older.setattr("hub.store.migrate.HEAD_REVISION", "0002")
        await migrate(empty_url)
    async with await open_database(empty_url) as database:
        async with database.writer() as connection:
            for statement in _STORED_BY_0002.split(";\n"):
                await connection.exec_driver_sql(statement)
        assert not await schema_is_current(database)
    await migrate(empty_url)
    async with await open_database(empty_url) as database:
        assert await schema_is_current(database)
        store = SqlInboxStore(database)
        await store.publish(publication("ada"), START)
        page = await store.page(ADA, InboxQuery())
        assert [item.content.title for item in page.items] == ["Hello", "t"]
        assert (page.head.version, page.head.counts, page.head.position) == (2, (2, 2), 0)
        [told, left] = await store.leftover_wakeups(START + 1, 10)
        assert [(list(wakeup.heads), list(wakeup.shared)) for wakeup in (told, left)] == [
            ([(ADA, 1)], []),
            ([(ADA, 2)], []),
        ]


async def test_again_and_side_by_side(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    await migrate(empty_url)
    async with await open_database(empty_url) as database:
        assert await schema_is_current(database)


async def test_database_of_a_newer_version_is_refused(database_url: str) -> None:
    async with await open_database(database_url) as database:
        async with database.writer() as connection:
            await connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from the future'")
        assert not await schema_is_current(database)
        with pytest.raises(ConfigurationError, match="another version"):
            await migrate(database_url)


def test_asking_whether_it_is_current_needs_no_alembic() -> None:
    code = "import sys, hub.store.migrate, hub.store.inbox; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await migrate("sqlite:///relative.db")
    assert (tmp_path / "relative.db").exists()
