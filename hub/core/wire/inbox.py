"""Inboxes over REST."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from hub.core.wire.items import Item


class InboxOut(Struct, frozen=True):
    """One page of an inbox, newest first. Pass `next` as `after` for the following page."""

    data: list[Item]
    has_more: bool
    next: str | None
    unread_count: int
    unseen_count: int
    cursor: str


class CountOut(Struct, frozen=True):
    """The badge, with the cursor it belongs to."""

    unread_count: int
    unseen_count: int
    cursor: str


class MarkIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Which items: `ids`, or `all` (up to the cursor `through`, if given)."""

    ids: list[str] = []
    all: bool = False
    through: str | None = None
    until: str | None = None
    """For snooze: RFC 3339."""


class MarkOut(Struct, frozen=True):
    """How many items changed, and the badge after it."""

    changed: int
    unread_count: int
    unseen_count: int
    cursor: str


class ItemPatchIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of one item."""

    seen: Literal[True] | UnsetType = UNSET
    read: bool | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    snoozed_until: str | UnsetType | None = UNSET
    """A time to hide it until, or null to bring it back now."""


class PollOut(Struct, frozen=True):
    """Frames since the cursor, as on a WebSocket, and the cursor for the next call."""

    frames: list[Raw]
    cursor: str


class PresenceIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Attention of an SSE or polling client: the `connection` of its `ready`."""

    connection: str
    state: Literal["active", "away"]


class TicketOut(Struct, frozen=True):
    """A single-use ticket for `?ticket=`, good for 30 seconds."""

    ticket: str
    expires_at: str
