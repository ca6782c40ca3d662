"""One load process of the fleet: holds a share of the connections and says when all of them were reached.

It reads one `Order` from its standard input, writes `Opened` once its clients are up and `Arrived` once each has the
message; it ends when its input does.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
import uvloop

from tests.benchmarks.gateway import bellwire, swarm
from tests.benchmarks.gateway.streams import WebSocketStream
from tests.benchmarks.gateway.swarm import LoadFailed

_PATIENCE = 600.0
"""Seconds until the message has to be there; the other load processes may still be connecting."""


class Order(msgspec.Struct, frozen=True):
    """Which users to connect, and to which node."""

    port: int
    first: int
    last: int
    rate: float


class Told(msgspec.Struct, frozen=True):
    """How far it has got: `clients` are up, or reached; or what went wrong."""

    clients: int = 0
    error: str | None = None


async def main() -> None:
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    async with swarm.swarm(WebSocketStream, order.port, _request) as load:
        try:
            await load.open(range(order.first, order.last), rate=order.rate)
            with swarm.without_collections():
                load.expect()
                _tell(Told(len(load.streams)))
                await load.arrive(_PATIENCE)
                _tell(Told(len(load.streams)))
        except* (LoadFailed, OSError) as failures:
            _tell(Told(error="; ".join(str(failure) for failure in failures.exceptions[:3])))
        await asyncio.to_thread(sys.stdin.read)


def _request(number: int) -> bytes:
    return swarm.websocket_request("/v1/ws", bellwire.authorization(bellwire.name_of(number)))


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
