"""The gateway's routes. HTTP errors are raised as `RequestError`; the app renders them."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from hub.core.wire import PresenceIn
from hub.gateway.gateway import Gateway
from hub.gateway.poll import serve_poll
from hub.gateway.requests import by_header
from hub.gateway.sse import serve_sse
from hub.gateway.websocket import serve_websocket
from hub.http.bodies import read_json

_MAX_BODY = 1024

_PRESENCE = msgspec.json.Decoder(PresenceIn)


def gateway_routes(gateway: Gateway) -> list[BaseRoute]:
    """Return the live part of the interface."""

    async def websocket(socket: WebSocket) -> None:
        await serve_websocket(gateway, socket)

    async def sse(request: Request) -> Response:
        return await serve_sse(gateway, request)

    async def poll(request: Request) -> Response:
        return await serve_poll(gateway, request)

    async def presence(request: Request) -> Response:
        """Take the attention of a connection that cannot send frames; unknown connections are not an error."""
        identity = by_header(gateway, request)
        await gateway.attend(identity.key, await read_json(request, _PRESENCE, limit=_MAX_BODY))
        return Response(status_code=204)

    return [
        WebSocketRoute("/v1/ws", websocket),
        Route("/v1/sse", sse, methods=["GET"]),
        Route("/v1/poll", poll, methods=["GET"]),
        Route("/v1/presence", presence, methods=["POST"]),
    ]
