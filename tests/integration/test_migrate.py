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
from hub.store.engine import open_database
from hub.store.migrate import HEAD_REVISION, MIGRATIONS, migrate, schema_is_current
from hub.store.tables import metadata


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
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with await open_database(database_url) as database, database.reader() as connection:
        assert await connection.run_sync(differences) == []
        if database.dialect == "postgresql":  # collations are not part of what alembic compares
            columns = await connection.exec_driver_sql(
                "SELECT table_name || '.' || column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND collation_name = 'C'"
            )
            assert set(columns.scalars()) == {
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
