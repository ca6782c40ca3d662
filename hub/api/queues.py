"""`/v1/queues`: what waits to be sent, channel by channel; stopping it, going on, and throwing it away."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.responses import json_response
from hub.core.errors import NotFound
from hub.core.model import Channel
from hub.core.model.queues import QueueKey
from hub.core.wire.queues import QueuesOut
from hub.http.auth import Guard
from hub.http.queries import read_query
from hub.service import Operations


class Queues:
    """A tenant's queues; a queue is a channel."""

    def __init__(self, operations: Operations, guard: Guard) -> None:
        self._operations = operations
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/v1/queues", self.list, methods=["GET"]),
            Route("/v1/queues/{channel}", self.show, methods=["GET"]),
            Route("/v1/queues/{channel}/pause", self.pause, methods=["PUT"]),
            Route("/v1/queues/{channel}/resume", self.resume, methods=["PUT"]),
            Route("/v1/queues/{channel}/empty", self.empty, methods=["PUT"]),
        ]

    async def list(self, request: Request) -> Response:
        """Tell of every queue."""
        tenant = self._guard.require_publisher(request)
        read_query(request, ())
        return json_response(QueuesOut(list(await self._operations.queues(tenant))))

    async def show(self, request: Request) -> Response:
        """Tell of one queue."""
        return json_response(await self._operations.queue(self._key(request)))

    async def pause(self, request: Request) -> Response:
        """Stop sending; repeating it changes nothing."""
        return json_response(await self._operations.pause(self._key(request)))

    async def resume(self, request: Request) -> Response:
        """Go on; repeating it changes nothing."""
        return json_response(await self._operations.resume(self._key(request)))

    async def empty(self, request: Request) -> Response:
        """Cancel what waits."""
        return json_response(await self._operations.empty(self._key(request)))

    def _key(self, request: Request) -> QueueKey:
        tenant = self._guard.require_publisher(request)
        read_query(request, ())
        try:
            return QueueKey(tenant, Channel(request.path_params["channel"]))
        except ValueError:
            known = ", ".join(channel.value for channel in Channel)
            raise NotFound(f"there is no such queue; there are {known}") from None
