"""`/v1/events`: what happened elsewhere, told in the canonical form of events."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.notifications import MAX_PUBLISH, dry_run, published
from hub.api.responses import json_response
from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.http.auth import Guard
from hub.http.bodies import read_json
from hub.service import Hub, Operations

_EVENT = msgspec.json.Decoder(wire.EventIn)


class Events:
    """The publisher's side, for whoever speaks of events."""

    def __init__(self, hub: Hub, guard: Guard, operations: Operations) -> None:
        self._hub = hub
        self._guard = guard
        self._operations = operations

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [Route("/v1/events", self.publish, methods=["POST"])]

    async def publish(self, request: Request) -> Response:
        """Store a notification for the event's user, or repeat the first answer. The event itself carries its keys.

        With `dry_run=true`, only tell what that would do.
        """
        tenant = self._guard.require_publisher(request)
        rehearsed = dry_run(request)
        if "idempotency-key" in request.headers:
            raise InvalidRequest("say it in the event, as `idempotency_key`", pointer="Idempotency-Key")
        event = await read_json(request, _EVENT, limit=MAX_PUBLISH)
        if rehearsed:
            return json_response(await self._operations.rehearse_event(tenant, event))
        return published(request, await self._hub.notifications.publish_event(tenant, event), "/v1/notifications")
