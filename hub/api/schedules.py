"""`/v1/schedules`: notifications that are published later, or again and again."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.notifications import MAX_PUBLISH, idempotency_key, published
from hub.api.paths import id_of
from hub.api.responses import json_response, location, no_content
from hub.core import wire
from hub.http.auth import Guard
from hub.http.bodies import read_json
from hub.http.queries import read_int, read_query
from hub.service import Hub

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
DEFAULT_COUNT = 10
MAX_COUNT = 100

_SCHEDULE = msgspec.json.Decoder(wire.ScheduleIn)
_PATCH = msgspec.json.Decoder(wire.SchedulePatchIn)
_TIMING = msgspec.json.Decoder(wire.TimingIn)
_CREATED = msgspec.json.Decoder(wire.ScheduleOut)


class Schedules:
    """With the API key."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/v1/schedules", self.create, methods=["POST"]),
            Route("/v1/schedules", self.page, methods=["GET"]),
            Route("/v1/schedules/preview", self.preview, methods=["POST"]),
            Route("/v1/schedules/{id}", self.show, methods=["GET"]),
            Route("/v1/schedules/{id}", self.patch, methods=["PATCH"]),
            Route("/v1/schedules/{id}", self.remove, methods=["DELETE"]),
            Route("/v1/schedules/{id}/next", self.next_runs, methods=["GET"]),
            Route("/v1/schedules/{id}/pause", self.pause, methods=["PUT"]),
            Route("/v1/schedules/{id}/resume", self.resume, methods=["PUT"]),
            Route("/v1/schedules/{id}/run", self.run, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Store a schedule; under a known Idempotency-Key, repeat the first answer."""
        tenant = self._guard.require_publisher(request)
        key = idempotency_key(request)
        body = await read_json(request, _SCHEDULE, limit=MAX_PUBLISH)
        created = await self._hub.schedules.create(tenant, body, key)
        headers = {"Location": location(request, f"/v1/schedules/{_CREATED.decode(created.body).id}")}
        if created.replayed:
            headers["Idempotent-Replayed"] = "true"
        return json_response(created.body, status=201, headers=headers)

    async def page(self, request: Request) -> Response:
        """List schedules, a page at a time."""
        tenant = self._guard.require_publisher(request)
        query = read_query(request, ("after", "limit"))
        limit = read_int(query, "limit", DEFAULT_LIMIT, at_least=1, at_most=MAX_LIMIT)
        return json_response(await self._hub.schedules.page(tenant, query.get("after"), limit))

    async def show(self, request: Request) -> Response:
        """Tell all about a schedule."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.schedules.show(tenant, id_of(request)))

    async def patch(self, request: Request) -> Response:
        """Change a schedule."""
        tenant = self._guard.require_publisher(request)
        body = await read_json(request, _PATCH, limit=MAX_PUBLISH)
        return json_response(await self._hub.schedules.patch(tenant, id_of(request), body))

    async def remove(self, request: Request) -> Response:
        """Delete a schedule."""
        tenant = self._guard.require_publisher(request)
        await self._hub.schedules.remove(tenant, id_of(request))
        return no_content()

    async def next_runs(self, request: Request) -> Response:
        """Tell when a schedule is due next."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.schedules.next_runs(tenant, id_of(request), _count(request)))

    async def preview(self, request: Request) -> Response:
        """Tell when a schedule would be due; nothing is stored."""
        self._guard.require_publisher(request)
        count = _count(request)
        return json_response(self._hub.schedules.preview(await read_json(request, _TIMING), count))

    async def pause(self, request: Request) -> Response:
        """Pause a schedule; repeating it changes nothing."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.schedules.pause(tenant, id_of(request)))

    async def resume(self, request: Request) -> Response:
        """Resume a schedule; repeating it changes nothing."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.schedules.resume(tenant, id_of(request)))

    async def run(self, request: Request) -> Response:
        """Publish now what a schedule publishes."""
        tenant = self._guard.require_publisher(request)
        outcome = await self._hub.schedules.run(tenant, id_of(request), idempotency_key(request))
        return published(request, outcome, "/v1/notifications")


def _count(request: Request) -> int:
    query = read_query(request, ("count",))
    return read_int(query, "count", DEFAULT_COUNT, at_least=1, at_most=MAX_COUNT)
