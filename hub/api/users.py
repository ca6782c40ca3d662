"""`/v1/users`: how users are reached, as the embedding app tells us."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.api.paths import EncodedRoute, id_of, user_of
from hub.api.responses import json_response, json_stream, no_content
from hub.core import wire
from hub.core.errors import NotFound
from hub.core.model import InboxKey
from hub.http.auth import Guard
from hub.http.bodies import read_json, read_json_or
from hub.service import Hub

_CONTACT = msgspec.json.Decoder(wire.ContactIn)
_DEVICE = msgspec.json.Decoder(wire.DeviceIn)
_DISCONNECT = msgspec.json.Decoder(wire.DisconnectIn)


class Users:
    """Contacts, devices, connections. Devices are also open to the user's own token: apps register themselves."""

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes of this resource."""
        return [
            EncodedRoute("/v1/users/{user}", self.put, methods=["PUT"]),
            EncodedRoute("/v1/users/{user}", self.show, methods=["GET"]),
            EncodedRoute("/v1/users/{user}", self.erase, methods=["DELETE"]),
            EncodedRoute("/v1/users/{user}/export", self.export, methods=["GET"]),
            EncodedRoute("/v1/users/{user}/devices", self.add_device, methods=["POST"]),
            EncodedRoute("/v1/users/{user}/devices", self.devices, methods=["GET"]),
            EncodedRoute("/v1/users/{user}/devices/{id}", self.remove_device, methods=["DELETE"]),
            EncodedRoute("/v1/users/{user}/presence", self.presence, methods=["GET"]),
            EncodedRoute("/v1/users/{user}/disconnect", self.disconnect, methods=["POST"]),
        ]

    async def put(self, request: Request) -> Response:
        """Store a contact whole."""
        tenant = self._guard.require_publisher(request)
        contact, new = await self._hub.users.put_contact(tenant, user_of(request), await read_json(request, _CONTACT))
        return json_response(contact, status=201 if new else 200)

    async def show(self, request: Request) -> Response:
        """Show a contact and its devices."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.users.contact(tenant, user_of(request)))

    async def erase(self, request: Request) -> Response:
        """Erase a user; 204 also when there is nothing to erase, so that repeating the call is safe."""
        tenant = self._guard.require_publisher(request)
        await self._hub.privacy.erase(InboxKey(tenant, user_of(request)))
        return no_content()

    async def export(self, request: Request) -> Response:
        """Hand over everything that is held about a user, written as it is read."""
        tenant = self._guard.require_publisher(request)
        return json_stream(await self._hub.privacy.export(InboxKey(tenant, user_of(request))), "export.json")

    async def add_device(self, request: Request) -> Response:
        """Store a device; the same token again keeps its id, so repeating it is safe."""
        key = self._guard.require_publisher_or_self(request, user_of(request))
        device = await self._hub.users.add_device(key.tenant, key.user, await read_json(request, _DEVICE))
        return json_response(device, status=201)

    async def devices(self, request: Request) -> Response:
        """List devices, oldest first."""
        key = self._guard.require_publisher_or_self(request, user_of(request))
        try:
            devices = (await self._hub.users.contact(key.tenant, key.user)).devices
        except NotFound:
            devices = []  # nobody has told us of this user, so they have none
        return json_response(wire.DevicesOut(data=devices))

    async def remove_device(self, request: Request) -> Response:
        """Forget a device, as at a sign-out."""
        key = self._guard.require_publisher_or_self(request, user_of(request))
        await self._hub.users.remove_device(key.tenant, key.user, id_of(request))
        return no_content()

    async def presence(self, request: Request) -> Response:
        """Tell whether the user is connected and looking."""
        tenant = self._guard.require_publisher(request)
        return json_response(await self._hub.users.presence(InboxKey(tenant, user_of(request))))

    async def disconnect(self, request: Request) -> Response:
        """Close the user's connections; 202, as the other nodes do it in their own time."""
        tenant = self._guard.require_publisher(request)
        key = InboxKey(tenant, user_of(request))
        wanted = await read_json_or(wire.DisconnectIn(), request, _DISCONNECT)
        return json_response(await self._hub.access.disconnect(key, wanted), status=202)
