"""Small pieces of SQL that differ between the two databases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

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


def unseen(name: str, kind: str) -> str:
    """Return a parameter, with PostgreSQL's type, whose value its planner does not see.

    It makes a plan for each call as long as that looks better than one for all calls; and that takes longer than many a
    statement does. It looks better where a value says that there are fewer rows than is guessed without: a LIMIT, an
    array of few. Where every plan is made of look-ups anyway, nothing is lost by guessing.
    """
    return f"(SELECT CAST(:{name} AS {kind}))"


class LookUp(Protocol):
    """Joins what a query finds for each row on the left; returns the join, and the found columns."""

    def __call__(
        self, left: sa.FromClause, table: sa.Table, query: sa.Select[Any], name: str | None = None, /
    ) -> tuple[sa.Join, Any]:
        """`query` is of `table`, and refers to the left."""
        ...


def looking_up(dialect: str) -> LookUp:
    """Return how one finds rows for rows by an index, whatever the planner believes of the tables."""
    return _look_up_postgresql if dialect == "postgresql" else _look_up_sqlite


def _look_up_postgresql(
    left: sa.FromClause, table: sa.Table, query: sa.Select[Any], name: str | None = None
) -> tuple[sa.Join, Any]:
    """Join by LATERAL.

    The planner cannot know that a wish finds one head and few items: without statistics (a table just filled) it
    would rather read all items of a notification, or a whole table. A LATERAL query that ends in a LIMIT is not merged
    into the one around it, which leaves it an index.
    """
    found = query.correlate_except(table).lateral(name)
    return left.join(found, sa.true()), found.c


def _look_up_sqlite(
    left: sa.FromClause, table: sa.Table, query: sa.Select[Any], _name: str | None = None
) -> tuple[sa.Join, Any]:
    """Do the same without LATERAL, which SQLite lacks; its planner goes by the indexes. There is no LIMIT then."""
    assert query.whereclause is not None  # noqa: S101 - it is a look-up
    return left.join(table, query.whereclause), table.c


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
