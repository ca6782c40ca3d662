"""A proxy between a browser and the hub, with the bad habits of those that companies have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Middlebox:
    """Passes HTTP on 127.0.0.1 to `upstream`, a port, as its attributes say. They may be changed at any time."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        """Where the next connections lead to."""
        self.blocks_websockets = False
        """Whether it hangs up on a WebSocket's handshake."""
        self.buffers_streams = False
        """Whether it keeps the answer to `/v1/sse` back until that is complete, which it never is."""
        self.is_cut = False
        """Whether it hangs up on everybody."""
        self.is_deaf = False
        """Whether it passes nothing on, while all connections stay."""
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break all connections, and take no more until `mend`."""
        self.is_cut = True
        self.drop()

    def mend(self) -> None:
        self.is_cut = False

    def drop(self) -> None:
        """Break all connections there are."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, until either side hangs up."""
        if self.is_cut:
            writer.transport.abort()
            return
        self._writers.add(writer)
        buffered = asyncio.Event()
        with suppress(OSError):
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            self._writers.add(upstream_writer)
            answering = asyncio.create_task(self._answer(upstream_reader, writer, buffered))
            try:
                await self._ask(reader, upstream_writer, buffered)
            finally:
                answering.cancel()
                upstream_writer.transport.abort()
                self._writers.discard(upstream_writer)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _ask(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, buffered: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            if self.blocks_websockets and data.startswith(b"GET /v1/ws"):
                return
            if self.is_deaf:
                continue
            if self.buffers_streams and data.startswith(b"GET /v1/sse"):
                buffered.set()
            upstream.write(data)
            await upstream.drain()

    async def _answer(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, buffered: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await upstream.read(65_536):
                if not (buffered.is_set() or self.is_deaf):
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def middlebox(upstream: int) -> AsyncIterator[Middlebox]:
    """Run one."""
    box = Middlebox(upstream)
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        box.drop()
        await asyncio.sleep(0)
