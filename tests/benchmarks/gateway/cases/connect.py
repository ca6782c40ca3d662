"""What it costs to let a client in: authenticate, subscribe, resume from its cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hub.core.cursor import Cursor
from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.bench import Bench
from tests.benchmarks.gateway.cpu import Meter, Spent
from tests.benchmarks.gateway.held import HeldPublisher, held_publisher
from tests.benchmarks.gateway.machine import SERVER_CORES
from tests.benchmarks.gateway.peers import socket_io
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import EventStream, SocketIoStream, Stream, WebSocketStream
from tests.benchmarks.gateway.swarm import LoadFailed

LEAST = 1_500
"""Connects per CPU-second of the gateway."""

IN_FLIGHT = 500
_WARM = 200
_CHUNK = 1_000
_WHAT = "connects per CPU-second"


@dataclass(frozen=True, slots=True)
class _Cost:
    """One storm of connects."""

    server: Spent
    postgres: Spent
    redis: Spent


async def connect(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Connects come as fast as the server takes them, 500 at a time, each a user whose inbox holds items, with a token
    and a cursor; a connect counts once `ready` has arrived, and what the cursor had missed is checked to come before.
    Socket.IO beside it without authentication, and with nothing to resume.
    """
    users = [bellwire.name_of(number) for number in range(bench.clients)]
    headers = [bellwire.authorization(user) for user in users]
    async with held_publisher(bench.services) as held:
        await _commit(held, users)
        first = await held.cursors(users)
        with bellwire.node(bench.services, SERVER_CORES, bench.folder) as gateway:

            async def storm(kind: type[Stream], path: str, cursors: Mapping[str, Cursor], missed: int) -> _Cost:
                request = swarm.sse_request if kind is EventStream else swarm.websocket_request
                return await _storm(
                    bench,
                    gateway,
                    kind,
                    lambda n: request(f"{path}?cursor={cursors[users[n]]}", headers[n]),
                    missed,
                )

            current = await storm(WebSocketStream, "/v1/ws", first, 0)
            await _commit(held, users)
            behind = await storm(WebSocketStream, "/v1/ws", first, 1)
            events = await storm(EventStream, "/v1/sse", first, 1)
    socketio = await _socketio(bench)
    rates = [cost.server.per_cpu_second(bench.clients) for cost in (behind, current, events)]
    whose = "the gateway node's"
    return [
        Figure("Bellwire", f"{_WHAT}, WebSocket, one item missed", rates[0], "/s", whose, plotted=True),
        Figure("Bellwire", f"{_WHAT}, WebSocket, nothing missed", rates[1], "/s", whose),
        Figure("Bellwire", f"{_WHAT}, SSE, one item missed", rates[2], "/s", whose),
        Figure("Bellwire", "database", behind.postgres.cpu / bench.clients * 1e6, "µs CPU a connect", "PostgreSQL's"),
        Figure("Bellwire", "Redis", behind.redis.cpu / bench.clients * 1e6, "µs CPU a connect", "Valkey's"),
        Figure("Bellwire", "connects by the clock", bench.clients / behind.server.wall, "/s", "load on the other core"),
        Figure("Socket.IO", f"{_WHAT}, no authentication", socketio, "/s", "the Node process", plotted=True),
    ], [
        Bar("connects per CPU-second, one item missed", rates[0], LEAST),
        Bar("connects per CPU-second, nothing missed", rates[1], LEAST),
        Bar("× Socket.IO", rates[0] / socketio, 1),
    ]


async def _commit(held: HeldPublisher, users: list[str]) -> None:
    for start in range(0, len(users), _CHUNK):
        await held.commit("something to catch up with", users[start : start + _CHUNK])
    await held.settle()


async def _storm(
    bench: Bench, gateway: bellwire.Node, kind: type[Stream], request: Callable[[int], bytes], missed: int
) -> _Cost:
    async with swarm.swarm(kind, gateway.port, request) as warm:
        await warm.open(range(_WARM))
    await _idle(gateway.pid)
    meters = [Meter(pid) for pid in (gateway.pid, bench.services.postgres, bench.services.redis)]
    async with swarm.swarm(kind, gateway.port, request) as load:
        with (
            bench.screen.task("Bellwire: connects", bench.clients) as opened,
            bench.profile(gateway.pid, f"Bellwire connect {kind.__name__} {missed} missed"),
            swarm.without_collections(),
        ):
            for meter in meters:
                meter.start()
            await load.open(range(bench.clients), in_flight=IN_FLIGHT, opened=opened)
            cost = _Cost(*(meter.read() for meter in meters))
        if wrong := [stream.name for stream in load.streams if stream.replayed != missed]:
            raise LoadFailed(f"{len(wrong)} clients did not get exactly the {missed} items that they had missed")
    return cost


async def _socketio(bench: Bench) -> float:
    with socket_io.server(SERVER_CORES, bench.folder) as server:
        async with swarm.swarm(SocketIoStream, server.port, lambda _: socket_io.websocket()) as warm:
            await warm.open(range(_WARM))
        await _idle(server.pid)
        meter = Meter(server.pid)
        async with swarm.swarm(SocketIoStream, server.port, lambda _: socket_io.websocket()) as load:
            with bench.screen.task("Socket.IO: connects", bench.clients) as opened, swarm.without_collections():
                meter.start()
                await load.open(range(bench.clients), in_flight=IN_FLIGHT, opened=opened)
                return meter.read().per_cpu_second(bench.clients)


async def _idle(pid: int) -> None:
    """Wait until a server has done what the last connections left it with."""
    meter = Meter(pid)
    while True:
        meter.start()
        await asyncio.sleep(1)
        if meter.read().cpu <= 0.05:
            return
