"""Users: how they are reached, and whether they are there."""

from __future__ import annotations

from uuid import UUID

from hub.core import wire
from hub.core.errors import NotFound
from hub.core.ids import uuid7
from hub.core.model import Contact, Device, InboxKey
from hub.core.text import MAX_ID, check_email, check_id, check_phone, check_text
from hub.core.views import device_view, rfc3339_or_none
from hub.ports import Clock, Directory, Presence

_MAX_TOKEN = 4096


class Users:
    """Contacts, devices and presence."""

    def __init__(self, directory: Directory, presence: Presence, clock: Clock) -> None:
        self._directory = directory
        self._presence = presence
        self._clock = clock

    async def put_contact(self, tenant: str, user: str, contact: wire.ContactIn) -> tuple[wire.ContactOut, bool]:
        """Store how a user is reached, whole; True if the user was new."""
        check_id(user, "user")
        stored = Contact(
            user=user,
            email=None if contact.email is None else check_email(contact.email, "$.email"),
            phone=None if contact.phone is None else check_phone(contact.phone, "$.phone"),
            name=None if contact.name is None else check_text(contact.name, "$.name", MAX_ID),
            locale=None if contact.locale is None else check_text(contact.locale, "$.locale", 35),
            timezone=None if contact.timezone is None else check_text(contact.timezone, "$.timezone", 64),
        )
        new = await self._directory.put_contact(tenant, stored, self._clock.now())
        return await self.contact(tenant, user), new

    async def contact(self, tenant: str, user: str) -> wire.ContactOut:
        """Read a user's contact and devices.

        Raises:
            NotFound: never told of this user.

        """
        contact = await self._directory.contact(tenant, user)
        devices = await self._directory.devices(tenant, user)
        if contact is None and not devices:
            raise NotFound("there is no such user")
        contact = contact or Contact(user)
        return wire.ContactOut(
            user=user,
            email=contact.email,
            phone=contact.phone,
            name=contact.name,
            locale=contact.locale,
            timezone=contact.timezone,
            devices=[device_view(device) for device in devices],
        )

    async def add_device(self, tenant: str, user: str, device: wire.DeviceIn) -> wire.DeviceOut:
        """Store a push endpoint; a token that is known already moves to this user and keeps its id."""
        check_id(user, "user")
        now = self._clock.now()
        stored = await self._directory.add_device(
            tenant,
            Device(
                id=uuid7(now),
                user=user,
                kind=device.kind,
                token=check_text(device.token, "$.token", _MAX_TOKEN, empty=False),
                created_at=now,
                name=None if device.name is None else check_text(device.name, "$.name", MAX_ID),
            ),
        )
        return device_view(stored)

    async def remove_device(self, tenant: str, user: str, device: UUID) -> None:
        """Forget a push endpoint.

        Raises:
            NotFound: this user has no such device.

        """
        if not await self._directory.remove_device(tenant, user, device):
            raise NotFound("this user has no such device")

    async def presence(self, key: InboxKey) -> wire.PresenceOut:
        """Tell whether a user is connected and looking."""
        state = (await self._presence.read([key], self._clock.now()))[key]
        return wire.PresenceOut(
            attention=state.attention.value,
            connections=state.connections,
            last_seen_at=rfc3339_or_none(state.last_seen_at),
        )
