"""What an idle connection costs in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.bench import Bench
from tests.benchmarks.gateway.cpu import resident_bytes, tree
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
        socketio = await _measure(bench, server, SocketIoStream, socket_io.websocket, "Socket.IO")
    figures = [
        *(_figure("Bellwire", kind, value, "authenticated, subscribed in Redis") for kind, value in ours.items()),
        *(
            _figure("nchan", kind, value, "a channel each; shared memory counted once")
            for kind, value in theirs.items()
        ),
        _figure("Socket.IO", "WebSocket", socketio, "a room each"),
    ]
    return figures, [Bar(f"bytes per {kind} connection", value, MOST, at_least=False) for kind, value in ours.items()]


async def _bellwire(bench: Bench, kind: type[Stream], request: Request) -> float:
    with bellwire.node(bench.services, SERVER_CORES, bench.folder) as gateway:
        return await _measure(bench, gateway, kind, request, "Bellwire")


async def _nchan(bench: Bench, kind: type[Stream], request: Request) -> float:
    with nchan.nchan(SERVER_CORES, bench.folder) as server:
        return await _measure(bench, server, kind, request, "nchan")


async def _measure(
    bench: Bench,
    server: bellwire.Node | nchan.Nchan | socket_io.SocketIo,
    kind: type[Stream],
    request: Request,
    who: str,
) -> float:
    async with swarm.swarm(kind, server.port, request) as warm:
        await warm.open(range(_WARM))
    before = await _settled(server.pid)
    async with swarm.swarm(kind, server.port, request) as load:
        await bench.connect(load, who)
        return (await _settled(server.pid) - before) / bench.clients


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
