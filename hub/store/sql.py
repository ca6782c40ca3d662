"""Small pieces of SQL that differ between the two databases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.rows import Values


def among(connection: AsyncConnection, column: sa.Column[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """Test membership; on PostgreSQL by one array, so that the statement is the same for any number of values."""
    if connection.dialect.name != "postgresql":
        return column.in_(values)
    of = sa.Uuid() if isinstance(column.type, sa.Uuid) else sa.Text()
    return column == sa.any_(sa.bindparam(None, list(values), type_=postgresql.ARRAY(of)))


async def insert_missing(connection: AsyncConnection, table: sa.Table, rows: Sequence[Values]) -> None:
    """Insert rows where the key is free, one after the other; waits for others who are inserting the same key."""
    await connection.execute(_insert_where_free(connection, table), rows)


async def inserted(connection: AsyncConnection, table: sa.Table, row: Values) -> bool:
    """Insert one row if its key is free, and tell; waits for others who are inserting the same key."""
    return (await connection.execute(_insert_where_free(connection, table), row)).rowcount == 1


def _insert_where_free(connection: AsyncConnection, table: sa.Table) -> sa.Insert:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing()


async def insert_many(connection: AsyncConnection, table: sa.Table, rows: Sequence[Values]) -> None:
    """Insert any number of rows, none included."""
    if rows:
        await connection.execute(sa.insert(table), rows)
