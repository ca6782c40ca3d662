"""`/v1/tickets`: a way in for clients that cannot send headers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.responses import json_response
from hub.http.auth import Guard
from hub.service import Hub


class Tickets:
    """Single-use tickets for `?ticket=`."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [Route("/v1/tickets", self.issue, methods=["POST"])]

    async def issue(self, request: Request) -> Response:
        """Exchange a user's token for a ticket. The request has no body; one that is sent is not read."""
        identity = self._guard.identity(request)
        return json_response(await self._hub.access.issue_ticket(identity), status=201)
