"""How long after its time a step goes out, while there is nothing else to do."""

from __future__ import annotations

import asyncio
import random
import statistics
from uuid import UUID

from hub.bus.redis import RedisBus
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from tests.benchmarks.fallback.bench import Bench, publication, worker
from tests.benchmarks.gateway.machine import SERVER_CORES
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish.publisher import now as now_ms

MOST = 250.0
"""Milliseconds."""
LONGEST = 3_000
"""Milliseconds after which a step of this case is due at the latest."""


async def lag(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Notifications now and then, each with a step due up to three seconds later; the worker has nothing else to do.

    From the time that a step is due to the call of the provider.
    """
    dice = random.Random(11)
    due: dict[UUID, int] = {}
    async with bench.database() as own, worker(own, SERVER_CORES, times=True) as working:
        working.go()
        bus = RedisBus(own.redis_url)
        async with await open_database(own.postgres_url) as database:
            store = SqlInboxStore(database)
            for number in range(50 if bench.quick else 400):
                at = now_ms()
                sent = publication(number, dice.randrange(LONGEST), at)
                await store.publish(sent, at)
                due[sent.deliveries[0].id] = sent.deliveries[0].due_at
                await bus.announce_due(sent.deliveries[0].due_at)
                await asyncio.sleep(dice.random() / 10)
        await asyncio.sleep(LONGEST / 1000 + 1)
        await bus.close()
        working.go()
        took = []
        while (line := await working.line()) != "done":
            delivery, at_ms = line.split()
            took.append(max(0.0, float(at_ms) - due.pop(UUID(delivery))))
    assert not due, f"{len(due)} were never sent"
    percentiles = statistics.quantiles(took, n=100, method="inclusive")
    return [
        Figure("Bellwire", "after its time, p50", percentiles[49], "ms"),
        Figure("Bellwire", "after its time, p99", percentiles[98], "ms"),
        Figure("Bellwire", "after its time, the worst", max(took), "ms"),
    ], [Bar("p99, ms", percentiles[98], MOST, at_least=False)]
