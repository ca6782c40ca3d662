"""Statements of SQLAlchemy's that are run all the time: put into words once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.rows import Row


class _Words(NamedTuple):
    text: str
    names: Sequence[str]
    """The parameters in their places."""
    given: Mapping[str, Any]
    """Those with values that stand in the statement."""


class Prepared:
    """A statement, without `IN` over values, that the driver is handed as text on PostgreSQL.

    To find the words of a large statement in SQLAlchemy's cache, it is walked through each time: half a millisecond for
    the one that claims. The driver gives all types that our tables have as they should be. SQLite's does not, and there
    SQLAlchemy runs it.
    """

    def __init__(self, statement: sa.Executable) -> None:
        self.statement = statement
        self._words: _Words | None = None

    async def rows(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Sequence[Row]:
        """Run it, and return its rows."""
        if connection.dialect.name != "postgresql":
            found = await connection.execute(self.statement, values)
            return found.all()
        words = self._words = self._words or _words(self.statement, connection.dialect)
        given = tuple(values[name] if name in values else words.given[name] for name in words.names)
        return (await connection.exec_driver_sql(words.text, given)).all()


def _words(statement: sa.Executable, dialect: sa.Dialect) -> _Words:
    if not isinstance(statement, sa.ClauseElement):
        raise TypeError("only statements of SQLAlchemy's own can be put into words")
    compiled = statement.compile(dialect=dialect)
    names = compiled.positiontup if isinstance(compiled, sa.sql.compiler.SQLCompiler) else None
    return _Words(str(compiled), names or (), compiled.params)
