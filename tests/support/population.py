"""A tenant with many users, written straight into the tables: what stands there is as if it had been published.

* Everybody has ten own items, five of them unread, and is a member of the topic `EVERYBODY`, of which nothing was
  published yet.
* The users of `HEAVY` have 10,000 own items besides, and 10,000 shared ones: of broadcasts and of nine topics alike.
  They marked all as read when there were half as many shared ones; of the later ones they have read some by id.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, DropIndex

from hub.core.model import InboxKey
from hub.keyring import DEFAULT_TENANT
from hub.store.tables import inbox_items
from tests.support.clock import START

EVERYBODY = "everybody"
"""The topic that all users are members of."""
OWN_EACH = 10
RARE = "rare"
"""A category that one in 2,000 notifications has; the others have one of twenty."""
_RECIPIENTS = 1_000
"""Of a notification to ordinary users, as many as the API takes."""
_STEP_MS = 1_000
_CHUNK = 250_000
"""Rows that one statement writes."""

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]  # not SQLAlchemy's to say
_SQLITE = sqlite.dialect()

Told = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Population:
    """How many there are of everything."""

    users: int
    heavy: int = 10
    own: int = 10_000
    """Own items of each heavy user."""
    shared: int = 10_000
    """Items of the shared log: those of a tenth are broadcasts, the others are of the topics of the heavy users."""

    @property
    def items(self) -> int:
        """Return how many own items there are of all users together."""
        return self.users * OWN_EACH + self.heavy * self.own

    @property
    def rows(self) -> int:
        """Return how many rows `fill` writes."""
        return sum(write.rows for write in _writes(self))


def user(number: int) -> InboxKey:
    """Return the inbox of an ordinary user."""
    return InboxKey(DEFAULT_TENANT, f"user-{number:07}")


def heavy(number: int) -> InboxKey:
    """Return the inbox of a user who has much."""
    return InboxKey(DEFAULT_TENANT, f"heavy-{number:03}")


def _ignore(_: int) -> None:
    """Show no progress."""


async def fill(url: str, population: Population, told: Told = _ignore) -> None:
    """Write a population into an empty database that has the schema; `told` hears of the rows as they are written."""
    if url.startswith("postgresql"):
        await _fill_postgres(url, population, told)
    else:
        await asyncio.to_thread(_fill_sqlite, url.removeprefix("sqlite:///"), population, told)


async def _fill_postgres(url: str, population: Population, told: Told) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
        # Built at the end, an index takes a fraction of the time.
        for index in inbox_items.indexes:
            await connection.execute(str(DropIndex(index)))
        for write in _writes(population):
            for first in range(0, write.rows, _CHUNK):
                rows = min(_CHUNK, write.rows - first)
                await connection.execute(write.sql("CAST({} AS UUID)", first, first + rows))
                told(rows)
        for index in inbox_items.indexes:
            await connection.execute(str(CreateIndex(index).compile(dialect=_POSTGRESQL)))
        # What the server would do by itself a minute later, in the middle of whatever is looked at.
        await connection.execute("VACUUM (FREEZE, ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _fill_sqlite(path: str, population: Population, told: Told) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        for index in inbox_items.indexes:
            connection.execute(str(DropIndex(index)))
        for write in _writes(population):
            for first in range(0, write.rows, _CHUNK):
                rows = min(_CHUNK, write.rows - first)
                connection.execute(write.sql("{}", first, first + rows))
                told(rows)
        for index in inbox_items.indexes:
            connection.execute(str(CreateIndex(index).compile(dialect=_SQLITE)))
    # Now, and not as part of somebody's first commit.
    with Path(path).open("rb") as file:
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class _Write:
    """Rows of one table, each made from its number `n`."""

    rows: int
    table: str
    columns: dict[str, str]
    """What each is made of; `id_…` names are identifiers."""

    def sql(self, identifier: str, first: int, last: int) -> str:
        """Write it for the numbers from the first to before the last; both databases understand it."""
        values = [
            identifier.format(value) if name in {"id", "notification_id"} else value
            for name, value in self.columns.items()
        ]
        return f"""
        INSERT INTO {self.table} (tenant, {", ".join(self.columns)})
        WITH RECURSIVE numbers (n) AS (
          SELECT CAST({first} AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {last - 1}
        )
        SELECT '{DEFAULT_TENANT}', {", ".join(values)} FROM numbers"""  # noqa: S608 - values of our own


def _writes(population: Population) -> Iterator[_Write]:
    yield from _ordinary(population)
    yield from _shared(population)
    yield from _heavy(population)


def _ordinary(population: Population) -> Iterator[_Write]:
    groups = max(1, population.users // _RECIPIENTS)
    one, at = "n / 10", f"{START} + n % 10 * {_STEP_MS}"
    notification = f"(n / 10 % {groups} * 10 + n % 10)"
    read = f"CASE WHEN n % 10 < 5 THEN {START + 20 * _STEP_MS} END"
    yield _Write(groups * OWN_EACH, "notifications", _content(1, "n", at))
    yield _Write(population.users, "inbox_heads", _head(_user("n"), population, version=OWN_EACH, unread=5))
    yield _Write(
        population.users * OWN_EACH,
        "inbox_items",
        _item(_user(one), 1, notification, "n % 10", at) | {"seen_at": read, "read_at": read},
    )
    yield _Write(population.users, "memberships", _membership(_user("n"), f"'{EVERYBODY}'"))


def _shared(population: Population) -> Iterator[_Write]:
    at = f"{START} + (2 * n + 1) * {_STEP_MS}"
    yield _Write(population.shared, "notifications", _content(3, "n", at) | {"audience": "1", "topic": _topic("n")})
    yield _Write(
        population.shared,
        "shared_log",
        {
            "position": "n + 1",
            "kind": "0",
            "topic": _topic("n"),
            "previous": f"CASE WHEN n < {_TOPICS} THEN 0 ELSE n + 1 - {_TOPICS} END",
            "ordinal": f"n / {_TOPICS}",
            "notification_id": _id(3, "n"),
            "category": _category("n"),
            "appeared_at": at,
        },
    )
    last = {"position": f"{population.shared} - {_TOPICS} + n + 1", "items": f"{population.shared // _TOPICS}"}
    yield _Write(_TOPICS, "topics", {"topic": _topic("n"), **last, "created_at": f"{START}"})
    empty = {"position": "0", "items": "0"}
    yield _Write(1, "topics", {"topic": f"'{EVERYBODY}'", **empty, "created_at": f"{START}"})
    now = f"{START} + {2 * population.shared * _STEP_MS}"
    log = {"position": f"{population.shared}", "appeared_at": now, "floor": "0", "created_at": f"{START}"}
    yield _Write(1, "shared_logs", log)


def _heavy(population: Population) -> Iterator[_Write]:
    one, number, at = (
        _heavy_user(f"n / {population.own}"),
        f"n % {population.own}",
        f"{START} + n % {population.own} * {2 * _STEP_MS}",
    )
    was_read, now = f"{number} < {population.own - population.own // 10}", f"{START + 2 * population.shared * _STEP_MS}"
    times = {
        "seen_at": f"CASE WHEN {was_read} THEN {now} END",
        "read_at": f"CASE WHEN {was_read} THEN {now} END",
        "archived_at": f"CASE WHEN {was_read} AND n % 10 = 3 THEN {now} END",
    }
    marked = population.shared // 2
    touched = (population.shared - marked) // 10
    counts = {"seen_mark": f"{marked}", "read_mark": f"{marked}"}
    counts |= {"shared_unread": f"{-touched}", "shared_unseen": f"{-touched}"}
    head = _head(_heavy_user("n"), population, version=population.own + 2, unread=population.own // 10)
    yield _Write(population.own, "notifications", _content(2, "n", at))
    yield _Write(population.heavy, "inbox_heads", head | counts)
    yield _Write(population.heavy * population.own, "inbox_items", _item(one, 2, f"({number})", number, at) | times)
    member = _heavy_user(f"n / {_TOPICS}")
    # Number 0 of each ten is of everybody's topic, as the broadcast needs no membership.
    topic = f"CASE WHEN n % {_TOPICS} = 0 THEN '{EVERYBODY}' ELSE {_topic('n')} END"
    yield _Write(population.heavy * _TOPICS, "memberships", _membership(member, topic))
    mark = {"level": "1 + n % 2", "position": f"{marked}", "version": f"{population.own + 1}", "marked_at": now}
    yield _Write(2 * population.heavy, "shared_marks", {"user_id": _heavy_user("n / 2"), **mark})
    position = f"{marked} + 1 + n % {touched} * 7"
    state = {"version": f"{population.own + 2}", "seen_at": now, "read_at": now}
    yield _Write(
        population.heavy * touched,
        "shared_items",
        {
            "user_id": _heavy_user(f"n / {touched}"),
            "position": position,
            "notification_id": _id(3, f"({position} - 1)"),
            **state,
        },
    )


_TOPICS = 10
"""The broadcast, and the topics of the heavy users."""


def _user(number: str) -> str:
    return f"'user-' || {_padded(number, 7)}"


def _heavy_user(number: str) -> str:
    return f"'heavy-' || {_padded(number, 3)}"


def _padded(number: str, digits: int) -> str:
    return f"substr(CAST({10**digits} + {number} AS TEXT), 2)"


def _topic(number: str) -> str:
    return f"CASE WHEN {number} % {_TOPICS} = 0 THEN '' ELSE 'topic-' || ({number} % {_TOPICS}) END"


def _category(number: str) -> str:
    return f"CASE WHEN {number} % 2000 = 7 THEN '{RARE}' ELSE 'category-' || ({number} % 20) END"


def _id(kind: int, number: str) -> str:
    """Return an identifier; its first digits say what it is of, 1: ordinary users, 2: heavy ones, 3: an audience."""
    return f"'0000000{kind}00007000800' || {_padded(number, 13)}"


def _content(kind: int, number: str, at: str) -> dict[str, str]:
    return {
        "id": _id(kind, number),
        "category": _category(number),
        "title": f"'Your order ' || {number} || ' is on its way'",
        "body": "'It left our warehouse this morning, and should arrive on Thursday between nine and noon.'",
        "action_url": f"'/orders/' || {number}",
        "priority": "2",
        "inbox": "true",
        "plan": "'[]'",
        "created_at": at,
    }


def _head(name: str, population: Population, *, version: int, unread: int) -> dict[str, str]:
    return {
        "user_id": name,
        "epoch": "'0011223344556677'",
        "version": f"{version}",
        "floor": "0",
        "unread_count": f"{unread}",
        "unseen_count": f"{unread}",
        "created_at": f"{START}",
        "settled": f"{population.shared}",
    }


def _item(name: str, kind: int, notification: str, number: str, at: str) -> dict[str, str]:
    return {
        "user_id": name,
        "notification_id": _id(kind, notification),
        "state": "1",
        "version": f"{number} + 1",
        "since": f"{number} + 1",
        "appeared_at": at,
        "category": _category(notification),
    }


def _membership(name: str, topic: str) -> dict[str, str]:
    return {"user_id": name, "topic": topic, "joined": "0"}
