"""What a mark does to an item.

The merge rule that clients follow (`docs/protocol.md`) is the very rule of `Mark.change`: a time is set only where
there is none, null clears, `snoozed_until` replaces. So one set of fields describes the change of items that were in
different states before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple
from uuid import UUID

from hub.core.model import Content, InboxKey, Item, ItemState, MarkAction, Rung, Selection
from hub.store.heads import Tally


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does to an item's times, and how far up the ladder of attention it gets."""

    once: tuple[str, ...] = ()
    """Set to now where null."""
    clear: tuple[str, ...] = ()
    rung: Rung = Rung.NONE
    reason: str = ""
    """Why a delivery that it makes needless was cancelled."""


_EFFECTS = {
    MarkAction.DELIVERED: Effect(
        ("delivered_at",), (), Rung.DELIVERED, "It arrived at one of the user's clients before it was due."
    ),
    MarkAction.SEEN: Effect(("seen_at",), (), Rung.SEEN, "The user saw it before it was due."),
    MarkAction.READ: Effect(("seen_at", "read_at"), (), Rung.READ, "The user read it before it was due."),
    MarkAction.UNREAD: Effect((), ("read_at",)),
    MarkAction.ARCHIVE: Effect(
        ("seen_at", "read_at", "archived_at"), (), Rung.READ, "The user archived it before it was due."
    ),
    MarkAction.UNARCHIVE: Effect((), ("archived_at",)),
    MarkAction.SNOOZE: Effect(),
}

_ALL_WEIGHS = 200


class Mark(NamedTuple):
    """One call of `InboxStore.mark`."""

    key: InboxKey
    action: MarkAction
    selection: Selection
    now: int
    until: int | None

    @property
    def effect(self) -> Effect:
        """Return what it does."""
        return _EFFECTS[self.action]

    @property
    def rows(self) -> int:
        """Return roughly how many rows it touches; of all there is nobody knows yet."""
        return 1 + (_ALL_WEIGHS if self.selection.all else len(self.selection.ids))

    @property
    def brings_back(self) -> bool:
        """Return whether items come back into the list, which clients need not hold: they are told whole."""
        return self.action is MarkAction.UNARCHIVE or (self.action is MarkAction.SNOOZE and self.until is None)

    @property
    def fields(self) -> dict[str, int | bool | None]:
        """Return the change as clients are told it."""
        if self.action is MarkAction.SNOOZE:
            return {"snoozed_until": self.until}
        fields: dict[str, int | bool | None] = dict.fromkeys(self.effect.once, self.now)
        return fields | dict.fromkeys(self.effect.clear)

    def change(self, item: HeldItem) -> bool:
        """Change an item, and tell whether that made a difference."""
        if self.action is MarkAction.SNOOZE:
            changed = item.snoozed_until != self.until
            item.snoozed_until = self.until
            return changed
        unset = [name for name in self.effect.once if getattr(item, name) is None]
        for name in unset:
            setattr(item, name, self.now)
        held = [name for name in self.effect.clear if getattr(item, name) is not None]
        for name in held:
            setattr(item, name, None)
        return bool(unset or held)


@dataclass(slots=True)
class HeldItem:
    """A LIVE item of an inbox whose head this transaction has locked: nobody else changes it."""

    COLUMNS: ClassVar = (
        "version",
        "since",
        "appeared_at",
        "delivered_at",
        "seen_at",
        "read_at",
        "archived_at",
        "snoozed_until",
    )

    notification: UUID
    version: int
    since: int
    appeared_at: int
    delivered_at: int | None
    seen_at: int | None
    read_at: int | None
    archived_at: int | None
    snoozed_until: int | None

    @property
    def tally(self) -> Tally:
        """Return what it counts for."""
        return Tally.of(
            seen_at=self.seen_at,
            read_at=self.read_at,
            archived_at=self.archived_at,
            snoozed_until=self.snoozed_until,
        )

    def whole(self, content: Content) -> Item:
        """Return it with its content, as it is now."""
        return Item(
            content=content,
            version=self.version,
            since=self.since,
            state=ItemState.LIVE,
            appeared_at=self.appeared_at,
            seen_at=self.seen_at,
            read_at=self.read_at,
            archived_at=self.archived_at,
            snoozed_until=self.snoozed_until,
        )


@dataclass(slots=True)
class HeldShared(HeldItem):
    """A live item of the shared log that a user has; what it says of its state, its row or the user's marks say."""

    position: int
    touched: bool
    """Whether it has a row."""

    def whole(self, content: Content) -> Item:
        """Return it with its content, as it is now."""
        # Not `super()`: a class with slots is made anew, and this method would look for the one before.
        return replace(HeldItem.whole(self, content), position=self.position)
