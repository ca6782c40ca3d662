"""One notification for a shared audience."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import BROADCAST
from hub.store.tables import metadata
from tests.benchmarks.gateway.machine import unpinned
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish.bench import Bench
from tests.benchmarks.publish.databases import SYSTEMS, Hub
from tests.benchmarks.publish.publisher import now, publication
from tests.benchmarks.publish.took import Took, one_by_one
from tests.support.population import EVERYBODY

CALLERS = 1
SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = (1_000, 10_000)
AUDIENCES = {"broadcast": BROADCAST, "topic": EVERYBODY}

PLOTTED = tuple(AUDIENCES)

CONSTANT = 1.5
_WARM_UP = 20


class _Cost(NamedTuple):
    """Of one publish."""

    rows: float
    took: Took


async def audiences(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """A broadcast to all users, and a notification to a topic of which all of them are members, one after the other.

    Everybody's inbox exists, with ten own items, and the tenant's log has 10,000 shared items already. Called is
    `InboxStore.publish`, 500 times each; the rows of all tables are counted in the database before and after. The
    process and PostgreSQL share all cores. Constant: what it is for the most users beside the fewest.
    """
    figures: list[Figure] = []
    bars: list[Bar] = []
    for system in SYSTEMS:
        costs = {users: await _costs(bench, system, users) for users in (QUICK_SIZES if bench.quick else SIZES)}
        few, many = costs[min(costs)], costs[max(costs)]
        for users, each in costs.items():
            for audience, cost in each.items():
                name = f"{system}, {users:,} users"
                figures += [
                    Figure(name, f"{audience}, rows for each", cost.rows, ""),
                    *cost.took.figures(name, audience),
                ]
        for audience in AUDIENCES:
            grown = many[audience].took.p50 / few[audience].took.p50
            more = many[audience].rows - few[audience].rows
            bars += [
                Bar(
                    f"{system}, {audience} to {max(costs):,}: rows more than to {min(costs):,}", more, 0, at_least=False
                ),
                Bar(f"{system}, {audience} to {max(costs):,}: × as long", grown, CONSTANT, at_least=False),
            ]
    return figures, bars


async def _costs(bench: Bench, system: str, users: int) -> Mapping[str, _Cost]:
    url = await bench.databases.url(system, users)
    times = 50 if bench.quick else 500
    async with AsyncExitStack() as stack:
        hub = await Hub.open(url, stack)
        stack.enter_context(unpinned(bench.services.postgres))
        costs = {}
        for audience, topic in AUDIENCES.items():

            async def publish(number: int, topic: str = topic) -> None:
                await hub.store.publish(publication((), number, audience=topic), now())

            before = await hub.database.read(_rows)
            took = await one_by_one(publish, times, warm_up=_WARM_UP)
            written = await hub.database.read(_rows) - before
            costs[audience] = _Cost(written / (times + _WARM_UP), took)
    return costs


async def _rows(connection: AsyncConnection) -> int:
    """Count the rows of all tables."""
    total = 0
    for table in metadata.sorted_tables:
        total += (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
    return total
