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

_DOUBT = 1_000
"""Milliseconds of a round trip beyond which its sample, off by up to half of that, is worse than the one before."""

_NOW = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")

logger = structlog.get_logger(__name__)


class DatabaseClock:
    """A `Clock` by the database's time: sampled, carried on by the monotonic clock, never going backwards.

    Found ahead of the database (whose time was set back), it goes on at half speed until it is caught up with: if
    it stood still meanwhile, no lease would end, and no step fall due that is stored from now on.

    SQLite has no time of its own: there it is this process's. Call `sync()` before the first `now()`, and
    `keep()` in a task of its own (or `sync()` every 30 s).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._offset = _wall_ms() - _monotonic_ms()
        self._last = 0
        self._at = 0
        """When, by the monotonic clock, `_last` was the time."""
        self._synced = False

    def now(self) -> int:
        """Return milliseconds since the epoch."""
        monotonic = _monotonic_ms()
        if monotonic + self._offset >= self._last:
            self._last, self._at = monotonic + self._offset, monotonic
        else:
            passed = (monotonic - self._at) // 2
            self._last += passed
            self._at += 2 * passed
        return self._last

    async def sync(self) -> None:
        """Sample the database's time, and see whether it is still the same database.

        Raises:
            StoreUnavailable: the database cannot be reached; the clock goes on as it was.

        """
        if self._database.dialect == "sqlite":
            self._offset = _wall_ms() - _monotonic_ms()
            return
        offset, took = await self._database.read(_sample)
        if took <= _DOUBT or not self._synced:
            self._offset, self._synced = offset, True
        await self._database.identify()

    async def keep(self) -> None:
        """Sync for ever; an outage of the database is waited out."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.sync()
            except BellwireError as error:
                logger.warning("clock_not_synced", cause=type(error).__name__)


async def _sample(connection: AsyncConnection) -> tuple[int, int]:
    """Return database time minus monotonic time, taken in the middle of the round trip, and how long that was."""
    before = _monotonic_ms()
    theirs: int = (await connection.execute(_NOW)).scalar_one()
    after = _monotonic_ms()
    return theirs - (before + after) // 2, after - before


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
