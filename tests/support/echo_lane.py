"""The fast lane as it is, but for what it says: every message goes back as it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from hub.core.cursor import Cursor
from hub.core.effects import Mark
from hub.core.model import Attention
from hub.core.session import Session
from hub.gateway.connection import Connection
from hub.gateway.detaching import DetachableHttp, detach_of
from hub.gateway.flusher import Flusher
from hub.gateway.lane import Lane, LaneConnection
from hub.gateway.lane_websocket import LaneWebSocket
from hub.gateway.limits import Limits
from hub.gateway.rfc6455 import Binary, Event, FrameReader, Text, text_frame
from hub.ports import Identity
from tests.support.echo_socket import MAX_ECHO
from tests.support.live import ADA
from tests.support.serving import serving


class NoGateway:
    """A `LaneHost` without anything behind it."""

    def monotonic(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)

    def identify(self, token: str) -> Identity:
        return Identity(ADA, 2**62)

    def attended(self, connection: Connection) -> None:
        """Tell nobody."""

    def read(self, connection: Connection, after: Cursor | None) -> None:
        """Read nothing: the session never gets live, and says nothing of its own."""

    def disconnect(self, connection: Connection, *, reason: str) -> None:
        """Keep no account."""

    async def apply(self, connection: Connection, mark: Mark) -> None:
        """Apply nothing."""

    def later(self, connection: LaneConnection) -> None:
        """Work nothing off."""


class EchoLane(LaneWebSocket):
    __slots__ = ()

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane, Session("echo", lane.host.monotonic()))
        self._reader = FrameReader(max_message=MAX_ECHO, max_fragments=MAX_ECHO)

    def allow(self, frames: int) -> bool:
        return True

    def _handle(self, event: Event) -> None:
        match event:
            case Text(text):
                self.write(text_frame(text.encode()))
            case Binary(data):
                self.write(b"\x82" + text_frame(data)[1:])  # the gateway sends no binary, so it has no encoder for it
            case _:
                super()._handle(event)


@asynccontextmanager
async def echoing_lane() -> AsyncIterator[int]:
    """Serve on a port of 127.0.0.1, behind the same server classes as `bellwire serve`."""
    lane = Lane(NoGateway(), Limits(outbox_bytes=2**40, write_deadline=60.0), Flusher())

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        connection = EchoLane(lane)
        detach = detach_of(websocket)
        assert detach is not None
        assert detach(connection)
        connection.connect(Identity(ADA, 2**62), cursor=None, attention=Attention.ACTIVE)

    config = uvicorn.Config(
        Starlette(routes=[WebSocketRoute("/", echo)]),
        http=DetachableHttp,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
    )
    async with serving(config) as port:
        try:
            yield port
        finally:
            lane.close()
