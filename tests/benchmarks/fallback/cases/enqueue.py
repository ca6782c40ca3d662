"""Deliveries that are queued for later, as part of publishing."""

from __future__ import annotations

import statistics
import sys

from tests.benchmarks.fallback import bullmq
from tests.benchmarks.fallback.bench import BLOCKS, LATER, Bench
from tests.benchmarks.fallback.told import Told
from tests.benchmarks.gateway.machine import SERVER_CORES
from tests.benchmarks.gateway.results import Bar, Figure

OF_BULLMQ = 1.0


async def enqueue(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Notifications to one user each, with an e-mail a day later, published 1,000 at a time, two such batches at once.

    Each is checked, and stored with its inbox item, its user's counts and its delivery, in a transaction that is on the
    disk when it is said to be. BullMQ: `addBulk`, 1,000 at a time, with a delay of a day; Valkey keeps it in memory.
    Both as a library in one process on core 0, without HTTP.
    """
    ours, theirs = [], []
    for _ in range(BLOCKS):
        async with bench.database() as own:
            command = [sys.executable, "-m", "tests.benchmarks.fallback.adder", own.postgres_url]
            ours.append(await _rate(Told([*command, str(bench.deliveries), str(LATER)], SERVER_CORES)))
            theirs.append(await _rate(bullmq.adding(own.redis_url, bench.deliveries, LATER, SERVER_CORES)))
    bellwire, peer = statistics.median(ours), statistics.median(theirs)
    return [
        Figure("Bellwire", "notifications with a delivery", bellwire, "/s", plotted=True),
        Figure("BullMQ", "delayed jobs", peer, "/s", plotted=True),
    ], [Bar("× BullMQ", bellwire / peer, OF_BULLMQ)]


async def _rate(adder: Told) -> float:
    async with adder as adding:
        adding.go()
        return float(await adding.line())
