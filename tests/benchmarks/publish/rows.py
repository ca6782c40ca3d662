"""The floor of a batch: a driver, and nothing else, that inserts the rows of notifications in groups of 1,000."""

# ruff: noqa: S608 - names of the project's own tables; values are parameters

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from hub.core.ids import uuid7
from tests.benchmarks.gateway.bellwire import name_of
from tests.benchmarks.publish.bench import USERS, requests

GROUP = 1_000
LANES = 2
"""Connections to PostgreSQL, as one waits for its commit while the other works."""
_GROUPS = 300
"""Made beforehand."""

_TABLES = {
    "notifications": {
        "tenant": "text",
        "id": "uuid",
        "category": "text",
        "title": "text",
        "body": "text",
        "action_url": "text",
        "data": "text",
        "priority": "smallint",
        "inbox": "boolean",
        "plan": "text",
        "created_at": "bigint",
    },
    "inbox_items": {
        "tenant": "text",
        "user_id": "text",
        "notification_id": "uuid",
        "state": "smallint",
        "version": "bigint",
        "since": "bigint",
        "appeared_at": "bigint",
        "category": "text",
    },
    "wakeups": {"id": "uuid", "tenant": "text", "heads": "text", "created_at": "bigint"},
}

Rows = Sequence[tuple[Any, ...]]


def _groups() -> list[tuple[Rows, Rows, Rows]]:
    dice = random.Random(7)
    return [_group(dice, version) for version in range(1, _GROUPS)]


def _group(dice: random.Random, version: int) -> tuple[Rows, Rows, Rows]:
    """Make the rows of one group: contents, items, and the wake-up row that names the users."""
    now = time.time_ns() // 1_000_000
    contents, items, heads = [], [], []
    for body, _ in zip(requests(dice), range(GROUP), strict=False):
        identifier, user = uuid7(now), name_of(dice.randrange(USERS))
        words = (body["category"], body["title"], body["body"], body["action_url"], str(body["data"]))
        contents.append(("bench", identifier, *words, 2, True, "[]", now))
        items.append(("bench", user, identifier, 1, version, version, now, body["category"]))
        heads.append(f'["{user}", {version}]')
    return contents, items, [(uuid7(now), "bench", f"[{', '.join(heads)}]", now)]


async def postgres(url: str, seconds: float) -> float:
    """Insert for so long; returns notifications a second."""
    groups, done = _groups(), 0
    statements = [
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest("
        + ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), 1))
        + ")"
        for table, columns in _TABLES.items()
    ]
    lanes = [await asyncpg.connect(url) for _ in range(LANES)]
    begun = time.perf_counter()

    async def insert(lane: asyncpg.Connection[asyncpg.Record]) -> None:
        nonlocal done
        while groups and time.perf_counter() < begun + seconds:
            group = groups.pop()
            async with lane.transaction():
                for statement, rows in zip(statements, group, strict=True):
                    await lane.execute(statement, *map(list, zip(*rows, strict=True)))
            done += GROUP

    await asyncio.gather(*map(insert, lanes))
    took = time.perf_counter() - begun
    for lane in lanes:
        await lane.close()
    return done / took


def sqlite(path: str, seconds: float) -> float:
    """Insert for so long; returns notifications a second."""
    groups, done = _groups(), 0
    statements = [
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        for table, columns in _TABLES.items()
    ]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    begun = time.perf_counter()
    while groups and time.perf_counter() < begun + seconds:
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in zip(statements, groups.pop(), strict=True):
            connection.executemany(statement, map(_plain, rows))
        connection.execute("COMMIT")
        done += GROUP
    took = time.perf_counter() - begun
    connection.close()
    return done / took


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.hex if isinstance(value, UUID) else value for value in row)
