"""Several processes on one database."""

from __future__ import annotations

import asyncio
import statistics
import sys

import msgspec

from tests.benchmarks.gateway.machine import unpinned
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish.bench import BLOCKS, USERS, Bench
from tests.benchmarks.publish.publisher import Done

_PROGRAM = "tests.benchmarks.publish.publisher"

OF_ONE = 0.5


async def contention(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """64 callers a process publish to one to four users at random; then half of these acknowledge with `seen`.

    Two processes over the same 2,000 users, beside one process that has its users for itself, and two that have. Here
    processes and PostgreSQL share all cores. A deadlock would be met by PostgreSQL, repeated, and counted here.
    """
    figures: list[Figure] = []
    operations: dict[str, float] = {}
    repeated = 0.0
    for system, ranges in (
        ("one process", [range(USERS)]),
        ("two, each its own users", [range(USERS), range(USERS, 2 * USERS)]),
        ("two, the same users", [range(USERS)] * 2),
    ):
        blocks = [await _together(bench, ranges) for _ in range(BLOCKS)]
        published = statistics.median(done.published for done in blocks) / bench.seconds
        marked = statistics.median(done.marked for done in blocks) / bench.seconds
        operations[system] = published + marked
        repeated = sum(done.repeated for done in blocks)
        figures += [
            Figure(system, "publishes and acknowledgements", published + marked, "/s", plotted=True),
            Figure(system, "of these publishes", published, "/s"),
            Figure(system, "transactions repeated", repeated, ""),
        ]
    shared = operations["two, the same users"] / operations["one process"]
    return figures, [
        Bar("× one process over its own users", shared, OF_ONE),
        Bar("deadlocks and other conflicts", repeated, 0, at_least=False),
    ]


async def _together(bench: Bench, ranges: list[range]) -> Done:
    """Run a process for each range, all at the same time, and add up what they did."""
    async with bench.postgres("contention") as url:
        with unpinned(bench.services.postgres):
            processes = [
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", _PROGRAM, url, str(users.start), str(users.stop), str(bench.seconds)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
                for users in ranges
            ]
            for process in processes:
                assert process.stdout is not None
                await process.stdout.readline()
            printed = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    total = Done()
    for out, _ in printed:
        done = msgspec.json.decode(out, type=Done)
        total = Done(total.published + done.published, total.marked + done.marked, total.repeated + done.repeated)
    return total
