"""The least that a Redis client can be: commands pipelined on one connection, and messages as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import hiredis


class Resp(asyncio.Protocol):
    """One connection. After `SUBSCRIBE`, `on_message` gets the payloads."""

    def __init__(self, on_message: Callable[[bytes], object] = lambda _: None) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[object]] = deque()
        self._on_message = on_message
        self._transport: asyncio.Transport

    async def call(self, *words: bytes) -> object:
        """Send a command and return the answer."""
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type] # any number of words
        return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            if isinstance(answer, list) and answer[0] == b"message":
                self._on_message(answer[2])
            else:
                self._waiting.popleft().set_result(answer)

    def close(self) -> None:
        self._transport.abort()


@asynccontextmanager
async def resp(url: str, on_message: Callable[[bytes], object] = lambda _: None) -> AsyncIterator[Resp]:
    """Open a connection for the length of a block."""
    address = urlsplit(url)
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Resp(on_message), str(address.hostname), int(address.port or 6379)
    )
    try:
        yield protocol
    finally:
        protocol.close()
