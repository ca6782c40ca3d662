"""A hub that says what a test wants, and hears what the client says: for frames that a real one seldom sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.api.static import static_directory
from tests.support.listener import PATIENCE
from tests.support.serving import serving

COUNTS = {"unread": 0, "unseen": 0}
_EMPTY: dict[str, Any] = {
    "data": [],
    "has_more": False,
    "next": None,
    "cursor": "e.0.0",
    "unread_count": 0,
    "unseen_count": 0,
}


class Link:
    """One connection of the client, of either transport. `shown`: its token; `cursor`: where it wants to go on."""

    def __init__(self) -> None:
        self.shown = ""
        self.cursor: str | None = None
        self.gone = asyncio.Event()
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.out: asyncio.Queue[dict[str, Any] | int] = asyncio.Queue()

    def say(self, kind: str, **fields: object) -> None:
        self.out.put_nowait({"type": kind, **fields})

    def ready(self, cursor: str = "e.0.0", ping_ms: int = 3_600_000) -> None:
        self.say("ready", user="ada", connection="c", cursor=cursor, counts=COUNTS, ping_ms=ping_ms)

    def close(self, code: int) -> None:
        """End it; a stream has no code."""
        self.out.put_nowait(code)

    async def heard(self, kind: str) -> dict[str, Any]:
        """Return the next frame, which must be of this type."""
        async with asyncio.timeout(PATIENCE):
            frame = await self.frames.get()
        assert frame["type"] == kind, frame
        return frame

    async def left(self) -> None:
        """Wait until the client has hung up."""
        async with asyncio.timeout(PATIENCE):
            await self.gone.wait()


class ScriptedHub:
    """Serves the web files, an empty inbox, and connections that the test talks through."""

    def __init__(self) -> None:
        self.port = 0
        self.busy = ""
        """`Retry-After` of the 503 that everybody gets; empty: there is room."""
        self.page: dict[str, Any] = _EMPTY
        """The newest page of the inbox."""
        self.turned_away: asyncio.Queue[str] = asyncio.Queue()
        """The path of each request that got it."""
        self._links: asyncio.Queue[Link] = asyncio.Queue()
        self._open: set[Link] = set()
        self._app = Starlette(
            routes=[
                Route("/", lambda _: HTMLResponse("<!doctype html><title>a page</title>")),
                Route("/healthz", lambda _: JSONResponse({})),
                Route("/v1/inbox", self._inbox),
                WebSocketRoute("/v1/ws", self._websocket),
                Route("/v1/sse", self._sse),
                Mount("/static", StaticFiles(directory=static_directory())),
            ]
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free port of 127.0.0.1."""
        async with serving(uvicorn.Config(self._app, lifespan="off", log_config=None)) as self.port:
            try:
                yield
            finally:
                for link in self._open:
                    link.close(1001)

    async def link(self) -> Link:
        """Return the client's next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._links.get()

    @property
    def idle(self) -> bool:
        """Whether there is no connection that nobody has asked for."""
        return self._links.empty()

    async def _inbox(self, request: Request) -> Response:
        return self._no_room(request) or JSONResponse(self.page)

    async def _websocket(self, socket: WebSocket) -> None:
        if self.busy:
            self.turned_away.put_nowait(socket.url.path)
            await socket.close()  # before the handshake: a status that browsers hide
            return
        await socket.accept()
        link = Link()
        writing = asyncio.create_task(self._write(socket, link))
        with suppress(WebSocketDisconnect):
            connect = await socket.receive_json()
            link.shown, link.cursor = connect["token"], connect["cursor"]
            self._begin(link)
            while True:
                link.frames.put_nowait(await socket.receive_json())
        writing.cancel()
        self._end(link)

    async def _write(self, socket: WebSocket, link: Link) -> None:
        while isinstance(said := await link.out.get(), dict):
            await socket.send_json(said)
        await socket.close(said)

    async def _sse(self, request: Request) -> Response:
        if (refusal := self._no_room(request)) is not None:
            return refusal
        link = Link()
        link.shown = request.headers["authorization"].removeprefix("Bearer ")
        link.cursor = request.headers.get("last-event-id")
        self._begin(link)
        return StreamingResponse(self._events(link), media_type="text/event-stream")

    async def _events(self, link: Link) -> AsyncIterator[str]:
        try:
            while isinstance(said := await link.out.get(), dict):
                yield f"event: {said['type']}\ndata: {json.dumps(said)}\n\n"
        finally:
            self._end(link)

    def _begin(self, link: Link) -> None:
        self._open.add(link)
        self._links.put_nowait(link)

    def _end(self, link: Link) -> None:
        self._open.discard(link)
        link.gone.set()

    def _no_room(self, request: Request) -> Response | None:
        if not self.busy:
            return None
        self.turned_away.put_nowait(request.url.path)
        return Response(status_code=503, headers={"Retry-After": self.busy})
