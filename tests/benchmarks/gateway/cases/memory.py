"""What an idle connection costs in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.bench import Bench
from tests.benchmarks.gateway.cpu import Meter, resident_bytes, tree
from tests.benchmarks.gateway.machine import SERVER_CORES
from tests.benchmarks.gateway.peers import nchan, socket_io
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import (
    EventStream,
    NchanEvents,
    NchanSocket,
    SocketIoStream,
    Stream,
    WebSocketStream,
)

MOST = 4_000
"""Bytes that a connection of Bellwire may take."""

Request = Callable[[int], bytes]

_IDLE = 45.0
"""Seconds for which idle connections are watched: pings, presence and a comparison with the database are all in it."""
_CARE = "pings, presence, comparing with the database"

_WARM = 200
_STEADY = 0.003
_LOOKS = 20


async def memory(bench: Bench) -> tuple[list[Figure], list[Bar]]:
    """Resident memory (RSS; PSS where a server has several processes) after so many idle connections, each its own user
    or channel, less that of the same server after 200 connections had come and gone, per connection. The kernel's
    socket buffers are not in it, for none of the servers.
    """
    ours = {
        "WebSocket": await _bellwire(bench, WebSocketStream, lambda n: swarm.websocket_request("/v1/ws", _who(n))),
        "SSE": await _bellwire(bench, EventStream, lambda n: swarm.sse_request("/v1/sse", _who(n))),
    }
    theirs = {
        "WebSocket": await _nchan(bench, NchanSocket, lambda n: nchan.websocket(f"user-{n}")),
        "SSE": await _nchan(bench, NchanEvents, lambda n: nchan.events(f"user-{n}")),
    }
    with socket_io.server(SERVER_CORES, bench.folder) as server:
        socketio, _ = await _measure(bench, server, SocketIoStream, socket_io.websocket, "Socket.IO")
    figures = [
        *(_figure("Bellwire", kind, value, "authenticated, subscribed in Redis") for kind, (value, _) in ours.items()),
        *(
            Figure("Bellwire", f"{bench.clients:,} idle {kind} connections", busy * 100, "% of a core", _CARE)
            for kind, (_, busy) in ours.items()
        ),
        *(
            _figure("nchan", kind, value, "a channel each; shared memory counted once")
            for kind, value in theirs.items()
        ),
        _figure("Socket.IO", "WebSocket", socketio, "a room each"),
    ]
    return figures, [
        Bar(f"bytes per {kind} connection", value, MOST, at_least=False) for kind, (value, _) in ours.items()
    ]


async def _bellwire(bench: Bench, kind: type[Stream], request: Request) -> tuple[float, float]:
    """Return bytes per connection, and seconds of processor time per second, with all of them idle."""
    with bellwire.node(bench.services, SERVER_CORES, bench.folder) as gateway:
        return await _measure(bench, gateway, kind, request, "Bellwire", idle=5 if bench.quick else _IDLE)


async def _nchan(bench: Bench, kind: type[Stream], request: Request) -> float:
    with nchan.nchan(SERVER_CORES, bench.folder) as server:
        return (await _measure(bench, server, kind, request, "nchan"))[0]


async def _measure(
    bench: Bench,
    server: bellwire.Node | nchan.Nchan | socket_io.SocketIo,
    kind: type[Stream],
    request: Request,
    who: str,
    *,
    idle: float = 0.0,
) -> tuple[float, float]:
    async with swarm.swarm(kind, server.port, request) as warm:
        await warm.open(range(_WARM))
    before = await _settled(server.pid)
    async with swarm.swarm(kind, server.port, request) as load:
        await bench.connect(load, who)
        memory = (await _settled(server.pid) - before) / bench.clients
        meter = Meter(server.pid)
        meter.start()
        await asyncio.sleep(idle)
        return memory, meter.read().cpu / idle if idle else 0.0


async def _settled(pid: int) -> int:
    """Wait until memory stays where it is, for a while at most."""
    held = 0
    for _ in range(_LOOKS):
        await asyncio.sleep(0.5)
        now = resident_bytes(tree(pid))
        if abs(now - held) < _STEADY * now:
            break
        held = now
    return now


def _who(number: int) -> str:
    return bellwire.authorization(bellwire.name_of(number))


def _figure(system: str, kind: str, value: float, whose: str) -> Figure:
    return Figure(system, f"memory per idle {kind} connection", value, "bytes", whose, plotted=True)
