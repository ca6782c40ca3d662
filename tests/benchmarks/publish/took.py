"""How long single calls took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.benchmarks.gateway.results import Figure
from tests.benchmarks.gateway.swarm import without_collections

Call = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Took:
        """Take the percentiles of so many calls."""
        percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(percentiles[49] * 1e3, percentiles[98] * 1e3)

    def figures(self, system: str, what: str) -> list[Figure]:
        """Return them for the report."""
        return [Figure(system, f"{what}, p50", self.p50, "ms"), Figure(system, f"{what}, p99", self.p99, "ms")]


async def one_by_one(call: Call, times: int, *, warm_up: int) -> Took:
    """Make calls, numbered from 0, one after the other."""
    took: list[float] = []
    for number in range(warm_up):
        await call(number)
    with without_collections():
        for number in range(times):
            begun = time.perf_counter()
            await call(number)
            took.append(time.perf_counter() - begun)
    return Took.of(took)
