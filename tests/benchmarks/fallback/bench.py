"""What every case is given: databases with a full queue, workers, and when they are done."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from hub.core.ids import uuid7
from hub.core.model import Channel, Contact, NewDelivery, Publication, Rung, Step, When
from hub.store.directory import SqlDirectory
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from tests.benchmarks.fallback.told import Told
from tests.benchmarks.gateway.bellwire import Services, fresh, key, name_of
from tests.benchmarks.publish.publisher import now as now_ms
from tests.benchmarks.publish.publisher import publication as notification

BLOCKS = 3
"""A figure is the median of so many blocks."""
USERS = 2_000
BATCH = 1_000
LATER = 24 * 3_600_000
"""Milliseconds: due when no benchmark runs any more."""

_LOOK = 0.02
"""Seconds between looks whether a queue is empty."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of a run."""

    quick: bool
    folder: Path
    services: Services

    @property
    def deliveries(self) -> int:
        """How many a block works off, or adds."""
        return 2_000 if self.quick else 30_000

    @property
    def backlog(self) -> int:
        """How many are queued for later where the queue is long."""
        return 20_000 if self.quick else 1_000_000

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Services]:
        """Lend an empty database with the schema and 2,000 users who have an e-mail address; and an empty Redis."""
        async with fresh(self.services, "bench_fallback") as own:
            async with await open_database(own.postgres_url) as database:
                directory = SqlDirectory(database)
                for number in range(USERS):
                    contact = Contact(user=name_of(number), email=f"{name_of(number)}@example.com")
                    await directory.put_contact(key("").tenant, contact, now_ms())
            yield own


def publication(number: int, after: int, at: int) -> Publication:
    """A notification to one user, with an e-mail `after` so many milliseconds unless it has been seen."""
    step = Step(Channel.EMAIL, after, Rung.SEEN)
    user = name_of(number % USERS)
    plain = notification([user], number)
    delivery = NewDelivery(
        id=uuid7(at),
        step=0,
        channel=step.channel,
        due_at=at + after,
        unless=step.unless,
        when=When.ALWAYS,
        user=user,
    )
    return replace(plain, content=replace(plain.content, created_at=at, plan=(step,)), deliveries=(delivery,))


async def fill(url: str, count: int, *, after: int = 0) -> None:
    """Publish so many notifications, each with a delivery that is due after so many milliseconds."""
    async with await open_database(url) as database:
        store = SqlInboxStore(database)
        for first in range(0, count, BATCH):
            at = now_ms()
            await store.publish_all([publication(number, after, at) for number in range(first, first + BATCH)], at)
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def worker(on: Services, cores: Collection[int]) -> Told:
    """A worker process whose provider does nothing."""
    env = {**on.env, "BELLWIRE_LOG_LEVEL": "warning"}
    return Told([sys.executable, "-m", "tests.benchmarks.fallback.worker"], cores, env)


async def work_off(on: Services, count: int, cores: Collection[Collection[int]]) -> float:
    """Let a worker for each set of cores work a full queue off; returns how many seconds it took them.

    Raises:
        AssertionError: not every delivery was sent.

    """
    connection = await asyncpg.connect(on.postgres_url)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(on, own)) for own in cores]
        begun = time.perf_counter()
        for each in workers:
            each.go()
        while await connection.fetchval(_OPEN):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(_LOOK)
        took = time.perf_counter() - begun
    sent = await connection.fetchval("SELECT count(*) FROM deliveries WHERE state = 'sent'")
    await connection.close()
    assert sent == count
    return took


_OPEN = """
SELECT EXISTS (SELECT FROM deliveries WHERE state = 'queued' AND position IS NULL AND channel = 'email')
OR EXISTS (SELECT FROM deliveries WHERE state = 'sending')
"""
