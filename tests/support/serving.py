"""uvicorn on the test's own loop, and how tests there wait for what nothing announces."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn

from tests.support.listener import PATIENCE


async def settled(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds that nothing announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(config: uvicorn.Config, *, send_buffer: int | None = None) -> AsyncIterator[int]:
    """Serve on a free port of 127.0.0.1, and yield it. At the end, everything that is under way has to end.

    Does what `Server.serve` does but for its looks at the clock, ten a second: at the end of a test they would take
    longer than the test. `send_buffer`: bytes of the system's buffer for each connection.
    """
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as asyncio does with sockets that it makes
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        await server.startup(sockets=[listening])
        await server.on_tick(0)  # the headers of every answer
        try:
            yield listening.getsockname()[1]
        finally:
            await _shut_down(server)


async def _shut_down(server: uvicorn.Server) -> None:
    state = server.server_state
    for each in server.servers:
        each.close()
    for connection in list(state.connections):
        connection.shutdown()
    await settled(lambda: not state.connections and not state.tasks)
    for each in server.servers:
        await each.wait_closed()
