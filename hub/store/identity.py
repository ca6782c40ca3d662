"""Which database this is, for the cursor's epoch: a restored or failed-over database must be another one."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.tables import meta

_IDENTITY = "identity"

_CLUSTER = sa.text("""
    SELECT system_identifier::text
        || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
        || '.' || (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
""")
"""The cluster, its timeline as it is now (the control file learns of a promotion only at the next checkpoint),
and the database within it (another after DROP, CREATE and a logical restore)."""


async def of_postgres(connection: AsyncConnection) -> str | None:
    """Return PostgreSQL's identity; None while there are no tables and the server does not tell."""
    savepoint = await connection.begin_nested()
    try:
        identity: str = (await connection.execute(_CLUSTER)).scalar_one()
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        # Some hosted servers do not let ordinary roles see it: then a random id has to do.
        await savepoint.rollback()
    else:
        await savepoint.commit()
        return identity
    if not await has_table(connection, meta.name):
        return None
    stored = await fact(connection, _IDENTITY)
    if stored is None:
        stored = await remember(connection, _IDENTITY, new_id())
    return stored


def new_id() -> str:
    """Return a random identity."""
    return secrets.token_hex(8)


async def has_table(connection: AsyncConnection, name: str) -> bool:
    """Tell whether the database has a table of this name."""
    return await connection.run_sync(lambda sync: sa.inspect(sync).has_table(name))


async def fact(connection: AsyncConnection, name: str) -> str | None:
    """Read a fact from `meta`."""
    value: str | None = (await connection.execute(sa.select(meta.c.value).where(meta.c.name == name))).scalar()
    return value


async def remember(connection: AsyncConnection, name: str, value: str) -> str:
    """Store a fact in `meta`, replacing what was there; returns it."""
    changed = await connection.execute(sa.update(meta).where(meta.c.name == name).values(value=value))
    if changed.rowcount == 0:
        await connection.execute(sa.insert(meta).values(name=name, value=value))
    return value
