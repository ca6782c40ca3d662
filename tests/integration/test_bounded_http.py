"""What strangers can make the HTTP server hold: bounded, whatever they send or leave out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from hub.gateway.bounded_http import BoundedHttpProtocol
from tests.support.listener import PATIENCE
from tests.support.serving import serving

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


class Impatient(BoundedHttpProtocol):
    head_timeout = 0.05


async def _count(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def _greet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def counting(protocol: type[BoundedHttpProtocol]) -> AbstractAsyncContextManager[int]:
    app = Starlette(routes=[Route("/", _count, methods=["GET", "POST"]), WebSocketRoute("/ws", _greet)])
    return serving(uvicorn.Config(app, http=protocol, ws="websockets-sansio", lifespan="off", log_config=None))


async def exchange(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send until the server hangs up or there is no more, then read until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                return await reader.read()
            except ConnectionError:
                return b"hung up"
    finally:
        writer.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"A: ", *[b"a" * 65_536] * 64],
        [HEAD, *[b"a: b\r\n" * 10_000] * 64],
        [b"GET /", *[b"a" * 65_536] * 64],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: ", *[b"a" * 65_536] * 64],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"a" * 65_536] * 64],
    ],
    ids=["header", "headers", "path", "trailer", "chunk extension"],
)
async def test_what_is_not_a_body_is_bounded(pieces: list[bytes]) -> None:
    async with counting(BoundedHttpProtocol) as port:
        answer = await exchange(port, pieces)
        assert answer == b"hung up" or b" 431 " in answer or b" 400 " in answer


async def test_large_bodies_and_many_requests_pass() -> None:
    async with counting(BoundedHttpProtocol) as port:
        size = 3_000_000
        one = HEAD + b"Content-Length: %d\r\n\r\n" % size
        chunked = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        chunks = [b"1\r\na\r\n" * 10_000] * 20
        answer = await exchange(port, [one, *[b"b" * 100_000] * 30, chunked, *chunks, b"0\r\n\r\n"])
        assert [answer.count(b"\r\n\r\n%d" % count) for count in (size, 200_000)] == [1, 1]


@pytest.mark.parametrize("begun", [b"", b"GET / HT", HEAD, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /"])
async def test_a_head_that_does_not_end_ends_the_connection(begun: bytes) -> None:
    async with counting(Impatient) as port:
        await exchange(port, [begun])  # returns, because the server hangs up


async def test_an_empty_line_after_the_answer_does_not_hold_the_connection() -> None:
    """uvicorn ends its wait for the next request with any byte, also with those that begin none."""
    async with counting(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n0")
            writer.write(b"\r\n")
            await reader.read()  # returns, because the server hangs up
        writer.close()


async def test_what_is_left_of_a_refused_body_does_not_hold_the_connection() -> None:
    async with counting(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE):
            writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
            await reader.readuntil(b"Not Found")
            writer.write(b"a")
            await reader.read()  # returns, because the server hangs up
        writer.close()


async def test_a_slow_head_is_not_waited_for_anew_with_every_piece() -> None:
    async with counting(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def drip() -> None:
            while not writer.is_closing():
                writer.write(b"A: b\r\n")
                await asyncio.sleep(Impatient.head_timeout / 5)

        writer.write(HEAD)
        dripping = asyncio.ensure_future(drip())
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                await reader.read()  # returns, because the server hangs up
        writer.close()
        dripping.cancel()


async def test_websockets_are_not_waited_for() -> None:
    async with counting(Impatient) as port, connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
        assert await socket.recv() == "hello"
