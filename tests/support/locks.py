"""Standing in the way of other processes on PostgreSQL, and seeing that they wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

PATIENCE = 30.0

_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
"""


@asynccontextmanager
async def in_the_way(database_url: str, table: str) -> AsyncIterator[asyncpg.Connection]:
    """Let nobody near a table until the block is over."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def until_one_waits(database_url: str, query: str = "%") -> None:
    """Wait until a statement like `query` waits for a lock.

    Raises:
        TimeoutError: none does.

    """
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(_WAITING, query):
                pass
    finally:
        await connection.close()
