"""Inboxes as versioned state: heads, items, changes, and what a client asks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from hub.core.cursor import Cursor
from hub.core.model.publishing import Content
from hub.core.model.shared import SharedEvent
from hub.core.model.terms import InboxKey, ItemState


class Counts(NamedTuple):
    """The badge: live items not archived and not snoozed, that are unread, and that are unseen."""

    unread: int
    unseen: int


@dataclass(frozen=True, slots=True)
class Head:
    """A user's inbox as a whole. `floor`: cursors below it cannot resume any more.

    `position` is that of the last event of the user's topics: 0 in a tenant without shared notifications.
    """

    epoch: str
    """The cursor epoch (already combined with the database's identity)."""
    version: int
    floor: int
    counts: Counts
    position: int = 0

    @property
    def cursor(self) -> Cursor:
        """The cursor of somebody who holds everything up to this head."""
        return Cursor(self.epoch, self.version, self.position)


@dataclass(frozen=True, slots=True)
class Item:
    """One user's state of one notification, with its content; `version` is the last change's.

    A shared item has its position in the log, version 0 as long as the user has done nothing to it, and `since` 0.
    """

    content: Content
    version: int
    since: int
    """The version with which it appeared: what a bulk change's `through` is compared with."""
    state: ItemState
    appeared_at: int
    seen_at: int | None = None
    read_at: int | None = None
    archived_at: int | None = None
    snoozed_until: int | None = None
    position: int = 0
    """Its place in the shared log; 0: it is the user's own."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items an action is for: `ids`, or all there are, or all up to the cursor `through`."""

    ids: tuple[UUID, ...] = ()
    all: bool = False
    through: Cursor | None = None


@dataclass(frozen=True, slots=True)
class InboxChange:
    """A committed change of one inbox, as told to connections. Exactly one of the shapes below.

    * `item`: a new or wholly changed item.
    * `ids` with `fields`: these items changed alike (`removed: true` in `fields` drops them).
    * `all` with `fields` and `but`: every item that a client holds changed alike, except `but`.
    * none of them (only `head`): too large or unknown; read the database.
    """

    key: InboxKey
    head: Head
    item: Item | None = None
    ids: tuple[UUID, ...] = ()
    all: bool = False
    but: tuple[UUID, ...] = ()
    fields: Mapping[str, int | bool | None] = field(default_factory=dict)


class SharedWakeup:
    """A wake-up row: it names the heads that several callers moved, and is settled once all of them have told.

    A caller that never tells (it was cancelled, or the bus did not take it) leaves the row to the sweeper.
    """

    __slots__ = ("_untold", "id")

    def __init__(self, identifier: UUID, callers: int) -> None:
        self.id = identifier
        self._untold = callers

    def told(self) -> bool:
        """Count a caller that has told its part; True for the last one, which settles the row."""
        self._untold -= 1
        return self._untold == 0


Untold = tuple[InboxChange | SharedEvent, SharedWakeup | None]
"""What has been committed and is to be told, with its wake-up."""


@dataclass(frozen=True, slots=True)
class Published:
    """A publish's outcome. With `replayed`, an earlier publish under the same key is the answer.

    `heads` are the recipients' heads after it (none when pending or without inbox); `replaced` is what its collapse
    key took away, to be told first; `shared` is the event of a shared audience, and `gone` that of what it replaced, to
    be told first; `wakeup` is to be `told` once they have been told.
    """

    id: UUID
    response: bytes | None = None
    replayed: bool = False
    heads: Mapping[str, Head] = field(default_factory=dict)
    wakeup: SharedWakeup | None = None
    replaced: Sequence[InboxChange] = ()
    shared: SharedEvent | None = None
    gone: SharedEvent | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """An action's outcome: how many items changed, the head as it is now, and what to tell (if anything changed)."""

    changed: int
    head: Head
    change: InboxChange | None = None
    wakeup: SharedWakeup | None = None


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """One page of an inbox, newest first. `after` is the sort key `(appeared_at, id)` of the last item seen."""

    unread: bool | None = None
    """True: only unread. False: only read. None: both."""
    unseen: bool | None = None
    category: str | None = None
    archived: bool = False
    snoozed: bool = False
    after: tuple[int, UUID] | None = None
    limit: int = 25


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page, with head and items from one snapshot."""

    head: Head
    items: Sequence[Item]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What a client with a cursor missed, in one snapshot: its own items by `(version, id)`, then shared ones.

    `resync` says why it cannot be told (then `items` is empty and the client reads its newest page anew).
    """

    head: Head
    items: Sequence[Item] = ()
    resync: str | None = None


@dataclass(frozen=True, slots=True)
class Wakeup:
    """A leftover of a publish that may not have been told: whose heads moved, and to which version; which topics."""

    id: UUID
    heads: Sequence[tuple[InboxKey, int]]
    shared: Sequence[SharedEvent] = ()


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """A join's or leave's outcome. Who was a member already, or was none, is not in it.

    `position` is its place in the log, `previous` that of what happened in the topic before it.
    `cursors` says where the inboxes of those are that changed: each has taken a version that changes no item (how far
    the log is for each is not looked up: 0). `wakeup` is to be `told` once they have been told; None: nothing changed.
    """

    position: int
    previous: int
    cursors: Mapping[str, Cursor]
    wakeup: SharedWakeup | None = None
