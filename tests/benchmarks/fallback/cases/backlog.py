"""Claims from a short queue and from a long one, after churn that no vacuum could clean up."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import asyncpg

from hub.core.model import Channel, DeliveryState, Priority
from hub.ports import DeliveryQueue, Lane, Settlement
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.engine import open_database
from tests.benchmarks.fallback.bench import BATCH, LATER, Bench, fill, multiply, publish
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish.publisher import now as now_ms

SLOWER = 2.0
SHORT = 1_000
LANE = Lane(Channel.EMAIL, Priority.NORMAL)
AT_ONCE = 100
LEASE = 30_000


async def backlog(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """The time of a claim of 100 deliveries that are due, beside 1,000 and beside 1,000,000 that are due a day later.

    Meanwhile a transaction holds a snapshot from before everything that is claimed and settled, for 60 seconds, so that
    no vacuum can remove what the churn leaves behind: it counts in the second half of it. What the snapshot itself
    costs is told by the same without it; there is a metric of the oldest, and an alert on it (docs/operating.md).
    """
    undisturbed = await _claims(bench, SHORT, snapshot=False)
    short = await _claims(bench, SHORT, snapshot=True)
    long = await _claims(bench, bench.backlog, snapshot=True)
    few, many = f"{SHORT:,} queued for later", f"{bench.backlog:,} queued for later"
    what = "a claim of 100, p50"
    return [
        Figure(f"{few}, no snapshot", what, statistics.median(undisturbed), "ms"),
        Figure(few, what, statistics.median(short), "ms", plotted=True),
        Figure(many, what, statistics.median(long), "ms", plotted=True),
        Figure(many, "a claim of 100, p99", _p99(long), "ms"),
    ], [Bar("times as slow", statistics.median(long) / statistics.median(short), SLOWER, at_least=False)]


async def _claims(bench: Bench, later: int, *, snapshot: bool) -> list[float]:
    async with bench.database() as own:
        await fill(own.postgres_url, SHORT, after=LATER)
        if later > SHORT:
            await multiply(own.postgres_url, later // SHORT)
        held = _snapshot(own.postgres_url) if snapshot else nullcontext()
        async with held, await open_database(own.postgres_url) as database:
            queue = SqlDeliveryQueue(database)
            end = time.perf_counter() + (5 if bench.quick else 60 if snapshot else 20)
            took: list[float] = []
            while time.perf_counter() < end:
                await publish(own.postgres_url, BATCH)
                took += await _work_off(queue)
            return took[len(took) // 2 :]  # the second half of the churn


async def _work_off(queue: DeliveryQueue) -> list[float]:
    """Claim and settle until nothing is due; returns the milliseconds that each claim took."""
    took: list[float] = []
    while True:
        begun = time.perf_counter()
        claims = await queue.claim(LANE, now_ms(), LEASE, AT_ONCE)
        if not claims:
            return took
        took.append((time.perf_counter() - begun) * 1000)
        await queue.settle(
            [
                Settlement(each.delivery.id, each.delivery.tenant, each.delivery.fence, DeliveryState.SENT, None)
                for each in claims
            ],
            now_ms(),
        )


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[None]:
    """Hold a snapshot, as a dump does."""
    connection = await asyncpg.connect(url)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetchval("SELECT count(*) FROM meta")
        yield
    await connection.close()


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]
