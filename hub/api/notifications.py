"""`/v1/notifications`: publishing, and what became of it."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.paths import id_of
from hub.api.responses import json_response, location, no_content
from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.http.auth import Guard
from hub.http.bodies import read_json
from hub.service import Hub, PublishOutcome

MAX_PUBLISH = 1024 * 1024
"""Bytes: 1,000 recipients of 255 characters, `data` and `actor` fit with room to spare."""

PUBLISH = msgspec.json.Decoder(wire.PublishIn)
_PUBLISHED = msgspec.json.Decoder(wire.PublishOut)


class Notifications:
    """The publisher's side."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/v1/notifications", self.publish, methods=["POST"]),
            Route("/v1/notifications/{id}", self.show, methods=["GET"]),
            Route("/v1/notifications/{id}", self.recall, methods=["DELETE"]),
        ]

    async def publish(self, request: Request) -> Response:
        """Store a notification for its recipients; under a known Idempotency-Key, repeat the first answer."""
        tenant = self._guard.require_publisher(request)
        key = _idempotency_key(request)
        body = await read_json(request, PUBLISH, limit=MAX_PUBLISH)
        return published(request, await self._hub.notifications.publish(tenant, body, key), "/v1/notifications")

    async def show(self, request: Request) -> Response:
        """Tell what became of a notification."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.notifications.status(tenant, id_of(request)))

    async def recall(self, request: Request) -> Response:
        """Take a notification back; 204 also when it has been before, so that repeating the call is safe."""
        tenant = self._guard.require_publisher(request)
        await self._hub.notifications.recall(tenant, id_of(request))
        return no_content()


def published(request: Request, outcome: PublishOutcome, collection: str) -> Response:
    """Answer a publish: 201 with where to look it up in `collection`."""
    notification = _PUBLISHED.decode(outcome.body).id
    headers = {"Location": location(request, f"{collection}/{notification}")}
    if outcome.replayed:
        headers["Idempotent-Replayed"] = "true"
    return json_response(outcome.body, status=201, headers=headers)


def _idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key header; the use case checks its form."""
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise InvalidRequest("is given twice", pointer="Idempotency-Key")
    return keys[0] if keys else None
