"""Everybody acknowledges a broadcast at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiosqlite
import asyncpg

from hub.core.model import BROADCAST, MarkAction, Marked, Selection
from hub.store.inbox import SqlInboxStore
from hub.store.marks import Mark
from tests.benchmarks.gateway.machine import unpinned
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.swarm import without_collections
from tests.benchmarks.publish.bench import Bench
from tests.benchmarks.publish.databases import SYSTEMS, Hub
from tests.benchmarks.publish.publisher import now, publication
from tests.benchmarks.publish.took import Took
from tests.support.population import user

USERS = 1_000_000
ONLINE = 100_000
QUICK_USERS, QUICK_ONLINE = 10_000, 5_000
AT_ONCE = 1_000
"""Acknowledgements that a node has taken off its sockets and not answered yet."""
PUBLISHERS = 16

MOST_SECONDS = 10.0
MOST_TIMES = 3.0


async def storm(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """100,000 of 1,000,000 users report a broadcast as `seen`, each by one call, 1,000 of them under way at any time.

    Called is the use case behind the `seen` frame, in one process, without sockets. First alone. The database's time is
    what PostgreSQL says that it was at work meanwhile (`active_time` of `pg_stat_database`, flushing at COMMIT
    included), and what calls of the SQLite library took; the time inside transactions has Python's in it. Then once
    more for another broadcast while 16 callers publish to a user each, as soon as they have their last answer; normal
    is what they meet right before. The process and PostgreSQL share all cores.
    """
    figures: list[Figure] = []
    bars: list[Bar] = []
    users, online = (QUICK_USERS, QUICK_ONLINE) if bench.quick else (USERS, ONLINE)
    for system in SYSTEMS:
        url = await bench.databases.url(system, users)
        async with AsyncExitStack() as stack:
            hub = await Hub.open(url, stack, _Timed)
            stack.enter_context(unpinned(bench.services.postgres))
            with without_collections():
                alone, busy, inside = await _alone(hub, online)
                normal, meanwhile, both = await _beside_publishing(bench, hub, users, online)
        figures += [
            Figure(system, "absorbed in", alone, "s"),
            Figure(system, "the database's time", busy, "s"),
            Figure(system, "time inside transactions", inside, "s"),
            *normal.figures(system, "a publish, normally"),
            *meanwhile.figures(system, "a publish meanwhile"),
            Figure(system, "absorbed beside publishing in", both, "s"),
        ]
        bars += [
            Bar(f"{system}: {online:,} acknowledgements, seconds of the database", busy, MOST_SECONDS, at_least=False),
            Bar(f"{system}: publish meanwhile, p99 × normal", meanwhile.p99 / normal.p99, MOST_TIMES, at_least=False),
        ]
    return figures, bars


class _Timed(SqlInboxStore):
    """Adds up how long the transactions of acknowledgements take."""

    inside = 0.0

    async def _mark(self, group: Sequence[Mark]) -> Sequence[Marked]:
        begun = time.perf_counter()
        try:
            return await super()._mark(group)
        finally:
            self.inside += time.perf_counter() - begun


async def _alone(hub: Hub, online: int) -> tuple[float, float, float]:
    """Return how long it took, for how long the database was at work, and how long transactions were open."""
    assert isinstance(hub.store, _Timed)
    meter = _sqlite_busy() if hub.database.dialect == "sqlite" else _postgres_busy(hub)
    before = hub.store.inside
    async with meter as busy:
        took = await _acknowledge(hub, online)
    return took, busy[0], hub.store.inside - before


async def _beside_publishing(bench: Bench, hub: Hub, users: int, online: int) -> tuple[Took, Took, float]:
    """Return how long a publish takes normally, and meanwhile; and how long it took."""
    took: list[float] = []
    ending = asyncio.Event()

    async def publish(dice: random.Random) -> None:
        while not ending.is_set():
            begun = time.perf_counter()
            await hub.store.publish(publication([user(dice.randrange(users)).user], len(took)), now())
            took.append(time.perf_counter() - begun)

    publishers = [asyncio.ensure_future(publish(random.Random(number))) for number in range(PUBLISHERS)]
    await asyncio.sleep(bench.seconds / 2)  # to warm up
    took.clear()
    await asyncio.sleep(bench.seconds)
    normal = Took.of(took)
    took.clear()
    absorbed = await _acknowledge(hub, online)
    meanwhile = Took.of(took)
    ending.set()
    await asyncio.gather(*publishers)
    return normal, meanwhile, absorbed


async def _acknowledge(hub: Hub, online: int) -> float:
    """Have so many users see a new broadcast; returns how long it took."""
    published = await hub.store.publish(publication((), 0, audience=BROADCAST), now())
    seen = Selection(ids=(published.id,))
    waiting = iter(random.Random(online).sample(range(online), online))

    async def clients() -> None:
        for number in waiting:
            acknowledged = await hub.inbox.mark(user(number), MarkAction.SEEN, seen)
            assert acknowledged.out.changed == 1

    begun = time.perf_counter()
    await asyncio.gather(*(clients() for _ in range(AT_ONCE)))
    return time.perf_counter() - begun


@asynccontextmanager
async def _sqlite_busy() -> AsyncIterator[list[float]]:
    """Tell, at the end, how long calls of the library took during a block: statements, and COMMIT with its flush."""
    spent, plain = [0.0], aiosqlite.Connection._execute

    async def timed(self: aiosqlite.Connection, fn: Callable[..., Any], *values: Any, **named: Any) -> Any:
        def in_thread(*values: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return fn(*values, **named)
            finally:
                spent[0] += time.perf_counter() - begun

        return await plain(self, in_thread, *values, **named)  # type: ignore[no-untyped-call]  # it has no types

    aiosqlite.Connection._execute = timed  # type: ignore[method-assign]  # it has no hook for it
    try:
        yield spent
    finally:
        aiosqlite.Connection._execute = plain  # type: ignore[method-assign]  # put back


@asynccontextmanager
async def _postgres_busy(hub: Hub) -> AsyncIterator[list[float]]:
    """Tell, at the end, for how long the server says that it was at work during a block."""
    spent: list[float] = []
    before = await _active(hub)
    yield spent
    spent.append(await _active(hub) - before)


async def _active(hub: Hub) -> float:
    # A session tells of its time now and then, and as it ends: the hub's are ended, it opens others.
    await hub.database._writing.dispose()
    connection = await asyncpg.connect(hub.url)
    try:
        while await connection.fetchval(_OTHERS):
            pass
        active: float = await connection.fetchval(_ACTIVE)
    finally:
        await connection.close()
    return active / 1e3


_ACTIVE = "SELECT active_time FROM pg_stat_database WHERE datname = current_database()"
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
