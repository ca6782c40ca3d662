"""SELECTs over rows that are given by their keys: any number of keys, and always the same text."""

# ruff: noqa: S608 - what is put together is our own; keys are parameters

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.prepared import Prepared
from hub.store.rows import Row


class KeyedQuery:
    """A SELECT over tables, made for each of many keys, which its text calls `wanted`.

    Keys are looked up, and with `lock` locked, one after the other in the order in which they are given: on PostgreSQL
    because OFFSET 0 keeps the planner from merging the look-up into a join of its own liking (a walk through the whole
    tenant, as long as there are no statistics), on SQLite because of CROSS JOIN. Keys are one array a column there, one
    JSON text here. SQLite gives ids as text: read them with `rows.id_of`.
    """

    def __init__(
        self, columns: str, tables: str | Callable[[str], str], wanted: Mapping[str, str], *, lock: bool = False
    ) -> None:
        """`tables` is what follows FROM, with its conditions, or makes it for a dialect.

        `wanted` has PostgreSQL's types of the keys.
        """
        in_postgres, in_sqlite = (tables, tables) if isinstance(tables, str) else map(tables, ("postgresql", "sqlite"))
        names = ", ".join(wanted)
        arrays = ", ".join(f"(SELECT ${number}::{kind}[])" for number, kind in enumerate(wanted.values(), 1))
        parts = ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(wanted))
        self._postgres = (
            f"SELECT found.* FROM unnest({arrays}) AS wanted ({names}) CROSS JOIN LATERAL "
            f"(SELECT {columns} FROM {in_postgres} OFFSET 0{' FOR UPDATE' if lock else ''}) AS found"
        )
        self._sqlite = (
            f"WITH wanted AS (SELECT {parts} FROM json_each(?)) SELECT {columns} FROM wanted CROSS JOIN {in_sqlite}"
        )

    async def rows(self, connection: AsyncConnection, keys: Sequence[tuple[object, ...]]) -> Sequence[Row]:
        """Read the rows of some keys, each in the order of `wanted`."""
        if not keys:
            return []
        if connection.dialect.name == "postgresql":
            found = await connection.exec_driver_sql(self._postgres, tuple(map(list, zip(*keys, strict=True))))
        else:
            found = await connection.exec_driver_sql(self._sqlite, (json.dumps(keys, default=_hex),))
        return found.all()


def _hex(value: object) -> str:
    assert isinstance(value, UUID)  # noqa: S101 - nothing else in keys needs help
    return value.hex


class ByKeys:
    """The same for a SELECT of SQLAlchemy's, so that columns arrive in its types.

    The statement is made once, and is the same for any number of keys. Rows come in no order on SQLite.
    """

    def __init__(self, select: sa.Select[Any], *key: sa.Column[Any], lock: bool = False) -> None:
        """`key` are columns that `select` reads from; together they name one row, or a few."""
        self._sqlite = select.where(sa.tuple_(*key).in_(sa.bindparam("keys", expanding=True)))
        self._names = [column.name for column in key]
        arrays = [sa.bindparam(column.name, type_=sa.ARRAY(_plain(column.type))) for column in key]
        values = [sa.column(f"wanted_{column.name}", _plain(column.type)) for column in key]
        wanted = sa.func.unnest(*arrays).table_valued(*values).render_derived(name="wanted")
        same = (column == wanted.c[f"wanted_{column.name}"] for column in key)
        look_up = select.where(*same).offset(sa.literal_column("0"))
        found = (look_up.with_for_update() if lock else look_up).lateral("found")
        self._postgres = Prepared(sa.select(found).select_from(wanted.join(found, sa.true())))

    async def rows(self, connection: AsyncConnection, keys: Sequence[tuple[Any, ...]]) -> Sequence[Row]:
        """Read the rows of some keys."""
        if not keys:
            return []
        if connection.dialect.name == "postgresql":
            columns = map(list, zip(*keys, strict=True))
            return await self._postgres.rows(connection, dict(zip(self._names, columns, strict=True)))
        rows: Sequence[Row] = (await connection.execute(self._sqlite, {"keys": list(keys)})).all()
        return rows


def _plain(of: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Return the type of a column as values have it, without a collation."""
    return sa.Text() if isinstance(of, sa.Text) else of
