"""Topics and their members over REST."""

from __future__ import annotations

from msgspec import Struct


class MembersIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is to join or to leave: 1 to 10,000 users."""

    users: list[str]


class MembersChangedOut(Struct, frozen=True):
    """How many of the users were not yet, or no longer are, members."""

    changed: int


class MembersOut(Struct, frozen=True):
    """A page of a topic's members, in bytewise order of their ids. Pass `next` as `after` for the following one."""

    data: list[str]
    has_more: bool
    next: str | None


class TopicsOut(Struct, frozen=True):
    """The topics that a user is a member of now, in bytewise order."""

    data: list[str]
