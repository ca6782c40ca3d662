"""As many connections as one machine is to hold, over several nodes, and a message to every one of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from tests.benchmarks.gateway import bellwire
from tests.benchmarks.gateway.bench import Bench
from tests.benchmarks.gateway.cpu import Meter, resident_bytes
from tests.benchmarks.gateway.fleet_load import Order, Told
from tests.benchmarks.gateway.http import Poster
from tests.benchmarks.gateway.machine import all_cores, unpinned
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import mark
from tests.benchmarks.gateway.swarm import LoadFailed

CONNECTIONS = 50_000
NODES = 4
CHUNK = 1_000
"""Recipients of one publish."""

_IN_FLIGHT = 4
"""Publishes under way at once."""

_OPENING = 400.0
"""Seconds that the fleet may take to connect."""


async def fleet(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Four nodes, a load process for each, and every connection its own user; then one notification to all of them, in
    calls of 1,000 recipients spread over the nodes. It counts as reached when every client has the message once.
    Nodes, load, PostgreSQL and Valkey share all cores.
    """
    with unpinned(bench.services.postgres, bench.services.redis):
        return await _fleet(bench, bench.clients * CONNECTIONS // 10_000)


async def _fleet(bench: Bench, total: int) -> tuple[list[Figure], list[Bar]]:
    async with AsyncExitStack() as stack:
        nodes = [stack.enter_context(bellwire.node(bench.services, all_cores(), bench.folder)) for _ in range(NODES)]
        loads = [await stack.enter_async_context(_load()) for _ in nodes]
        before = sum(resident_bytes([node.pid]) for node in nodes)
        begin = time.perf_counter()
        share = total // NODES
        with bench.screen.task(f"Bellwire: nodes full, of {total:,}", NODES) as opened:
            await asyncio.gather(
                *(
                    _open(load, Order(node.port, index * share, (index + 1) * share, bench.rate / NODES), opened)
                    for index, (node, load) in enumerate(zip(nodes, loads, strict=True))
                )
            )
        opening = time.perf_counter() - begin
        await asyncio.sleep(5)
        memory = (sum(resident_bytes([node.pid]) for node in nodes) - before) / total
        meters = [Meter(node.pid) for node in nodes]
        publishers = [await stack.enter_async_context(node.publisher()) for node in nodes]
        for meter in meters:
            meter.start()
        begin = time.perf_counter()
        arrivals = [asyncio.create_task(_told(load)) for load in loads]
        with bench.screen.task("Bellwire: broadcast", total // CHUNK) as done:
            await _broadcast(publishers, total, done)
        published = time.perf_counter() - begin
        reached = sum(await asyncio.gather(*arrivals))
        took = time.perf_counter() - begin
        cpu = sum(meter.read().cpu for meter in meters)
    whose = f"the {NODES} nodes', publishing included"
    return [
        Figure("Bellwire", "connections held", total, "", f"{NODES} nodes"),
        Figure("Bellwire", "clients reached", reached, "", "each exactly once"),
        Figure("Bellwire", "opening all", opening, "s", "by the clock"),
        Figure("Bellwire", "publishing to all", published, "s", f"by the clock, calls of {CHUNK:,} recipients"),
        Figure("Bellwire", "until the last client had it", took, "s", "by the clock, from the first call"),
        Figure("Bellwire", "broadcast", cpu, "s CPU", whose),
        Figure("Bellwire", "memory per connection", memory, "bytes", "RSS of all nodes, less that before"),
    ], [Bar("connections held and reached", reached, total)]


async def _broadcast(publishers: Sequence[Poster], total: int, done: Callable[[], None]) -> None:
    """Publish to everybody, a few calls at a time."""
    starts = iter(range(0, total, CHUNK))

    async def some(publisher: Poster) -> None:
        for start in starts:
            users = (bellwire.name_of(number) for number in range(start, min(start + CHUNK, total)))
            await publisher.post(bellwire.notification(mark(0), *users))
            done()

    await asyncio.gather(*(some(publishers[number % len(publishers)]) for number in range(_IN_FLIGHT)))


async def _open(load: asyncio.subprocess.Process, order: Order, opened: Callable[[], None]) -> None:
    assert load.stdin is not None
    load.stdin.write(msgspec.json.encode(order) + b"\n")
    await _told(load)
    opened()


async def _told(load: asyncio.subprocess.Process) -> int:
    """Wait for a load process's next word; returns its number of clients."""
    assert load.stdout is not None
    async with asyncio.timeout(_OPENING):
        line = await load.stdout.readline()
    if not line:
        raise LoadFailed("a load process ended")
    told = msgspec.json.decode(line, type=Told)
    if told.error is not None:
        raise LoadFailed(told.error)
    return told.clients


@asynccontextmanager
async def _load() -> AsyncIterator[asyncio.subprocess.Process]:
    """A load process; it ends with this one, as its input does."""
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.gateway.fleet_load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the benchmark
    )
    try:
        yield load
    finally:
        load.kill()
        await load.wait()
