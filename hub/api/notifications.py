"""`/v1/notifications`: publishing, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.paths import id_of
from hub.api.problems import problem_in_batch
from hub.api.responses import json_response, location, no_content
from hub.core import wire
from hub.core.errors import InvalidRequest, RequestError
from hub.core.publication import MAX_BATCH
from hub.core.wire.rehearsal import RehearsalOut
from hub.http.auth import Guard
from hub.http.bodies import decode_json, read_json
from hub.http.queries import read_flag, read_query
from hub.service import Hub, Operations, PublishOutcome

MAX_PUBLISH = 1024 * 1024
"""Bytes: 1,000 recipients of 255 characters, `data` and `actor` fit with room to spare."""

MAX_BATCH_BODY = 8 * 1024 * 1024
"""Bytes."""

PUBLISH = msgspec.json.Decoder(wire.PublishIn)
_PUBLISHED = msgspec.json.Decoder(wire.PublishOut)


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    """A `wire.BatchIn` whose items are not looked at yet: a bad one is refused by itself."""

    notifications: list[msgspec.Raw]


_BATCH = msgspec.json.Decoder(_Batch)
_BATCH_ITEM = msgspec.json.Decoder(wire.BatchItemIn)


class Notifications:
    """The publisher's side."""

    def __init__(self, hub: Hub, guard: Guard, operations: Operations) -> None:
        self._hub = hub
        self._guard = guard
        self._operations = operations

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            Route("/v1/notifications", self.publish, methods=["POST"]),
            Route("/v1/notifications/batch", self.publish_batch, methods=["POST"]),
            Route("/v1/notifications/{id}", self.show, methods=["GET"]),
            Route("/v1/notifications/{id}", self.recall, methods=["DELETE"]),
        ]

    async def publish(self, request: Request) -> Response:
        """Store a notification for its recipients; under a known Idempotency-Key, repeat the first answer.

        With `dry_run=true`, only tell what that would do.
        """
        tenant = self._guard.require_publisher(request)
        rehearsed = dry_run(request)
        key = idempotency_key(request)
        body = await read_json(request, PUBLISH, limit=MAX_PUBLISH)
        if rehearsed:
            return json_response(await self._operations.rehearse(tenant, body, key))
        return published(request, await self._hub.notifications.publish(tenant, body, key), "/v1/notifications")

    async def publish_batch(self, request: Request) -> Response:
        """Store many notifications, and tell for each what became of it: a bad one leaves the others unharmed.

        With `dry_run=true`, only tell what that would do.
        """
        tenant = self._guard.require_publisher(request)
        rehearsed = dry_run(request)
        key = idempotency_key(request)
        body = await read_json(request, _BATCH, limit=MAX_BATCH_BODY)
        if not 1 <= len(body.notifications) <= MAX_BATCH:
            raise InvalidRequest(f"give 1 to {MAX_BATCH:,} notifications", pointer="$.notifications")
        items = [_batch_item(item) for item in body.notifications]
        outcomes: Sequence[PublishOutcome | RehearsalOut | Exception]
        if rehearsed:
            outcomes = await self._operations.rehearse_batch(tenant, items, key)
        else:
            outcomes = await self._hub.notifications.publish_batch(tenant, items, key)
        return json_response(wire.BatchOut([_batch_result(place, each) for place, each in enumerate(outcomes)]))

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


def _batch_item(item: msgspec.Raw) -> wire.BatchItemIn | RequestError:
    try:
        return decode_json(bytes(item), _BATCH_ITEM)
    except RequestError as error:
        return error


def _batch_result(place: int, outcome: PublishOutcome | RehearsalOut | Exception) -> wire.BatchResultOut:
    if isinstance(outcome, RehearsalOut):
        return wire.BatchResultOut(200, rehearsal=outcome)
    if isinstance(outcome, PublishOutcome):
        out = _PUBLISHED.decode(outcome.body)
        return wire.BatchResultOut(201, out.id, out.recipients, out.deliveries, outcome.replayed)
    problem = problem_in_batch(outcome, f"$.notifications[{place}]")
    return wire.BatchResultOut(problem.status, problem=problem)


def dry_run(request: Request) -> bool:
    """Tell whether nothing is to be stored."""
    return read_flag(read_query(request, ("dry_run",)), "dry_run")


def idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key header; the use case checks its form."""
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise InvalidRequest("is given twice", pointer="Idempotency-Key")
    return keys[0] if keys else None
