"""SELECTs over rows that are given by their keys: any number of keys, and always the same text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.rows import Row


class KeyedQuery:
    """A SELECT that joins tables with its keys, which its text calls `wanted`.

    The keys are one array a column on PostgreSQL, where it may lock what it finds, and one JSON text on SQLite, which
    looks the tables up in the order in which they are named. SQLite gives ids as text: read them with `id_of`.
    """

    def __init__(self, columns: str, tables: str, *, lock: str = "", **wanted: str) -> None:
        """`tables` is what follows CROSS JOIN, with its conditions; `wanted` has PostgreSQL's types of the keys."""
        names = ", ".join(wanted)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(wanted.values(), 1))
        parts = ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(wanted))
        found = f"SELECT {columns} FROM {{}} CROSS JOIN {tables}"  # noqa: S608 - our own text; keys are parameters
        self._postgres = found.format(f"unnest({arrays}) AS wanted ({names})") + lock
        self._sqlite = f"WITH wanted AS (SELECT {parts} FROM json_each(?)) " + found.format("wanted")  # noqa: S608

    async def rows(self, connection: AsyncConnection, keys: Sequence[tuple[object, ...]]) -> Sequence[Row]:
        """Read the rows of some keys, each in the order of `wanted`."""
        if not keys:
            return []
        if connection.dialect.name == "postgresql":
            found = await connection.exec_driver_sql(self._postgres, tuple(map(list, zip(*keys, strict=True))))
        else:
            found = await connection.exec_driver_sql(self._sqlite, (json.dumps(keys, default=_hex),))
        return found.all()


def id_of(value: Any) -> UUID:
    """Read an id, however the driver gives it."""
    return value if isinstance(value, UUID) else UUID(value)


def _hex(value: object) -> str:
    assert isinstance(value, UUID)  # noqa: S101 - nothing else in keys needs help
    return value.hex
