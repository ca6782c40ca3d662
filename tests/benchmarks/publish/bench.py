"""What every case is given, and the callers that publish."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import msgspec

from tests.benchmarks.gateway.bellwire import Services, fresh, name_of
from tests.benchmarks.gateway.cpu import Meter
from tests.benchmarks.gateway.swarm import without_collections
from tests.benchmarks.publish.databases import Databases
from tests.benchmarks.publish.load import Callers
from tests.benchmarks.publish.servers import HEADERS, Server

BLOCKS = 3
"""A figure is the median of so many blocks."""
USERS = 2_000


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of a run."""

    quick: bool
    folder: Path
    services: Services
    databases: Databases

    @property
    def seconds(self) -> float:
        """How long a block takes."""
        return 1.0 if self.quick else 5.0

    @asynccontextmanager
    async def postgres(self, name: str) -> AsyncIterator[str]:
        """Lend an empty database with the schema."""
        async with fresh(self.services, f"bench_{name}") as own:
            yield own.postgres_url

    @asynccontextmanager
    async def sqlite(self) -> AsyncIterator[str]:
        """Lend the place for a new file, on the same disk."""
        with tempfile.TemporaryDirectory(prefix="bellwire-bench-") as folder:
            yield f"sqlite:///{folder}/bench.db"


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast something went."""

    per_second: float
    cpu_each: float
    """Microseconds of the server's processor time for each."""
    p50: float
    p99: float
    """Milliseconds that a call took."""


def requests(dice: random.Random, *, keyed: bool = False) -> Iterator[dict[str, object]]:
    """Make requests as services send them, each to one user; with `keyed`, each has its idempotency key."""
    number = 0
    while True:
        number += 1
        order = dice.randrange(10**6)
        body: dict[str, object] = {
            "recipients": [name_of(dice.randrange(USERS))],
            "category": "order.shipped",
            "title": f"Your order {order} is on its way",
            "body": "It left our warehouse this morning, and should arrive on Thursday between nine and noon.",
            "action_url": f"/orders/{order}",
            "data": {"order": order, "carrier": "Acme Parcel", "pieces": dice.randrange(1, 5)},
        }
        yield body | ({"idempotency_key": f"{dice.random()}-{number}"} if keyed else {})


def bodies() -> Iterator[bytes]:
    """Encode such requests, each for a call of its own; some thousands that go round."""
    return cycle([msgspec.json.encode(body) for body in islice(requests(random.Random(7)), 5_000)])


async def measure(
    bench: Bench, server: Server, path: str, callers: int, next_body: Callable[[], bytes], *, each: int = 1
) -> Rate:
    """Let callers post one after the other, each as soon as it has its answer; `each`: publishes in one call."""
    rates, cpu, took = [], [], list[float]()
    meter, load = Meter(server.pid), Callers(server.port, path, HEADERS, next_body)
    await load.open(callers)
    try:
        with without_collections():
            await load.run(bench.seconds / 2)  # to warm up
            for _ in range(BLOCKS):
                meter.start()
                calls = await load.run(bench.seconds)
                spent = meter.read()
                rates.append(len(calls) * each / spent.wall)
                cpu.append(spent.cpu / (len(calls) * each) * 1e6)
                took += calls
    finally:
        load.close()
    percentiles = statistics.quantiles(took, n=100, method="inclusive")
    return Rate(statistics.median(rates), statistics.median(cpu), percentiles[49] * 1e3, percentiles[98] * 1e3)
