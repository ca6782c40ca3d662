"""A full queue, worked off by one process, and by two."""

from __future__ import annotations

import statistics
from collections.abc import Collection

from tests.benchmarks.fallback import bullmq
from tests.benchmarks.fallback.bench import BLOCKS, Bench, fill, work_off
from tests.benchmarks.fallback.worker import CONCURRENCY
from tests.benchmarks.gateway.machine import SERVER_CORES, all_cores, load_cores, unpinned
from tests.benchmarks.gateway.results import Bar, Figure

OF_BULLMQ = 1.5
OF_ONE = 1.6


async def processing(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """One worker process with 100 deliveries at once, and a provider that does nothing, works a full queue off.

    Of each delivery: claimed with its content and its user's addresses, decided, rendered (an e-mail with HTML), read
    once more whether its user has seen it, sent, and settled with its attempt. BullMQ: one process, concurrency 100, a
    job that does nothing. The worker has core 0; PostgreSQL or Valkey has the other.
    """
    rates, peers = [], []
    for _ in range(BLOCKS):
        rates.append(bench.deliveries / await _ours(bench, [SERVER_CORES]))
        peers.append(bench.deliveries / await _bullmq(bench))
    ours, theirs = statistics.median(rates), statistics.median(peers)
    return [
        Figure("Bellwire", "deliveries", ours, "/s", plotted=True),
        Figure("BullMQ", "jobs", theirs, "/s", plotted=True),
    ], [Bar("× BullMQ", ours / theirs, OF_BULLMQ)]


async def workers(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """The same queue worked off by one process and by two; here workers and PostgreSQL share all cores."""
    one, two = [], []
    with unpinned(bench.services.postgres):
        for _ in range(BLOCKS):
            one.append(bench.deliveries / await _ours(bench, [all_cores()]))
            two.append(bench.deliveries / await _ours(bench, [all_cores()] * 2))
    alone, together = statistics.median(one), statistics.median(two)
    return [
        Figure("one worker", "deliveries", alone, "/s", plotted=True),
        Figure("two workers", "deliveries", together, "/s", plotted=True),
    ], [Bar("× one worker", together / alone, OF_ONE)]


async def _ours(bench: Bench, cores: Collection[Collection[int]]) -> float:
    async with bench.database() as own:
        await fill(own.postgres_url, bench.deliveries)
        return await work_off(own, bench.deliveries, cores)


async def _bullmq(bench: Bench) -> float:
    async with bench.database() as own:
        async with bullmq.adding(own.redis_url, bench.deliveries, 0, load_cores()) as adding:
            adding.go()
            await adding.line()
        async with bullmq.working(own.redis_url, bench.deliveries, CONCURRENCY, SERVER_CORES) as working:
            working.go()
            return float(await working.line()) / 1000
