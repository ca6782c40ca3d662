"""Users, their endpoints and their presence over REST."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


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


class DisconnectIn(Struct, frozen=True, forbid_unknown_fields=True):
    """How a user's connections are closed."""

    revoke: bool = False
    """Whether the tokens that the user holds now are refused from now on."""


class DisconnectOut(Struct, frozen=True):
    """Every node was told to close the user's connections."""

    issued_before: str | None
    """The user's tokens issued before this time are refused; null if none were revoked."""


class RevokeIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens are refused from now on: one user's, or everybody's in the tenant. Exactly one of the two."""

    user: str | UnsetType = UNSET
    all: Literal[True] | UnsetType = UNSET


class RevokeOut(Struct, frozen=True):
    """Tokens issued before this time are refused."""

    issued_before: str
