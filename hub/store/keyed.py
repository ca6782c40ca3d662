"""SELECTs over rows that are given by their keys: any number of keys, and always the same text."""

# ruff: noqa: S608 - what is put together is our own; keys are parameters

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.rows import Row


class KeyedQuery:
    """A SELECT over tables, made for each of many keys, which its text calls `wanted`.

    Keys are looked up, and with `lock` locked, one after the other in the order in which they are given: on PostgreSQL
    because OFFSET 0 keeps the planner from merging the look-up into a join of its own liking (a walk through the whole
    tenant, as long as there are no statistics), on SQLite because of CROSS JOIN. Keys are one array a column there, one
    JSON text here. SQLite gives ids as text: read them with `id_of`.
    """

    def __init__(self, columns: str, tables: str, wanted: Mapping[str, str], *, lock: bool = False) -> None:
        """`tables` is what follows FROM, with its conditions; `wanted` has PostgreSQL's types of the keys."""
        names = ", ".join(wanted)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(wanted.values(), 1))
        parts = ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(wanted))
        self._postgres = (
            f"SELECT found.* FROM unnest({arrays}) AS wanted ({names}) CROSS JOIN LATERAL "
            f"(SELECT {columns} FROM {tables} OFFSET 0{' FOR UPDATE' if lock else ''}) AS found"
        )
        self._sqlite = (
            f"WITH wanted AS (SELECT {parts} FROM json_each(?)) SELECT {columns} FROM wanted CROSS JOIN {tables}"
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


def id_of(value: Any) -> UUID:
    """Read an id, however the driver gives it."""
    return value if isinstance(value, UUID) else UUID(value)


def _hex(value: object) -> str:
    assert isinstance(value, UUID)  # noqa: S101 - nothing else in keys needs help
    return value.hex
