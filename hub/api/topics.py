"""`/v1/topics`: who is a member of what."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.api.paths import EncodedRoute, user_of
from hub.api.responses import json_response
from hub.core import wire
from hub.core.text import check_topic
from hub.http.auth import Guard
from hub.http.bodies import read_json
from hub.http.queries import read_int, read_query
from hub.service import Hub

MAX_MEMBERS_BODY = 12 * 1024 * 1024
"""Bytes: 10,000 ids of 255 characters, whatever the characters are."""

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000

_MEMBERS = msgspec.json.Decoder(wire.MembersIn)


class Topics:
    """Joining and leaving in bulk, with the API key. A topic exists once it is used."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            EncodedRoute("/v1/topics/{topic}/members", self.join, methods=["PUT"]),
            EncodedRoute("/v1/topics/{topic}/members", self.leave, methods=["DELETE"]),
            EncodedRoute("/v1/topics/{topic}/members", self.members, methods=["GET"]),
            EncodedRoute("/v1/users/{user}/topics", self.of_user, methods=["GET"]),
        ]

    async def join(self, request: Request) -> Response:
        """Make users members."""
        tenant, topic, body = await self._membership(request)
        return json_response(await self._hub.topics.join(tenant, topic, body))

    async def leave(self, request: Request) -> Response:
        """End memberships."""
        tenant, topic, body = await self._membership(request)
        return json_response(await self._hub.topics.leave(tenant, topic, body))

    async def members(self, request: Request) -> Response:
        """List who is a member now, a page at a time."""
        tenant = self._guard.require_publisher(request)
        topic = _topic_of(request)
        query = read_query(request, ("after", "limit"))
        limit = read_int(query, "limit", DEFAULT_LIMIT, at_least=1, at_most=MAX_LIMIT)
        return json_response(await self._hub.topics.members(tenant, topic, query.get("after"), limit))

    async def of_user(self, request: Request) -> Response:
        """List what a user is a member of now."""
        key = self._guard.require_publisher_or_self(request, user_of(request))
        return json_response(await self._hub.topics.of_user(key))

    async def _membership(self, request: Request) -> tuple[str, str, wire.MembersIn]:
        tenant = self._guard.require_publisher(request)
        topic = _topic_of(request)
        return tenant, topic, await read_json(request, _MEMBERS, limit=MAX_MEMBERS_BODY)


def _topic_of(request: Request) -> str:
    """Return the topic's name in the path.

    Raises:
        InvalidRequest: it cannot be a topic's name.

    """
    return check_topic(request.path_params["topic"], "topic")
