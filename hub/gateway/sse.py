"""`GET /v1/sse`: live frames as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.core.errors import Unavailable
from hub.core.model import Attention
from hub.gateway.detaching import Detach, detach_of
from hub.gateway.gateway import Gateway
from hub.gateway.lane_sse import LaneStream
from hub.gateway.requests import attention_of, by_header_or_ticket
from hub.http.queries import read_query
from hub.ports import Identity

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would wait for more
    "X-Content-Type-Options": "nosniff",
}

SHUTDOWN_GRACE = 3.0
"""Seconds that a stream has for its farewell when the server was told to stop and nobody has drained it."""


async def serve_sse(gateway: Gateway, request: Request) -> Response:
    """Answer with a stream of events; `id:` is the cursor.

    Raises:
        Unauthenticated, InvalidRequest, Unavailable: before anything is streamed.

    """
    gateway.admit(request)
    query = read_query(request, ("cursor", "ticket", "state"))
    attention = attention_of(query)
    identity = await by_header_or_ticket(gateway, request, query)
    if gateway.full:
        raise Unavailable("this node takes no more connections", retry_after=2)
    # A browser that reconnects by itself repeats the first URL: what it has seen since is in the header.
    cursor = request.headers.get("last-event-id") or query.get("cursor")
    detach = detach_of(request)
    if detach is not None:
        return _LaneResponse(gateway, detach, identity, cursor, attention)
    return _Stream(gateway, identity, cursor, attention)


class _LaneResponse(Response):
    """The head of a stream on the fast lane. What follows it is no longer this response's."""

    def __init__(
        self, gateway: Gateway, detach: Detach, identity: Identity, cursor: str | None, attention: Attention
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._gateway = gateway
        self._detach = detach
        self._connect = partial(LaneStream.connect, identity=identity, cursor=cursor, attention=attention)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI calls it
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        stream = self._gateway.open_stream()
        if self._detach(stream):
            self._connect(stream)
        else:  # the client has gone, or sends on: nothing to be served
            self._gateway.disconnect(stream)
            await send({"type": "http.response.body", "body": b""})


class _Stream(EventSourceResponse):
    """One stream. It can be cut from outside, when the client does not read what was written."""

    def __init__(self, gateway: Gateway, identity: Identity, cursor: str | None, attention: Attention) -> None:
        self._gateway = gateway
        self._identity = identity
        self._cursor = cursor
        self._attention = attention
        self._cut = anyio.CancelScope()
        self._stopping = anyio.Event()
        super().__init__(
            self._events(),
            ping=0,  # pings are events of ours, with a cursor
            sep="\n",
            data_sender_callable=self._say_farewell,
            shutdown_event=self._stopping,
            shutdown_grace_period=SHUTDOWN_GRACE,
        )
        self._connection = gateway.open(kind="sse", known=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._cut:
                await super().__call__(scope, receive, send)
        finally:
            self._gateway.disconnect(self._connection)

    async def _events(self) -> AsyncGenerator[ServerSentEvent]:
        connection = self._connection
        connection.on_overflow = self._cut.cancel
        connection.connect(self._identity, cursor=self._cursor, attention=self._attention)
        ended = False
        while not ended:
            await connection.wait()
            ended = connection.ended  # what is still queued says why, also where it ended as soon as it began
            while (out := connection.pop()) is not None:
                yield ServerSentEvent(out.frame.decode(), event=out.event, id=out.cursor, sep="\n")

    async def _say_farewell(self) -> None:
        """Drain when the server stops."""
        await self._stopping.wait()
        self._connection.drain(0)
