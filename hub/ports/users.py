"""What is known of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from hub.core.model import Contact, Device


class Directory(Protocol):
    """Users' contacts and endpoints, as told by the embedding app."""

    async def put_contact(self, tenant: str, contact: Contact, now: int) -> bool:
        """Store a contact whole (absent fields are cleared); True if the user was new."""
        ...

    async def contact(self, tenant: str, user: str) -> Contact | None:
        """Read a contact."""
        ...

    async def add_device(self, tenant: str, device: Device) -> Device:
        """Store a device; the same kind and token again moves it to this user and keeps its id.

        Beyond a bound, the user's oldest make room.
        """
        ...

    async def devices(self, tenant: str, user: str) -> Sequence[Device]:
        """Read a user's devices, oldest first."""
        ...

    async def remove_device(self, tenant: str, user: str, device: UUID) -> bool:
        """Delete a device; False if there was none."""
        ...
