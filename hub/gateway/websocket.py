"""`GET /v1/ws`: live frames both ways."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

import msgspec
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from hub.core import wire
from hub.core.errors import Forbidden, InvalidRequest, RequestError, Unauthenticated
from hub.core.frames import CloseCode
from hub.core.model import Attention
from hub.gateway.connection import Connection
from hub.gateway.detaching import detach_of
from hub.gateway.gateway import Gateway
from hub.gateway.queued import QueuedConnection
from hub.gateway.requests import attention_of, by_header, origin_of
from hub.http.queries import read_query
from hub.ports import Identity

FAREWELL_SECONDS = 1.0
"""How long a close frame may wait behind what a slow client does not read."""


class _Greeting(NamedTuple):
    """A connect by the handshake's headers and query."""

    identity: Identity
    cursor: str | None
    attention: Attention


async def serve_websocket(gateway: Gateway, socket: WebSocket) -> None:
    """Serve one WebSocket: to its end, or, on a server of ours, until it is on the fast lane.

    Refusals of credentials come after the handshake, as an `error` frame and a close code: browsers hide anything
    before it.
    """
    try:
        gateway.admit(socket)
    except RequestError as error:
        await _deny(socket, error)
        return
    detach = detach_of(socket)
    await socket.accept()
    greeting, origin = _read_greeting(gateway, socket), origin_of(socket)
    known = isinstance(greeting, _Greeting)  # who only claims to be somebody is a stranger
    if detach is not None:
        lane = gateway.open_websocket(known=known, origin=origin)
        if detach(lane):
            _greet(lane, greeting)
        else:
            gateway.disconnect(lane)  # the client has gone
        return
    connection = gateway.open(known=known, origin=origin)
    try:
        _greet(connection, greeting)
        await _pump(gateway, socket, connection)
    finally:
        gateway.disconnect(connection)


async def _deny(socket: WebSocket, error: RequestError) -> None:
    """Refuse the handshake."""
    problem = wire.Problem(type=error.type, title=error.title, status=error.status, detail=error.detail)
    response = Response(
        msgspec.json.encode(problem),
        status_code=error.status,
        headers={} if error.retry_after is None else {"Retry-After": str(error.retry_after)},
        media_type="application/problem+json",
    )
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(response)
    else:
        await socket.close()  # the server makes it a 403; the client only sees that it failed


def _read_greeting(gateway: Gateway, socket: WebSocket) -> _Greeting | RequestError | None:
    """Read what a token in the handshake amounts to; None if there is none."""
    if "authorization" not in socket.headers:
        return None
    try:
        query = read_query(socket, ("cursor", "state"))
        return _Greeting(by_header(gateway, socket), query.get("cursor"), attention_of(query))
    except (Unauthenticated, Forbidden, InvalidRequest) as error:
        return error


def _greet(connection: Connection, greeting: _Greeting | RequestError | None) -> None:
    """Connect at once who brings a token in the handshake; everybody else has to send `connect`."""
    match greeting:
        case _Greeting(identity, cursor, attention):
            connection.connect(identity, cursor=cursor, attention=attention)
        case InvalidRequest():
            connection.fail("invalid_request", greeting.detail, CloseCode.BAD_FRAME)
        case RequestError():
            connection.refused(greeting.detail)


async def _pump(gateway: Gateway, socket: WebSocket, connection: QueuedConnection) -> None:
    """Read and write side by side until either ends, then end the other, and say how it ended."""
    reader = asyncio.create_task(_read(gateway, socket, connection), name="websocket-read")
    writer = asyncio.create_task(_write(socket, connection), name="websocket-write")
    connection.on_overflow = writer.cancel
    try:
        await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        if not writer.done() and not reader.cancelled() and reader.exception() is not None:
            connection.fail("internal", "something went wrong on our side", CloseCode.INTERNAL)
            await asyncio.wait((writer,), timeout=FAREWELL_SECONDS)
    finally:
        connection.lost()
        reader.cancel()
        writer.cancel()
        await asyncio.wait((reader, writer))
    await _close(socket, connection)  # only now: beside a pending `receive`, granian sends no close frame
    for task in (reader, writer):
        if not task.cancelled():
            task.result()


async def _read(gateway: Gateway, socket: WebSocket, connection: QueuedConnection) -> None:
    """Feed what the client sends. The next message is read once what this one asked for is done."""
    while (message := await socket.receive())["type"] == "websocket.receive":
        text: str | None = message.get("text")
        if text is None:
            connection.binary()
        else:
            connection.text(text)
        while connection.marks:
            await gateway.mark(connection, connection.marks.popleft())


async def _write(socket: WebSocket, connection: QueuedConnection) -> None:
    """Write what is queued."""
    with suppress(WebSocketDisconnect):  # the client has gone: the reader hears of it too
        while True:
            await connection.wait()
            while (out := connection.pop()) is not None:
                await socket.send_text(out.frame.decode())
            if connection.ended:
                break


async def _close(socket: WebSocket, connection: Connection) -> None:
    closing = connection.closing
    if closing is not None and socket.client_state is WebSocketState.CONNECTED:
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await socket.close(closing.code, closing.reason)
