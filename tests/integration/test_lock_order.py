"""Head rows are locked, and made, in bytewise order: only then can overlapping publishes never wait in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.store.engine import Database, open_database
from hub.store.heads import lock_heads
from hub.store.sql import insert_missing
from hub.store.tables import inbox_heads
from tests.support.clock import START

USERS = ["Z", "a", "b", "z", "ä", "😀"]
"""In the order of their UTF-8 bytes; a language's collation has another."""
WANTED = ["z", "😀", "a", "ä", "Z", "b"]
HELD = "b"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as opened:
        yield opened


def head(user: str) -> dict[str, object]:
    counts = {"version": 0, "floor": 0, "unread_count": 0, "unseen_count": 0}
    return {"tenant": "default", "user_id": user, "epoch": "e", "created_at": START, **counts}


async def until_somebody_waits(connection: AsyncConnection) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while (await connection.execute(waiting)).scalar_one() == 0:
        pass  # asking gives way to the others


async def free_heads(connection: AsyncConnection) -> list[str]:
    free = sa.select(inbox_heads.c.user_id).with_for_update(skip_locked=True)
    return sorted((await connection.execute(free)).scalars())


async def test_heads_are_locked_in_order(database: Database) -> None:
    async with database.writer() as connection:
        await insert_missing(connection, inbox_heads, [head(user) for user in reversed(USERS)])

    async def lock(connection: AsyncConnection) -> None:
        # However the rows are found: here in the order in which they lie in the table.
        await connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        await lock_heads(connection, "default", WANTED, START)

    async with database.writer() as holder:
        await lock_heads(holder, "default", [HELD], START)
        locking = asyncio.ensure_future(database.write(lock))
        async with database.writer() as onlooker:
            await until_somebody_waits(onlooker)
            assert await free_heads(onlooker) == USERS[USERS.index(HELD) + 1 :]
    await locking


async def test_heads_are_made_in_order(database: Database) -> None:
    async with database.writer() as holder:
        await insert_missing(holder, inbox_heads, [head(HELD)])
        locking = asyncio.ensure_future(
            database.write(lambda connection: lock_heads(connection, "default", WANTED, START))
        )
        async with database.writer() as onlooker:
            await until_somebody_waits(onlooker)
            await onlooker.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            later = USERS[USERS.index(HELD) + 1 :]
            async with onlooker.begin_nested() as trial:
                await insert_missing(onlooker, inbox_heads, [head(user) for user in later])
                await trial.rollback()
    assert sorted(await locking) == USERS
