"""One notification a call."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.publish import servers
from tests.benchmarks.publish.bench import Bench, Rate, bodies, measure

CALLERS = 64
PATH = "/v1/notifications"

OF_BARE = 0.4
OF_ONE_BY_ONE = 5.0


async def singles(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """64 callers, each publishing to one of 2,000 users as soon as it has its last answer.

    The hub has core 0; the callers and PostgreSQL share the other. The ceiling is a bare Starlette endpoint under the
    same server, loop and load, which reads the same JSON into the same model and answers. One commit each is the same
    hub with groups of one. Without Redis where nothing else is said.
    """
    ceiling = await _rate(bench, "bare")
    figures = _figures("bare endpoint", ceiling)
    bars = []
    for name in ("PostgreSQL", "SQLite"):
        grouped, alone = await _rate(bench, name), await _rate(bench, name, grouped=False)
        figures += _figures(name, grouped) + _figures(f"{name}, one commit each", alone)
        bars += [
            Bar(f"{name}: × bare endpoint", grouped.per_second / ceiling.per_second, OF_BARE),
            Bar(f"{name}: × one commit each", grouped.per_second / alone.per_second, OF_ONE_BY_ONE),
        ]
    figures += _figures("PostgreSQL, with Redis", await _rate(bench, "PostgreSQL", redis=True))
    figures += _figures("PostgreSQL, one caller", await _rate(bench, "PostgreSQL", callers=1))
    figures += _figures("SQLite, one caller", await _rate(bench, "SQLite", callers=1))
    return figures, bars


async def _rate(bench: Bench, name: str, *, grouped: bool = True, redis: bool = False, callers: int = CALLERS) -> Rate:
    async with AsyncExitStack() as stack:
        if name == "bare":
            server = stack.enter_context(servers.bare(bench.folder))
        else:
            database = bench.sqlite() if name == "SQLite" else bench.postgres("singles")
            url = await stack.enter_async_context(database)
            redis_url = bench.services.redis_url if redis else None
            server = stack.enter_context(servers.bellwire(bench.folder, url, redis_url, grouped=grouped))
        return await measure(bench, server, PATH, callers, bodies().__next__)


def _figures(system: str, rate: Rate) -> list[Figure]:
    return [
        Figure(system, "publishes", rate.per_second, "/s", plotted=True),
        Figure(system, "for each", rate.cpu_each, "µs", "the hub's processor time"),
        Figure(system, "answered after, p50", rate.p50, "ms"),
        Figure(system, "answered after, p99", rate.p99, "ms"),
    ]
