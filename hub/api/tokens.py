"""`/v1/tokens`: taking back what the embedding app has signed."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.api.responses import json_response
from hub.core import wire
from hub.http.auth import Guard
from hub.http.bodies import read_json
from hub.service import Hub

_REVOKE = msgspec.json.Decoder(wire.RevokeIn)


class Tokens:
    """Users' tokens. The hub does not know them one by one: it refuses those issued before a time."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [Route("/v1/tokens/revoke", self.revoke, methods=["POST"])]

    async def revoke(self, request: Request) -> Response:
        """Refuse the tokens that a user, or everybody, holds now."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.access.revoke_tokens(tenant, await read_json(request, _REVOKE)))
