"""One publish to a topic, and all of its members online."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from hub.app import open_parts
from hub.core import wire
from hub.keyring import DEFAULT_TENANT
from hub.service import Hub
from hub.settings import Settings
from tests.benchmarks.gateway import bellwire, fleet_load
from tests.benchmarks.gateway.bellwire import Services, fresh, name_of
from tests.benchmarks.gateway.cpu import Meter
from tests.benchmarks.gateway.machine import all_cores, unpinned
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import mark
from tests.benchmarks.gateway.swarm import LoadFailed
from tests.benchmarks.publish.bench import Bench
from tests.benchmarks.publish.crowd import Told

USERS = 100_000
SOCKETS = 20_000
NODES = 4
ROUNDS = 5

AT_MOST = 2.0
"""Seconds of processor time, of all gateways together."""

_TOPIC = "news"
_JOIN_CHUNK = 10_000
_LARGE = 5_000
"""Bytes of a body that does not fit on the bus: members read it from the database."""
_PATIENCE = 300.0


async def members(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """One notification to a topic with 100,000 members, all of them online at four nodes (processes) on one PostgreSQL
    and one Redis; processor time is that of the four together, until the last has written to its last connection.
    Simulated connections: a session, a registry entry and memberships for each, read from the database as they
    connect; only the transport is a stub, which counts bytes and looks whether the frame is in them, each exactly
    once. Then the same right after somebody has joined; with a body that is too large for the bus, so that every
    member reads; and a node's comparison with the database, which comes every 30 s and is not in the other figures.
    Last, 20,000 real WebSockets on four `bellwire serve`, with everything that a node does. Nodes, PostgreSQL, Redis,
    publisher and load share all cores.
    """
    with unpinned(bench.services.postgres, bench.services.redis):
        return await _members(bench)


@dataclass(frozen=True, slots=True)
class _Round:
    """What one publish took."""

    cpu: float
    wall: float
    """Seconds from the publisher's call to the last write."""
    told: int
    doubled: int
    written: int


class _Crowds:
    """The nodes, and whoever publishes."""

    def __init__(self, hub: Hub, nodes: Sequence[asyncio.subprocess.Process]) -> None:
        self._hub = hub
        self._nodes = nodes
        self._meters = [Meter(node.pid) for node in nodes]

    async def publish(self, title: str, body: str = "") -> _Round:
        """Publish to all; returns once every node has told every member."""
        await self.answers(title)
        for meter in self._meters:
            meter.start()
        begin = time.perf_counter()
        audience = wire.AudienceIn(topic=_TOPIC)
        request = wire.PublishIn(recipients=audience, category="news", title=title, body=body)
        await self._hub.notifications.publish(DEFAULT_TENANT, request)
        told = await asyncio.gather(*map(_hear, self._nodes))
        wall = time.perf_counter() - begin
        cpu = sum(meter.read().cpu for meter in self._meters)
        return _Round(
            cpu, wall, sum(t.clients for t in told), sum(t.doubled for t in told), sum(t.written for t in told)
        )

    async def compare(self) -> float:
        """Have every node compare with the database; returns their processor time."""
        for meter in self._meters:
            meter.start()
        await self.answers("compare")
        return sum(meter.read().cpu for meter in self._meters)

    async def answers(self, line: str) -> None:
        for node in self._nodes:
            assert node.stdin is not None
            node.stdin.write(line.encode() + b"\n")
        await asyncio.gather(*map(_hear, self._nodes))


async def _members(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    users, sockets = (USERS // 50, SOCKETS // 50) if bench.quick else (USERS, SOCKETS)
    async with fresh(bench.services, "bench_members") as own, _publisher(own) as hub:
        await _join(hub, range(users))
        async with _crowds(own, hub, users) as crowds:
            await crowds.publish("to warm up")
            direct = [await crowds.publish(f"directly, {number};") for number in range(ROUNDS)]
            joined = []
            for number in range(ROUNDS):
                await _join(hub, range(users + number, users + number + 1))
                joined.append(await crowds.publish(f"after a join, {number};"))
            compared = await crowds.compare()
            large = await crowds.publish("to be read;", body="x" * _LARGE)
        real = await _sockets(bench, own, hub, sockets)
    whose = f"of the {NODES} nodes together"
    worst = max(direct, key=lambda each: each.cpu)
    cpu = statistics.median(each.cpu for each in direct)
    figures = [
        Figure("told directly", "members told, each once", min(each.told - each.doubled for each in direct), ""),
        Figure("told directly", "one publish", cpu, "s CPU", whose),
        Figure("told directly", "the most that it took", worst.cpu, "s CPU", whose),
        Figure("told directly", "for each member", cpu / users * 1e6, "µs CPU", whose),
        Figure("told directly", "until the last had it", statistics.median(each.wall for each in direct), "s"),
        Figure("told directly", "for each member", worst.written / users, "bytes"),
        Figure("after a join", "one publish", statistics.median(each.cpu for each in joined), "s CPU", whose),
        Figure("read by all", "one publish", large.cpu, "s CPU", f"{whose}; PostgreSQL's is not in it"),
        Figure("read by all", "until the last had it", large.wall, "s"),
        Figure("compared with the database", "every 30 s", compared, "s CPU", whose),
        Figure(f"{sockets:,} real WebSockets", "members told, each once", real.told, ""),
        Figure(f"{sockets:,} real WebSockets", "one publish", real.cpu, "s CPU", whose),
        Figure(f"{sockets:,} real WebSockets", "for each member", real.cpu / sockets * 1e6, "µs CPU", whose),
        Figure(f"{sockets:,} real WebSockets", "until the last had it", real.wall, "s"),
    ]
    missed = sum(users - each.told + each.doubled for each in (*direct, *joined, large)) + sockets - real.told
    return figures, [
        Bar("CPU-seconds, at most", worst.cpu, AT_MOST, at_least=False),
        Bar("CPU-seconds after a join, at most", max(each.cpu for each in joined), AT_MOST, at_least=False),
        Bar("members not told, or twice", missed, 0, at_least=False),
    ]


@asynccontextmanager
async def _publisher(on: Services) -> AsyncIterator[Hub]:
    settings = Settings(database_url=on.postgres_url, redis_url=on.redis_url)
    async with open_parts(settings) as parts:
        yield parts.hub


async def _join(hub: Hub, users: range) -> None:
    names = [name_of(number) for number in users]
    for start in range(0, len(names), _JOIN_CHUNK):
        await hub.topics.join(DEFAULT_TENANT, _TOPIC, wire.MembersIn(names[start : start + _JOIN_CHUNK]))


@asynccontextmanager
async def _crowds(on: Services, hub: Hub, users: int) -> AsyncIterator[_Crowds]:
    share = users // NODES
    nodes = [
        await _start("tests.benchmarks.publish.crowd", on.postgres_url, on.redis_url, first, first + share)
        for first in range(0, users, share)
    ]
    try:
        await asyncio.gather(*map(_hear, nodes))
        yield _Crowds(hub, nodes)
    finally:
        await _end(nodes)


async def _sockets(bench: Bench, on: Services, hub: Hub, sockets: int) -> _Round:
    """Connect real clients to real nodes, by a load process for each, and publish once."""
    share = sockets // NODES
    async with AsyncExitStack() as stack:
        nodes = [stack.enter_context(bellwire.node(on, all_cores(), bench.folder)) for _ in range(NODES)]
        loads = [await _start("tests.benchmarks.gateway.fleet_load") for _ in nodes]
        stack.push_async_callback(_end, loads)
        for index, (node, load) in enumerate(zip(nodes, loads, strict=True)):
            assert load.stdin is not None
            order = fleet_load.Order(node.port, index * share, (index + 1) * share, 0)
            load.stdin.write(msgspec.json.encode(order) + b"\n")
        await asyncio.gather(*map(_hear_load, loads))
        meters = [Meter(node.pid) for node in nodes]
        for meter in meters:
            meter.start()
        begin = time.perf_counter()
        request = wire.PublishIn(recipients=wire.AudienceIn(topic=_TOPIC), category="news", title=mark(0))
        await hub.notifications.publish(DEFAULT_TENANT, request)
        told = await asyncio.gather(*map(_hear_load, loads))
        wall = time.perf_counter() - begin
        return _Round(sum(meter.read().cpu for meter in meters), wall, sum(told), 0, 0)


async def _start(module: str, *arguments: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _end(processes: Sequence[asyncio.subprocess.Process]) -> None:
    """Close their input, and wait until they have gone."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(process.wait() for process in processes))


async def _hear(node: asyncio.subprocess.Process) -> Told:
    return msgspec.json.decode(await _line(node), type=Told)


async def _hear_load(load: asyncio.subprocess.Process) -> int:
    told = msgspec.json.decode(await _line(load), type=fleet_load.Told)
    if told.error is not None:
        raise LoadFailed(told.error)
    return told.clients


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(_PATIENCE):
        return await process.stdout.readline()
