"""Clients that misbehave, for as long as standard input stays open; `python -m tests.support.pests PORT KIND COUNT`.

They run in a process of their own, so that what they cost is the server's and not the test's. Whoever is cut comes
back a second later. Each time it prints which of the COUNT pests it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
from collections.abc import Callable, Coroutine

from tests.support.cluster import token

REST = 1.0
"""Seconds until a pest that was cut comes back, and between two bytes of one that dawdles."""
_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
_UPGRADE = b"GET /v1/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + _KEY


class Line(asyncio.Protocol):
    """One connection; reads all that comes and throws it away, unless told not to."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport
        self._head = b""
        self._answered = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._answered.is_set():
            self._head += data
            if b"\r\n\r\n" in self._head:
                self._answered.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    async def say(self, data: bytes) -> None:
        if self.transport.is_closing():
            await asyncio.Event().wait()  # until whoever lets it live hears of it
        self.transport.write(data)
        await self._writable.wait()
        await asyncio.sleep(0)

    async def text(self, data: bytes, opcode: int = 0x1) -> None:
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        await self.say(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + data)

    async def upgrade(self, user: str | None = None) -> None:
        """Open a WebSocket, of a user or of nobody yet; a refusal hangs up."""
        authorization = b"" if user is None else f"Authorization: Bearer {token(user)}\r\n".encode()
        await self.say(_UPGRADE + authorization + b"\r\n")
        await self._answered.wait()
        if not self._head.startswith(b"HTTP/1.1 101"):
            self.transport.abort()
            await asyncio.Event().wait()


Pest = Callable[[Line, str, random.Random], Coroutine[None, None, None]]


async def deaf(line: Line, user: str, dice: random.Random) -> None:
    """Connect, then read nothing any more, not even that the connection is over."""
    await line.upgrade(user)
    line.transport.pause_reading()


async def dawdles_over_head(line: Line, user: str, dice: random.Random) -> None:
    """Send the request a byte a second."""
    await _dawdle(line, _UPGRADE * 10)


async def dawdles_over_connect(line: Line, user: str, dice: random.Random) -> None:
    """Send the `connect` frame a byte a second."""
    await line.upgrade()
    frame = json.dumps({"type": "connect", "token": token(user)}).encode()
    await _dawdle(line, b"\x81\xfe" + len(frame).to_bytes(2, "big") + b"\0\0\0\0" + frame)


async def floods(line: Line, user: str, dice: random.Random) -> None:
    """Send valid frames as fast as they go; none of them is answered, so that only their number is against them."""
    await line.upgrade(user)
    while True:
        await line.text(b'{"type":"presence","state":"away"}')


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


KINDS: dict[str, Pest] = {
    pest.__name__: pest for pest in (deaf, dawdles_over_head, dawdles_over_connect, floods, rubbish)
}


async def _dawdle(line: Line, data: bytes) -> None:
    for byte in data:
        await line.say(bytes([byte]))
        await asyncio.sleep(REST)  # what makes it a pest


async def _live(port: int, pest: Pest, user: str, number: int) -> None:
    loop = asyncio.get_running_loop()
    dice = random.Random(number)
    while True:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        narrow.setblocking(False)
        await loop.sock_connect(narrow, ("127.0.0.1", port))
        _, line = await loop.create_connection(Line, sock=narrow)
        misbehaving = asyncio.create_task(pest(line, user, dice))
        try:
            await line.lost.wait()
        finally:
            misbehaving.cancel()
            line.transport.abort()
        print(number, flush=True)
        await asyncio.sleep(REST)


async def main(port: int, kind: str, count: int) -> None:
    """Run until standard input ends."""
    pests = [asyncio.create_task(_live(port, KINDS[kind], f"pest-{kind}", number)) for number in range(count)]
    await asyncio.to_thread(os.read, 0, 1)
    for pest in pests:
        pest.cancel()
    await asyncio.wait(pests)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
