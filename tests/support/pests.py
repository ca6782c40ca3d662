"""Clients that misbehave, for as long as standard input stays open; `python -m tests.support.pests PORT KIND COUNT`.

They run in a process of their own, so that what they cost is the server's and not the test's. Whoever is cut comes
back a second later. At the end it prints, for each of the COUNT pests, how often the server has cut it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.support.cluster import token

REST = 1.0
"""Seconds until a pest that was cut comes back, and between two bytes of one that dawdles."""
_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
_UPGRADE = b"GET /v1/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + _KEY


class Gone(Exception):
    """The server has ended the connection."""


class Line:
    """One connection; reads all that comes and throws it away, unless told not to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def text(self, data: bytes, opcode: int = 0x1) -> None:
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        await self.say(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + data)

    async def upgrade(self, user: str | None = None) -> None:
        """Open a WebSocket, of a user or of nobody yet."""
        authorization = b"" if user is None else f"Authorization: Bearer {token(user)}\r\n".encode()
        await self.say(_UPGRADE + authorization + b"\r\n")
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Gone

    async def listen(self) -> None:
        """Read until the server hangs up."""
        while await self.reader.read(65_536):
            pass
        raise Gone


Pest = Callable[[Line, str, random.Random], Awaitable[None]]


async def deaf(line: Line, user: str, dice: random.Random) -> None:
    """Connect, then read nothing any more; the system's window fills, and the connection has to be noticed as dead."""
    await line.upgrade(user)
    await _error_of(line)


async def dawdles_over_head(line: Line, user: str, dice: random.Random) -> None:
    """Send the request a byte a second."""
    await _dawdle(line, _UPGRADE * 10)


async def dawdles_over_connect(line: Line, user: str, dice: random.Random) -> None:
    """Send the `connect` frame a byte a second."""
    await line.upgrade()
    frame = json.dumps({"type": "connect", "token": token(user)}).encode()
    await _dawdle(line, b"\x81\xfe" + len(frame).to_bytes(2, "big") + b"\0\0\0\0" + frame)


async def floods(line: Line, user: str, dice: random.Random) -> None:
    """Send valid frames as fast as they go."""
    await line.upgrade(user)
    frames = b"\n".join([b'{"type":"ping"}'] * 100)
    while True:
        await line.text(frames)


async def rubbish(line: Line, user: str, dice: random.Random) -> None:
    """Send something that is wrong, each time something else."""
    match dice.randrange(6):
        case 0:
            await line.say(dice.randbytes(4_096))
        case 1:
            await line.upgrade(user)
            await line.say(b"\xff" + dice.randbytes(4_096))
        case 2:
            await line.upgrade(user)
            await line.text(dice.randbytes(100), opcode=0x2)
        case 3:
            await line.upgrade(user)
            await line.text(b"[" * 30_000)
        case 4:
            await line.upgrade(user)
            await line.say(b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"\0\0\0\0")
        case 5:
            await line.upgrade()
            await line.text(b'{"type":"read","all":true}')
    await asyncio.Event().wait()


KINDS: dict[str, Pest] = {
    pest.__name__: pest for pest in (deaf, dawdles_over_head, dawdles_over_connect, floods, rubbish)
}


async def _dawdle(line: Line, data: bytes) -> None:
    for byte in data:
        await line.say(bytes([byte]))
        await asyncio.sleep(REST)  # what makes it a pest


async def _error_of(line: Line) -> None:
    """Wait without reading until the system says that the connection is broken."""
    line._writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
    system: socket.socket = line._writer.get_extra_info("socket")
    while not system.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 1)[0] in {0, 7, 8}:
        await asyncio.sleep(REST)
    raise Gone


async def _live(port: int, pest: Pest, user: str, cuts: list[int], number: int) -> None:
    dice = random.Random(number)
    while True:
        with suppress(OSError, Gone, asyncio.IncompleteReadError):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock)
            try:
                await _until_cut(Line(reader, writer), pest, user, dice)
            finally:
                writer.transport.abort()
        cuts[number] += 1
        await asyncio.sleep(REST)


async def _until_cut(line: Line, pest: Pest, user: str, dice: random.Random) -> None:
    """Let it misbehave; all but the deaf ones read what comes, and notice at once that they are cut."""
    async with asyncio.TaskGroup() as group:
        misbehaving = group.create_task(pest(line, user, dice))
        if pest is not deaf:
            group.create_task(_listen(line, misbehaving))


async def main(port: int, kind: str, count: int) -> None:
    """Run until standard input ends."""
    cuts = [0] * count
    tasks = [
        asyncio.create_task(_live(port, KINDS[kind], f"pest-{kind}-{number}", cuts, number)) for number in range(count)
    ]
    await asyncio.to_thread(os.read, 0, 1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    print(json.dumps(cuts))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
