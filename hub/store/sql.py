"""Small pieces of SQL that differ between the two databases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.rows import Values

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def among(connection: AsyncConnection, column: sa.Column[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """Test membership; on PostgreSQL by one array, so that the statement is the same for any number of values."""
    if connection.dialect.name != "postgresql":
        return column.in_(values)
    of = sa.Uuid() if isinstance(column.type, sa.Uuid) else sa.Text()
    return column == sa.any_(sa.bindparam(None, list(values), type_=sa.ARRAY(of)))


def rows_of(name: str, **columns: tuple[sa.types.TypeEngine[Any], Sequence[Any]]) -> sa.FromClause:
    """Make values a table to join, each column given by its type and values; PostgreSQL only.

    The statement is the same for any number of rows.
    """
    arrays = [sa.literal(list(values), sa.ARRAY(of)) for of, values in columns.values()]
    made = [sa.column(column, of) for column, (of, _) in columns.items()]
    return sa.func.unnest(*arrays).table_valued(*made).render_derived(name=name)


async def inserted(connection: AsyncConnection, table: sa.Table, row: Values) -> bool:
    """Insert one row if its key is free, and tell; waits for others who are inserting the same key."""
    return (await connection.execute(_insert_where_free(connection, table), row)).rowcount == 1


def _insert_where_free(connection: AsyncConnection, table: sa.Table) -> sa.Insert:
    return insert_on_conflict(connection.dialect.name, table).on_conflict_do_nothing()


def insert_on_conflict(dialect: str, table: sa.Table) -> Insert:
    """Begin an INSERT that may say ON CONFLICT; PostgreSQL's has the same methods as SQLite's."""
    # Imported when needed: a process on SQLite starts sooner without PostgreSQL's dialect.
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415

        return insert(table)  # type: ignore[return-value]  # the same methods, as said
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert  # noqa: PLC0415

    return sqlite_insert(table)


async def insert_many(connection: AsyncConnection, table: sa.Table, rows: Sequence[Values]) -> None:
    """Insert any number of rows, none included."""
    if rows:
        await connection.execute(sa.insert(table), rows)
