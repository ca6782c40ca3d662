"""A gateway node with thousands of users online, of whom only the sockets are missing.

`python -m tests.benchmarks.publish.crowd DATABASE_URL REDIS_URL FIRST LAST`: connects the users, then says `Up`. For
each line on its standard input, the text of a message, it says `Watching`; and `Told`, once every connection has been
written the frame with that text. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
import uvloop

from hub.app import open_parts
from hub.core.model import Attention
from hub.gateway.gateway import Gateway
from hub.gateway.limits import Limits
from hub.ports import Identity
from hub.settings import Settings
from tests.benchmarks.gateway.bellwire import KEYRING, key, name_of
from tests.benchmarks.gateway.swarm import without_collections

_READY = b'"type":"ready"'
_FOREVER = 2**60


class Told(msgspec.Struct, frozen=True):
    """How far it has got; `doubled`: connections that were written a frame more than once."""

    clients: int
    written: int = 0
    """Bytes."""
    doubled: int = 0


class Audience:
    """All connections of the node, and what they wait for."""

    def __init__(self) -> None:
        self.seats: list[Seat] = []
        self.all_told = asyncio.Event()
        self.expect(_READY, 0)

    def expect(self, mark: bytes, clients: int) -> None:
        """Wait anew: until so many have been written something with this in it."""
        self.mark = mark
        self.left = clients
        self.written = 0
        self.all_told.clear()
        for seat in self.seats:
            seat.told = 0

    def told(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.all_told.set()


class Seat(asyncio.Transport):
    """In the place of a socket: counts what is written to it, and looks for what is waited for."""

    __slots__ = ("_audience", "told")

    def __init__(self, audience: Audience) -> None:
        super().__init__()
        self._audience = audience
        self.told = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        audience = self._audience
        audience.written += len(data)
        if audience.mark in bytes(data):
            self.told += 1
            if self.told == 1:
                audience.told()

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take all that comes."""

    def abort(self) -> None:
        raise AssertionError("a connection was broken off")


async def main(database_url: str, redis_url: str, users: range) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with open_parts(settings) as parts:
        limits = Limits(connections=len(users) + 1, admission_rate=0)
        gateway = Gateway(parts.hub, KEYRING, parts.bus, parts.presence, limits=limits)
        await parts.bus.start(gateway)
        audience = Audience()
        audience.expect(_READY, len(users))
        for number in users:
            _sit_down(gateway, audience, name_of(number))
            if number % 500 == 0:
                await asyncio.sleep(0)
        await audience.all_told.wait()
        _say(Told(len(users)))
        while line := (await lines.readline()).decode().rstrip("\n"):
            if line == "compare":
                await gateway.reconcile()
                _say(Told(len(users)))
                continue
            audience.expect(line.encode(), len(users))
            with without_collections():
                _say(Told(0))
                await audience.all_told.wait()
                while gateway.busy:  # noqa: ASYNC110 - reads that follow count too, and nobody says when they are done
                    await asyncio.sleep(0.01)
            doubled = sum(seat.told > 1 for seat in audience.seats)
            _say(Told(sum(seat.told > 0 for seat in audience.seats), audience.written, doubled))


def _sit_down(gateway: Gateway, audience: Audience, user: str) -> None:
    seat = Seat(audience)
    audience.seats.append(seat)
    connection = gateway.open_websocket(known=True, origin="")
    connection.connection_made(seat)
    connection.connect(Identity(key(user), _FOREVER), cursor=None, attention=Attention.ACTIVE)


def _say(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    database, redis, first, last = sys.argv[1:]
    uvloop.run(main(database, redis, range(int(first), int(last))))
