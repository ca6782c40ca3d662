"""From a publish at one node to a socket on another, beside the least that its parts take."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.bench import Bench
from tests.benchmarks.gateway.machine import all_cores, unpinned
from tests.benchmarks.gateway.resp import Resp, resp
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import WebSocketStream, mark

RATE = 100
"""Publishes a second."""

USERS = 100
_BLOCKS = 3
_SECONDS = 10.0
_LANES = 8
"""Connections of the publisher, and of the bare commits to the database."""

_CHANNEL = b"bench:bare"
_WORDS = "x" * 200

Start = Callable[[int], Awaitable[object]]


class _Watch:
    """Notes when each message was sent and when it was there."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self._sent: dict[int, int] = {}
        self._done = asyncio.Event()

    def sent(self, number: int) -> None:
        self._done.clear()
        self._sent[number] = time.perf_counter_ns()

    def there(self, number: int) -> None:
        now = time.perf_counter_ns()
        self.milliseconds.append((now - self._sent.pop(number)) / 1e6)
        if not self._sent:
            self._done.set()

    async def all_there(self) -> None:
        async with asyncio.timeout(swarm.PATIENCE):
            await self._done.wait()

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


async def latency(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """100 publishes a second for 30 s, on a fixed timetable, each to one of 100 users, connected to another node;
    the time runs from before the request is written until the frame is read. In turns with it, 10 s each: a bare
    commit (one row, asyncpg, fsync on) followed by a bare Redis PUBLISH until its subscriber has it, at the same rate.
    PostgreSQL, Valkey, both nodes and the load share all cores; nothing is pinned.
    """
    with unpinned(bench.services.postgres, bench.services.redis):
        return await _latency(bench)


async def _latency(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    hub, bare = _Watch(), _Watch()
    count = int(RATE * (1.0 if bench.quick else _SECONDS))
    async with _hub_lanes(bench, hub) as publish, _bare_lanes(bench, bare) as commit:
        await _timetable(publish, range(USERS))  # to warm up
        await _timetable(commit, range(USERS))
        await asyncio.gather(hub.all_there(), bare.all_there())
        hub.milliseconds.clear()
        bare.milliseconds.clear()
        with bench.screen.task("Bellwire: publishes", 2 * _BLOCKS) as done:
            for block in range(_BLOCKS):
                numbers = range(USERS + block * count, USERS + (block + 1) * count)
                for start, watch in ((publish, hub), (commit, bare)):
                    await _timetable(start, numbers)
                    await watch.all_there()
                    done()
    p50, p99, bare_p50, bare_p99 = (watch.percentile(percent) for watch in (hub, bare) for percent in (50, 99))
    whose = "POST at node A → frame read from node B"
    least = "commit, then PUBLISH → subscriber"
    return [
        Figure("Bellwire", "latency p50", p50, "ms", whose, plotted=True),
        Figure("Bellwire", "latency p99", p99, "ms", whose, plotted=True),
        Figure("bare commit + Redis", "latency p50", bare_p50, "ms", least, plotted=True),
        Figure("bare commit + Redis", "latency p99", bare_p99, "ms", least, plotted=True),
    ], [
        Bar("p50 × bare", p50 / bare_p50, 3, at_least=False),
        Bar("p99 × bare", p99 / bare_p99, 5, at_least=False),
    ]


async def _timetable(start: Start, numbers: range) -> None:
    """Start each at its time, whether or not those before are done; returns when all are."""
    begin = time.perf_counter()
    under_way = []
    for turn, number in enumerate(numbers):
        await asyncio.sleep(begin + turn / RATE - time.perf_counter())
        under_way.append(asyncio.ensure_future(start(number)))
    await asyncio.gather(*under_way)


@asynccontextmanager
async def _hub_lanes(bench: Bench, watch: _Watch) -> AsyncIterator[Start]:
    """Publish at one node to users whose sockets are on the other."""
    async with AsyncExitStack() as stack:
        here = stack.enter_context(bellwire.node(bench.services, all_cores(), bench.folder))
        there = stack.enter_context(bellwire.node(bench.services, all_cores(), bench.folder))
        load = _Listening(there.port, watch)
        stack.push_async_callback(load.close)
        await load.open(range(USERS))
        lanes = [await stack.enter_async_context(here.publisher()) for _ in range(_LANES)]

        async def publish(number: int) -> None:
            user = number % USERS
            body = bellwire.notification(mark(number // USERS, user) + _WORDS, bellwire.name_of(user))
            watch.sent(number)
            await lanes[number % _LANES].post(body)

        load.expect(1_000_000)
        yield publish


@asynccontextmanager
async def _bare_lanes(bench: Bench, watch: _Watch) -> AsyncIterator[Start]:
    """Commit one row, publish one message, and hear it."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(bench.services.postgres_url, min_size=_LANES, max_size=_LANES)
        )
        await pool.execute("CREATE TABLE bench_bare (id bigint PRIMARY KEY, words text NOT NULL)")
        hearing = await stack.enter_async_context(
            resp(bench.services.redis_url, lambda payload: watch.there(int(payload)))
        )
        await _subscribe(hearing)
        saying = await stack.enter_async_context(resp(bench.services.redis_url))

        async def commit(number: int) -> None:
            watch.sent(number)
            await pool.execute("INSERT INTO bench_bare VALUES ($1, $2)", number, _WORDS)
            await saying.call(b"PUBLISH", _CHANNEL, b"%d" % number)

        yield commit


async def _subscribe(connection: Resp) -> None:
    await connection.call(b"SUBSCRIBE", _CHANNEL)


class _Listening(swarm.Swarm):
    """Users' sockets; each message is timed as it arrives."""

    def __init__(self, port: int, watch: _Watch) -> None:
        super().__init__(_TimedStream, port, _request)
        self.watch = watch


class _TimedStream(WebSocketStream):
    __slots__ = ()

    def messages(self, data: bytes, start: int, end: int) -> int:
        first = self._next
        found = super().messages(data, start, end)
        assert isinstance(self.swarm, _Listening)
        for number in range(first, self._next):
            self.swarm.watch.there(number * USERS + self.name)
        return found


def _request(number: int) -> bytes:
    return swarm.websocket_request("/v1/ws", bellwire.authorization(bellwire.name_of(number)))
