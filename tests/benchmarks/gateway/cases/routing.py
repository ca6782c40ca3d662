"""Per-user routing: every user gets a message of their own, through Redis."""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.bench import BLOCKS, Bench
from tests.benchmarks.gateway.cpu import Meter
from tests.benchmarks.gateway.held import HeldPublisher, held_publisher
from tests.benchmarks.gateway.http import poster
from tests.benchmarks.gateway.machine import SERVER_CORES, load_cores
from tests.benchmarks.gateway.peers import socket_io
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import SocketIoStream, WebSocketStream, mark

CHUNK = 1_000
"""Recipients of one publish."""


async def routing(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Every user has one connection and gets a message of their own; the messages of a round are put on Redis at once
    by another process, and a round begins when the last has reached everybody. For Bellwire they are real changes,
    committed beforehand, 1,000 recipients to a notification; each frame's text then gets its user's number, so that
    a message at the wrong user would be noticed. For Socket.IO: a room per user, its Redis adapter at the server,
    its Redis emitter in another process.
    """
    ours, size, redis = await _bellwire(bench)
    theirs = await _socketio(bench, size)
    what = "deliveries per CPU-second"
    return [
        Figure("Bellwire", what, ours, "/s", "the gateway node's", plotted=True),
        Figure("Socket.IO", what, theirs, "/s", "the Node process, receiving through its Redis adapter", plotted=True),
        Figure("Bellwire", "Redis", redis, "µs CPU a delivery", "Valkey's, on the load's core"),
        Figure("all", "size of a message", size, "bytes"),
    ], [Bar("× Socket.IO", ours / theirs, 2)]


async def _bellwire(bench: Bench) -> tuple[float, int, float]:
    names = {bellwire.name_of(number): number for number in range(bench.clients)}
    with bellwire.node(bench.services, SERVER_CORES, bench.folder) as gateway:
        async with (
            swarm.swarm(
                WebSocketStream,
                gateway.port,
                lambda n: swarm.websocket_request("/v1/ws", bellwire.authorization(bellwire.name_of(n))),
            ) as load,
            held_publisher(bench.services) as held,
        ):
            await bench.connect(load, "Bellwire")
            redis = Meter(bench.services.redis)
            rate = await bench.deliveries_per_cpu_second(
                load,
                gateway.pid,
                lambda numbers: _publish(held, numbers[0], names),
                "Bellwire routing",
                rounds=bench.costly_rounds,
                also=redis,
            )
            deliveries = BLOCKS * bench.costly_rounds * bench.clients
            return rate, load.frame_bytes, redis.read().cpu / deliveries * 1e6


async def _publish(held: HeldPublisher, number: int, names: dict[str, int]) -> None:
    users = list(names)
    for start in range(0, len(users), CHUNK):
        await held.commit(mark(number), users[start : start + CHUNK])
    held.address(number, names)
    await held.tell()
    await held.settle()


async def _socketio(bench: Bench, size: int) -> float:
    url = bench.services.redis_url
    padding = "x" * (size - len('42["m",""]') - len(mark(0)))
    with (
        socket_io.server(SERVER_CORES, bench.folder, url) as server,
        socket_io.emitter(load_cores(), bench.folder, url) as emitter,
    ):
        async with swarm.swarm(SocketIoStream, server.port, socket_io.websocket) as load:
            await bench.connect(load, "Socket.IO")
            async with poster(emitter.port, "/") as http:

                def publish(numbers: range) -> Awaitable[object]:
                    request = {"number": numbers[0], "users": bench.clients, "padding": padding}
                    return http.post(msgspec.json.encode(request))

                return await bench.deliveries_per_cpu_second(
                    load, server.pid, publish, "Socket.IO routing", rounds=bench.costly_rounds
                )
