"""One message to every client: over WebSocket, in a burst, and as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.bench import BLOCKS, Bench, padded
from tests.benchmarks.gateway.cpu import Meter
from tests.benchmarks.gateway.held import HeldPublisher, held_publisher
from tests.benchmarks.gateway.http import Poster, poster
from tests.benchmarks.gateway.machine import SERVER_CORES, load_cores
from tests.benchmarks.gateway.peers import bare, nchan, socket_io
from tests.benchmarks.gateway.results import Bar, Figure
from tests.benchmarks.gateway.streams import (
    EventStream,
    NchanEvents,
    NchanSocket,
    SocketIoStream,
    Stream,
    WebSocketStream,
    mark,
)

Found = tuple[list[Figure], list[Bar]]
BURST = 10
USER = bellwire.name_of(0)
_RATE = "deliveries per CPU-second"


@dataclass(frozen=True, slots=True)
class _Rates:
    """What one system did: with the cost of publishing on its core, and without."""

    alone: float
    with_publishing: float


async def ws_fanout(bench: Bench) -> Found:
    """Every WebSocket gets the same message; the next is published once the last has reached all. Bellwire: all are
    connections of one user; a second node takes the `POST /v1/notifications` (PostgreSQL commit, Redis), so that the
    measured node does what a gateway does; then once more with the measured node taking the POST as well. Nchan: one
    channel, posted to over HTTP. Socket.IO: `io.emit`, WebSocket transport only. For comparison, a process that does
    nothing but call `send` on each socket.
    """
    request = swarm.websocket_request("/v1/ws", bellwire.authorization(USER))
    ours, size, publisher = await _bellwire(bench, WebSocketStream, request)
    theirs = await _nchan(bench, NchanSocket, nchan.websocket(), size)
    socketio = await _socketio(bench, size)
    floor = await _bare(bench, size)
    return (
        [*_figures(ours, theirs, size), publisher, _socketio_figure(socketio), _floor_figure(floor)],
        [
            Bar("× nchan (both without publishing)", ours.alone / theirs.alone, 1.2),
            Bar("× nchan (both with publishing)", ours.with_publishing / theirs.with_publishing, 1.2),
            Bar("× Socket.IO", ours.alone / socketio, 2),
        ],
    )


async def sse_fanout(bench: Bench) -> Found:
    """As above with server-sent events; each event has to come with an `id:` line of its own."""
    request = swarm.sse_request("/v1/sse", bellwire.authorization(USER))
    ours, size, publisher = await _bellwire(bench, EventStream, request)
    theirs = await _nchan(bench, NchanEvents, nchan.events(), size)
    return (
        [*_figures(ours, theirs, size), publisher],
        [
            Bar("× nchan (both without publishing)", ours.alone / theirs.alone, 1.2),
            Bar("× nchan (both with publishing)", ours.with_publishing / theirs.with_publishing, 1.2),
        ],
    )


async def ws_burst(bench: Bench) -> Found:
    """As above, ten messages a round. Bellwire: ten notifications are committed while the gateway hears nothing, then
    all ten changes are put on its Redis at once; with publishing: ten `POST /v1/notifications` at once to the measured
    node, on ten connections, reaching its clients as they are committed. Nchan: ten POSTs pipelined on one connection.
    Socket.IO: ten `io.emit` in one go.
    """
    request = swarm.websocket_request("/v1/ws", bellwire.authorization(USER))
    with bellwire.node(bench.services, SERVER_CORES, bench.folder) as gateway:
        async with swarm.swarm(WebSocketStream, gateway.port, lambda _: request) as load:
            await bench.connect(load, "Bellwire")
            async with held_publisher(bench.services) as held:
                alone = await _counted(
                    bench, load, gateway.pid, lambda numbers: _burst(held, numbers), "Bellwire burst"
                )
            async with AsyncExitStack() as stack:
                lanes = [await stack.enter_async_context(gateway.publisher()) for _ in range(BURST)]
                size = await _frame_bytes(load, lambda numbers: lanes[0].post(_body(numbers[0])))
                load.ordered = False
                publishing = await _counted(
                    bench, load, gateway.pid, lambda numbers: _at_once(lanes, numbers), "Bellwire burst, publishing"
                )
    ours = _Rates(alone, publishing)
    theirs = await _nchan(bench, NchanSocket, nchan.websocket(), size, messages=BURST)
    socketio = await _socketio(bench, size, messages=BURST)
    return (
        [*_figures(ours, theirs, size), _socketio_figure(socketio)],
        [
            Bar("× nchan (both without publishing)", ours.alone / theirs.alone, 5),
        ],
    )


async def _counted(
    bench: Bench, load: swarm.Swarm, pid: int, publish: Callable[[range], Awaitable[object]], who: str
) -> float:
    return await bench.deliveries_per_cpu_second(load, pid, publish, who, messages=BURST, rounds=bench.costly_rounds)


async def _bellwire(bench: Bench, kind: type[Stream], request: bytes) -> tuple[_Rates, int, Figure]:
    """Measure a node that hears of messages through Redis from another, then one that takes the publishes too."""
    with (
        bellwire.node(bench.services, SERVER_CORES, bench.folder) as gateway,
        bellwire.node(bench.services, load_cores(), bench.folder) as publisher,
    ):
        async with swarm.swarm(kind, gateway.port, lambda _: request) as load:
            await bench.connect(load, "Bellwire")
            beside = Meter(publisher.pid)
            async with publisher.publisher() as http:
                alone = await bench.deliveries_per_cpu_second(
                    load, gateway.pid, lambda numbers: http.post(_body(numbers[0])), "Bellwire", also=beside
                )
                messages = BLOCKS * bench.rounds
                spent = beside.read().cpu / messages * 1000
            async with gateway.publisher() as http:
                publishing = await bench.deliveries_per_cpu_second(
                    load, gateway.pid, lambda numbers: http.post(_body(numbers[0])), "Bellwire, publishing"
                )
            apart = Figure("Bellwire", "publish", spent, "ms CPU a message", "the publisher node's, on the load's core")
            return _Rates(alone, publishing), load.frame_bytes, apart


async def _nchan(bench: Bench, kind: type[Stream], request: bytes, size: int, *, messages: int = 1) -> _Rates:
    """Measure nchan, then what the same publishes cost with nobody there, which is taken off."""
    with nchan.nchan(SERVER_CORES, bench.folder) as server:
        async with poster(server.port, nchan.PUBLISH) as http:

            async def publish(numbers: range) -> None:
                await http.post(*(padded(number, size).encode() for number in numbers))

            async with swarm.swarm(kind, server.port, lambda _: request) as load:
                await bench.connect(load, "nchan")
                await server.subscribed(bench.clients)
                rate = await bench.deliveries_per_cpu_second(
                    load, server.pid, publish, "nchan", messages=messages, rounds=_rounds(bench, messages)
                )
            meter, count = Meter(server.pid), 50 if bench.quick else 1_000
            meter.start()
            for _ in range(count):
                await publish(range(messages))
            publishing = meter.read().cpu / count
    deliveries = messages * bench.clients
    return _Rates(deliveries / (deliveries / rate - publishing), rate)


async def _socketio(bench: Bench, size: int, *, messages: int = 1) -> float:
    with socket_io.server(SERVER_CORES, bench.folder) as server:
        async with swarm.swarm(SocketIoStream, server.port, lambda _: socket_io.websocket()) as load:
            await bench.connect(load, "Socket.IO")
            async with poster(server.port, socket_io.EMIT) as http:
                overhead = len('42["m",""]')
                return await bench.deliveries_per_cpu_second(
                    load,
                    server.pid,
                    lambda numbers: http.post("\n".join(padded(n, size - overhead) for n in numbers).encode()),
                    "Socket.IO",
                    messages=messages,
                    rounds=_rounds(bench, messages),
                )


async def _bare(bench: Bench, size: int) -> float:
    with bare.bare(SERVER_CORES, bench.folder) as server:
        async with (
            poster(server.port, bare.PUBLISH) as http,
            swarm.swarm(NchanSocket, server.port, lambda _: bare.websocket()) as load,
        ):
            await bench.connect(load, "bare send")
            return await bench.deliveries_per_cpu_second(
                load, server.pid, lambda numbers: http.post(padded(numbers[0], size).encode()), "bare send"
            )


async def _burst(held: HeldPublisher, numbers: range) -> None:
    """Commit ten notifications while the gateway hears nothing, then tell it of all of them at once."""
    for number in numbers:
        await held.commit(mark(number), [USER])
    await held.tell()
    await held.settle()


async def _at_once(lanes: Sequence[Poster], numbers: range) -> None:
    await asyncio.gather(*(lane.post(_body(number)) for lane, number in zip(lanes, numbers, strict=True)))


async def _frame_bytes(load: swarm.Swarm, publish: Callable[[range], Awaitable[object]]) -> int:
    """Publish one message alone and return its size: in a burst, a frame may have several."""
    await publish(load.expect())
    await load.arrive()
    return load.frame_bytes


def _rounds(bench: Bench, messages: int) -> int:
    return bench.rounds if messages == 1 else bench.costly_rounds


def _body(number: int) -> bytes:
    return bellwire.notification(mark(number), USER)


def _figures(ours: _Rates, theirs: _Rates, size: int) -> list[Figure]:
    node = "the gateway node's; publishing, PostgreSQL and Redis run on the load's core"
    return [
        Figure("Bellwire", _RATE, ours.alone, "/s", node, plotted=True),
        Figure("Bellwire", f"{_RATE}, publishing included", ours.with_publishing, "/s", "the one node's"),
        Figure(
            "nchan", _RATE, theirs.alone, "/s", "nginx, less what the publishes cost with nobody there", plotted=True
        ),
        Figure("nchan", f"{_RATE}, publishing included", theirs.with_publishing, "/s", "nginx, all processes"),
        Figure("all", "size of a message", size, "bytes"),
    ]


def _floor_figure(rate: float) -> Figure:
    return Figure("bare send", _RATE, rate, "/s", "a loop of send(2), nothing else", plotted=True)


def _socketio_figure(rate: float) -> Figure:
    return Figure("Socket.IO", f"{_RATE}, publishing included", rate, "/s", "the Node process", plotted=True)
