"""A thousand notifications a call."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Iterator
from itertools import islice

import msgspec

from hub.store.migrate import migrate
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish import rows, servers
from tests.benchmarks.publish.bench import BLOCKS, Bench, Rate, measure, requests

BATCH = 1_000
CALLERS = 4
PATH = "/v1/notifications/batch"

OF_DRIVER = 0.5


async def batches(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """4 callers, each posting batches of 1,000 notifications to 2,000 users, with an idempotency key each or without.

    The hub has core 0; the callers and PostgreSQL share the other. Beside it, a driver that inserts the same rows
    (contents, items, wake-up rows; no heads to lock, count and update) in transactions of 1,000, ready-made: asyncpg
    with one array a column over two connections, and sqlite3 with `executemany`.
    """
    figures, bars = [], []
    for name in ("PostgreSQL", "SQLite"):
        floor = statistics.median([await _driver(bench, name) for _ in range(BLOCKS)])
        plain, keyed = await _rate(bench, name, keyed=False), await _rate(bench, name, keyed=True)
        figures += [
            Figure(f"bare driver, {name}", "notifications", floor, "/s", plotted=True),
            *_figures(name, plain),
            *_figures(f"{name}, with keys", keyed),
        ]
        bars.append(Bar(f"{name}: × bare driver", plain.per_second / floor, OF_DRIVER))
    return figures, bars


async def _driver(bench: Bench, name: str) -> float:
    if name == "SQLite":
        async with bench.sqlite() as url:
            await migrate(url)
            return await asyncio.to_thread(rows.sqlite, url.removeprefix("sqlite:///"), bench.seconds)
    async with bench.postgres("driver") as url:
        return await rows.postgres(url, bench.seconds)


async def _rate(bench: Bench, name: str, *, keyed: bool) -> Rate:
    # With keys, each body has to be made anew; without, a few go round.
    source = requests(random.Random(7), keyed=keyed)
    ready = [_body(source) for _ in range(20)]
    turn = iter(range(10**9))

    def next_body() -> bytes:
        return _body(source) if keyed else ready[next(turn) % len(ready)]

    async with bench.sqlite() if name == "SQLite" else bench.postgres("batches") as url:
        with servers.bellwire(bench.folder, url) as server:
            return await measure(bench, server, PATH, CALLERS, next_body, each=BATCH)


def _body(source: Iterator[dict[str, object]]) -> bytes:
    return msgspec.json.encode({"notifications": list(islice(source, BATCH))})


def _figures(system: str, rate: Rate) -> list[Figure]:
    return [
        Figure(system, "notifications", rate.per_second, "/s", plotted=True),
        Figure(system, "for each", rate.cpu_each, "µs", "the hub's processor time"),
        Figure(system, "a batch answered after, p50", rate.p50, "ms"),
    ]
