"""A full queue, worked off by one process, and by two."""

from __future__ import annotations

from collections.abc import Collection

from tests.benchmarks.fallback import bullmq
from tests.benchmarks.fallback.bench import BLOCKS, Bench, Meter, WorkedOff, fill, work_off
from tests.benchmarks.fallback.worker import CONCURRENCY
from tests.benchmarks.gateway.machine import SERVER_CORES, all_cores, load_cores, unpinned
from tests.benchmarks.gateway.results import Bar, Figure

OF_BULLMQ = 1.5
OF_ONE = 1.6
SLOW = 0.05
"""Seconds that a provider takes which answers like one on the network."""


async def processing(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """One worker process with 100 deliveries at once, and a provider that does nothing, works a full queue off.

    Of each delivery: claimed with its content and its user's addresses, decided, rendered as text, read once more
    whether its user has seen it, sent, and settled with its attempt. BullMQ: one process, concurrency 100, a job that
    does nothing; with Valkey in memory only, and with Valkey flushing its log to the disk before it answers
    (`appendfsync always`), which is what PostgreSQL does here. The worker has core 0; PostgreSQL or Valkey has the
    other.
    """
    ours: list[WorkedOff] = []
    peers: list[WorkedOff] = []
    flushed: list[WorkedOff] = []
    for _ in range(BLOCKS):
        ours.append(await _ours(bench, [SERVER_CORES]))
        peers.append(await _bullmq(bench, flushed=False))
        flushed.append(await _bullmq(bench, flushed=True))
    own, peer, safe = map(WorkedOff.median, (ours, peers, flushed))
    return [
        *_figures("Bellwire", "deliveries", own, "PostgreSQL"),
        *_figures("BullMQ", "jobs", peer, "Valkey"),
        *_figures("BullMQ, flushed", "jobs", safe, "Valkey"),
    ], [Bar("× BullMQ", own.rate / peer.rate, OF_BULLMQ)]


async def workers(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """The same queue worked off by one process and by two; here workers and PostgreSQL share all cores.

    Once with a provider that does nothing: then one worker and PostgreSQL keep two cores busy, and what two workers add
    is bounded by the processor time of a delivery, theirs and PostgreSQL's together. And once with a provider that
    takes 50 ms, as one on the network does: then 100 deliveries at once bound what one worker can do.
    """
    figures: list[Figure] = []
    bars: list[Bar] = []
    with unpinned(bench.services.postgres):
        for takes, what in ((0.0, "deliveries"), (SLOW, "deliveries, provider of 50 ms")):
            one: list[WorkedOff] = []
            two: list[WorkedOff] = []
            for _ in range(BLOCKS):
                one.append(await _ours(bench, [all_cores()], takes=takes))
                two.append(await _ours(bench, [all_cores()] * 2, takes=takes))
            alone, together = WorkedOff.median(one), WorkedOff.median(two)
            figures += _figures("one worker", what, alone, "PostgreSQL")
            figures += _figures("two workers", what, together, "PostgreSQL")
            bars.append(Bar(f"× one worker, {what}", together.rate / alone.rate, OF_ONE))
    return figures, bars


def _figures(system: str, what: str, found: WorkedOff, store: str) -> list[Figure]:
    return [
        Figure(system, what, found.rate, "/s", plotted=what in {"deliveries", "jobs"}),
        Figure(system, "processor time of each", found.worker, "µs", "worker"),
        Figure(system, "processor time of each", found.store, "µs", store),
    ]


async def _ours(bench: Bench, cores: Collection[Collection[int]], *, takes: float = 0) -> WorkedOff:
    count = bench.deliveries // (3 if takes else 1)
    async with bench.database() as own:
        await fill(own.postgres_url, count)
        return await work_off(own, count, cores, takes=takes)


async def _bullmq(bench: Bench, *, flushed: bool) -> WorkedOff:
    async with bench.database() as own, bullmq.flushing(own.redis_url, flushed=flushed):
        async with bullmq.adding(own.redis_url, bench.deliveries, 0, load_cores()) as adding:
            adding.go()
            await adding.line()
        async with bullmq.working(own.redis_url, bench.deliveries, CONCURRENCY, SERVER_CORES) as working:
            working.go()
            warm = int(await working.line())
            meter = Meter([working.pid], own.redis)
            await working.line()
            return meter.read(bench.deliveries - warm)
