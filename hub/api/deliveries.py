"""`/v1/deliveries`: looking them up, and what can be done to one, or to all that are dead."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.paths import id_of
from hub.api.responses import json_response
from hub.core.errors import InvalidRequest
from hub.core.model import DeliveryState
from hub.core.model.queues import DeliveryFilter
from hub.core.publication import channel_of
from hub.core.text import check_id, check_text
from hub.core.views import parse_rfc3339
from hub.core.wire.queues import DeliveryPatchIn, ReplayIn
from hub.http.auth import Guard
from hub.http.bodies import read_json, read_json_or
from hub.http.queries import read_int, read_query
from hub.service import Operations
from hub.service.operations import uuid_of

MAX_PAGE = 500
_PAGE = 50
_MAX_FILTER = 200
"""Characters."""

_PATCH = msgspec.json.Decoder(DeliveryPatchIn)
_REPLAY = msgspec.json.Decoder(ReplayIn)
_TIMES = ("created_after", "created_before", "ended_after", "ended_before")
_KNOWN = frozenset(
    {"state", "channel", "user", "notification", "provider", "reason", *_TIMES, "after", "limit"},
)


class Deliveries:
    """A tenant's deliveries."""

    def __init__(self, operations: Operations, guard: Guard) -> None:
        self._operations = operations
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource; the one with a fixed name comes before those with an id."""
        return [
            Route("/v1/deliveries", self.list, methods=["GET"]),
            Route("/v1/deliveries/replay", self.replay, methods=["POST"]),
            Route("/v1/deliveries/{id}", self.show, methods=["GET"]),
            Route("/v1/deliveries/{id}", self.change, methods=["PATCH"]),
            Route("/v1/deliveries/{id}/retry", self.retry, methods=["POST"]),
            Route("/v1/deliveries/{id}/promote", self.promote, methods=["POST"]),
            Route("/v1/deliveries/{id}/cancel", self.cancel, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """Show a page of those that are asked for."""
        tenant = self._guard.require_publisher(request)
        query = read_query(request, _KNOWN)
        limit = read_int(query, "limit", _PAGE, at_least=1, at_most=MAX_PAGE)
        return json_response(await self._operations.deliveries(tenant, _filter(query), query.get("after"), limit))

    async def show(self, request: Request) -> Response:
        """Show one, with its past."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._operations.delivery(tenant, id_of(request)))

    async def change(self, request: Request) -> Response:
        """Reschedule one, or correct its address."""
        tenant = self._guard.require_publisher(request)
        delivery = id_of(request)
        return json_response(await self._operations.change(tenant, delivery, await read_json(request, _PATCH)))

    async def retry(self, request: Request) -> Response:
        """Put a dead one back into the queue."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._operations.retry(tenant, id_of(request)))

    async def promote(self, request: Request) -> Response:
        """Send one now."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._operations.promote(tenant, id_of(request)))

    async def cancel(self, request: Request) -> Response:
        """End one that waits."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._operations.cancel(tenant, id_of(request)))

    async def replay(self, request: Request) -> Response:
        """Put many dead ones back; without a body: all."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._operations.replay(tenant, await read_json_or(ReplayIn(), request, _REPLAY)))


def _filter(query: Mapping[str, str]) -> DeliveryFilter:
    """Read which deliveries are meant.

    Raises:
        InvalidRequest: naming the parameter.

    """
    times = {name: parse_rfc3339(query[name], name) for name in _TIMES if name in query}
    return DeliveryFilter(
        state=_state(query["state"]) if "state" in query else None,
        channel=channel_of(query["channel"], "channel") if "channel" in query else None,
        user=check_id(query["user"], "user") if "user" in query else None,
        notification=uuid_of(query["notification"], "notification") if "notification" in query else None,
        provider=check_text(query["provider"], "provider", _MAX_FILTER) if "provider" in query else None,
        reason=check_text(query["reason"], "reason", _MAX_FILTER) if "reason" in query else None,
        **times,
    )


def _state(name: str) -> DeliveryState:
    try:
        return DeliveryState(name)
    except ValueError:
        known = ", ".join(state.value for state in DeliveryState)
        raise InvalidRequest(f"is not a state; known: {known}", pointer="state") from None
