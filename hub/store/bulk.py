"""Many rows of several tables, written in as few round trips as the database allows.

* PostgreSQL: one statement for everything. Each write is a part of it (WITH …) and gets its rows as one array a
  column, so the text, and with it the prepared statement, is the same for any number of rows.
* SQLite: one `executemany` a write; there is no round trip to save.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.rows import Values

_ARRAYS: dict[type[sa.types.TypeEngine[Any]], str] = {
    sa.Text: "text[]",
    sa.Uuid: "uuid[]",
    sa.BigInteger: "bigint[]",
    sa.Integer: "integer[]",
    sa.SmallInteger: "smallint[]",
    sa.Boolean: "boolean[]",
    sa.LargeBinary: "bytea[]",
}


class _Kind(Enum):
    INSERT = auto()
    INSERT_WHERE_FREE = auto()
    UPDATE = auto()


class Derived(NamedTuple):
    """A column that the database works out for each new row, from another column of it."""

    column: str
    of: str
    sql: str
    """In which `{}` stands for the other column's value."""


class _Shape(NamedTuple):
    """All of a write but its rows: what its SQL depends on."""

    table: sa.Table
    columns: tuple[str, ...]
    kind: _Kind
    derived: Derived | None = None

    @property
    def key(self) -> list[str]:
        return [name for name in self.columns if name in self.table.primary_key.columns]

    @property
    def others(self) -> list[str]:
        return [name for name in self.columns if name not in self.table.primary_key.columns]

    @property
    def identifiers(self) -> list[int]:
        """The places of columns that hold UUIDs."""
        return [place for place, name in enumerate(self.columns) if isinstance(self.table.c[name].type, sa.Uuid)]

    @property
    def head(self) -> str:
        columns = self.columns if self.derived is None else (*self.columns, self.derived.column)
        return f"INSERT INTO {self.table.name} ({_quoted(columns)})"

    @property
    def tail(self) -> str:
        return " ON CONFLICT DO NOTHING" if self.kind is _Kind.INSERT_WHERE_FREE else ""


class Bulk:
    """Writes that are collected, then made by `write()`.

    No two of them may concern the same row: in which order the parts of one statement run is not defined.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._writes: list[tuple[_Shape, Sequence[Values]]] = []

    def insert(self, table: sa.Table, rows: Sequence[Values]) -> None:
        """Insert rows, which all have the same columns."""
        self._add(table, rows, _Kind.INSERT)

    def insert_where_free(self, table: sa.Table, rows: Sequence[Values], derived: Derived | None = None) -> None:
        """Insert the rows whose key is not taken, in their order; waits for others who are inserting the same key."""
        self._add(table, rows, _Kind.INSERT_WHERE_FREE, derived)

    def update(self, table: sa.Table, rows: Sequence[Values]) -> None:
        """Find rows by the key, and set the other columns. Lock them first: they are visited in no order."""
        self._add(table, rows, _Kind.UPDATE)

    def _add(self, table: sa.Table, rows: Sequence[Values], kind: _Kind, derived: Derived | None = None) -> None:
        if rows:
            self._writes.append((_Shape(table, tuple(rows[0]), kind, derived), rows))

    async def write(self) -> int:
        """Make the writes; returns how many rows the last of them wrote."""
        writes, self._writes = self._writes, []
        if not writes:
            return 0
        if self._connection.dialect.name == "postgresql":
            text = _for_postgres(tuple(shape for shape, _ in writes))
            arrays = [list(column) for shape, rows in writes for column in zip(*_tuples(shape, rows), strict=True)]
            return (await self._connection.exec_driver_sql(text, tuple(arrays))).rowcount
        written = 0
        for shape, rows in writes:
            written = (await self._connection.exec_driver_sql(_for_sqlite(shape), _driven(shape, rows))).rowcount
        return written


def _tuples(shape: _Shape, rows: Sequence[Values]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows' values in the order of the columns."""
    return map(itemgetter(*shape.columns), rows)


def _driven(shape: _Shape, rows: Sequence[Values]) -> list[tuple[Any, ...]]:
    """Return rows as SQLite's driver takes them; identifiers are kept as SQLAlchemy keeps them, without hyphens."""
    columns: list[Iterable[Any]] = list(zip(*_tuples(shape, rows), strict=True))
    for place in shape.identifiers:
        columns[place] = [value and value.hex for value in columns[place]]
    return list(zip(*columns, strict=True))


# What is put together here are names of our own tables; values are always parameters.
# ruff: noqa: S608


@cache
def _for_sqlite(shape: _Shape) -> str:
    if shape.kind is _Kind.UPDATE:
        number = {name: place for place, name in enumerate(shape.columns, 1)}
        changes = ", ".join(f'"{name}" = ?{number[name]}' for name in shape.others)
        found = " AND ".join(f'"{name}" = ?{number[name]}' for name in shape.key)
        return f"UPDATE {shape.table.name} SET {changes} WHERE {found}"
    values = [f"?{number}" for number, _ in enumerate(shape.columns, 1)]
    if shape.derived is not None:
        values.append(shape.derived.sql.format(values[shape.columns.index(shape.derived.of)]))
    return f"{shape.head} VALUES ({', '.join(values)}){shape.tail}"


@cache
def _for_postgres(shapes: tuple[_Shape, ...]) -> str:
    """Make one statement; the last of the writes is its main part."""
    parts, first = [], 1
    for shape in shapes:
        parts.append(_part(shape, first))
        first += len(shape.columns)
    *others, last = parts
    named = ", ".join(f"part_{number} AS ({part})" for number, part in enumerate(others))
    return f"WITH {named} {last}" if others else last


def _part(shape: _Shape, first: int) -> str:
    arrays = ", ".join(
        f"${number}::{_ARRAYS[type(shape.table.c[name].type)]}" for number, name in enumerate(shape.columns, first)
    )
    if shape.kind is not _Kind.UPDATE:
        derived = "" if shape.derived is None else ", " + shape.derived.sql.format(f'new."{shape.derived.of}"')
        new = f"unnest({arrays}) AS new ({_quoted(shape.columns)})"
        return f"{shape.head} SELECT new.*{derived} FROM {new}{shape.tail}"
    changes = ", ".join(f'"{name}" = new."{name}"' for name in shape.others)
    found = " AND ".join(f'{shape.table.name}."{name}" = new."{name}"' for name in shape.key)
    return (
        f"UPDATE {shape.table.name} SET {changes} FROM unnest({arrays}) AS new ({_quoted(shape.columns)}) WHERE {found}"
    )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
