"""What clients see of an inbox: the badge and its items."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

PriorityName = Literal["critical", "high", "normal", "low"]
"""A notification's priority, most urgent first."""


class Counts(Struct, frozen=True):
    """The badge."""

    unread: int
    unseen: int


class Item(Struct, frozen=True):
    """An inbox item as clients see it. Of two states of one item, the one with the higher `version` is newer."""

    id: str
    version: int
    category: str
    title: str
    body: str
    action_url: str | None
    data: Raw
    actor: Raw
    priority: PriorityName
    created_at: str
    appeared_at: str
    expires_at: str | None
    seen_at: str | None
    read_at: str | None
    archived_at: str | None
    snoozed_until: str | None
