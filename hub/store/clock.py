"""The database's time, so that every process of a deployment stores and compares one clock."""

from __future__ import annotations

import asyncio
import time

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import BellwireError
from hub.store.engine import Database

_EVERY = 30
"""Seconds between two samples."""

_NOW = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")

logger = structlog.get_logger(__name__)


class DatabaseClock:
    """A `Clock` by the database's time: sampled, carried on by the monotonic clock, never going backwards.

    SQLite has no time of its own: there it is this process's. Call `sync()` before the first `now()`, and
    `keep()` in a task of its own (or `sync()` every 30 s).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offset = _wall_ms() - _monotonic_ms()
        self._last = 0

    def now(self) -> int:
        """Return milliseconds since the epoch."""
        self._last = max(self._last, _monotonic_ms() + self._offset)
        return self._last

    async def sync(self) -> None:
        """Sample the database's time, and see whether it is still the same database.

        Raises:
            StoreUnavailable: the database cannot be reached; the clock goes on as it was.

        """
        if self._database.dialect == "sqlite":
            self._offset = _wall_ms() - _monotonic_ms()
            return
        self._offset = await self._database.read(_sample)
        await self._database.identify()

    async def keep(self) -> None:
        """Sync for ever; an outage of the database is waited out."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.sync()
            except BellwireError as error:
                logger.warning("clock_not_synced", cause=type(error).__name__)


async def _sample(connection: AsyncConnection) -> int:
    """Return database time minus monotonic time, taken in the middle of the round trip."""
    before = _monotonic_ms()
    theirs: int = (await connection.execute(_NOW)).scalar_one()
    return theirs - (before + _monotonic_ms()) // 2


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
