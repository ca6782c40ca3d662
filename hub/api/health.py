"""`/healthz` and `/readyz`, for load balancers and orchestrators."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.responses import json_response
from hub.core import wire
from hub.core.errors import StoreUnavailable
from hub.service import Hub


class Health:
    """Liveness and readiness, without credentials and without detail worth hiding."""

    def __init__(self, hub: Hub, draining: Callable[[], bool]) -> None:
        self._hub = hub
        self._draining = draining

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def alive(self, _: Request) -> Response:
        """Say that the process answers; touches nothing else, so that an outage elsewhere restarts nobody."""
        return json_response(wire.HealthOut(status="ok"))

    async def ready(self, _: Request) -> Response:
        """Say whether to send clients here: not while draining, nor without the database.

        Without the bus the node still serves (every client catches up from the database), so that is only told.
        """
        draining = self._draining()
        try:
            parts = await self._hub.ready()
        except StoreUnavailable:
            parts = {"database": False}
        ready = not draining and parts.get("database", False)
        out = wire.ReadyOut(ready=ready, draining=draining, parts=parts)
        return json_response(out, status=200 if ready else 503)
