"""Users, their endpoints and their presence over REST."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ContactIn(Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach a user; absent fields are cleared."""

    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None


class DeviceIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A device that push reaches."""

    token: str
    kind: Literal["fcm_token"] = "fcm_token"
    name: str | None = None


class DeviceOut(Struct, frozen=True):
    """A stored device; the token is shown by its last four characters only."""

    id: str
    kind: str
    token_hint: str
    name: str | None
    created_at: str


class ContactOut(Struct, frozen=True):
    """A user's contact and devices."""

    user: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
    devices: list[DeviceOut]


class DevicesOut(Struct, frozen=True):
    """A user's devices, oldest first."""

    data: list[DeviceOut]


class PresenceOut(Struct, frozen=True):
    """Whether a user is connected and looking."""

    attention: Literal["active", "away", "offline", "unknown"]
    connections: int
    last_seen_at: str | None
