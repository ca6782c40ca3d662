"""Bringing a database to the newest schema. Start-up asks only `schema_is_current`, which needs no alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import ConfigurationError
from hub.store.engine import Database, open_database
from hub.store.identity import has_table

HEAD_REVISION = "0015"
"""The newest revision in `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"

_ADVISORY_LOCK = 0x62656C6C77697265
"""`bellwire`: the key of PostgreSQL's advisory lock that lets one process migrate at a time."""


async def schema_is_current(database: Database) -> bool:
    """Tell whether the database has exactly the schema that this code was written for."""

    async def revision(connection: AsyncConnection) -> str | None:
        if not await has_table(connection, "alembic_version"):
            return None
        found: str | None = (await connection.execute(sa.text("SELECT version_num FROM alembic_version"))).scalar()
        return found

    return await database.read(revision) == HEAD_REVISION


async def migrate(url: str) -> None:
    """Bring the database to the newest schema, in one transaction. Of processes that start at once, one does it.

    Raises:
        ConfigurationError: the database was made by a newer version, or does not let us in.
        StoreUnavailable: the database cannot be reached.

    """
    database = await open_database(url, exclusive=False)
    try:
        await database.write(_upgrade)
    finally:
        await database.close()


async def _upgrade(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        # On SQLite the write transaction itself (BEGIN IMMEDIATE) keeps others out.
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    await connection.run_sync(_run_alembic)


def _run_alembic(connection: sa.Connection) -> None:
    # Imported here: it takes a third of a second, and start-up does without.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD_REVISION)
    except CommandError as error:
        raise ConfigurationError(f"the database was made by another version of Bellwire: {error}") from error
