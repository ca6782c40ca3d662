"""Where inboxes are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from hub.core.cursor import Cursor
from hub.core.model import (
    Changes,
    Head,
    InboxKey,
    InboxPage,
    InboxQuery,
    Item,
    MarkAction,
    Marked,
    NotificationState,
    Publication,
    Published,
    Selection,
    Untold,
    Wakeup,
)


class InboxStore(Protocol):
    """Inboxes as versioned state. Each method is one transaction or one snapshot.

    An inbox is the user's own items merged with those of the shared log that were published to their topics.
    """

    async def publish(self, publication: Publication, now: int) -> Published:
        """Store a publication whole: content, items, heads, deliveries, idempotency record, wake-up row.

        With `deliver_at` in the future the items are PENDING with a RELEASE timer, and heads do not move.
        With `expires_at` an EXPIRE timer is stored. With a `collapse_key`, the user's LIVE unread items with the same
        key become GONE when this one appears (now or at its release), with the version before its own, and what is
        queued for them is cancelled. Under a known idempotency key nothing is written and the first answer is returned.

        For a shared audience it is one event of the tenant's log (appended at `deliver_at` if that is in the future)
        and the topic, however many there are; no head moves. With a `collapse_key`, the item that the audience has
        under this key goes in the event before, for everybody, and what is queued or to be expanded is cancelled.

        A run of a schedule is stored with the schedule's move, or neither is.

        Raises:
            IdempotencyConflict: the key is known with another body hash.
            RunTaken: the schedule is not as it was when the run was decided, or another process holds it.
            DataError: the database refused a value; nothing is stored.

        """
        ...

    async def publish_all(self, publications: Sequence[Publication], now: int) -> Sequence[Published | Exception]:
        """Store many publications, each as `publish` would; what one is refused for stands in its answer's place.

        They need not be stored together: a crash may leave some of them, each whole.
        """
        ...

    async def answered(self, tenant: str, operation: str, key: str, body_hash: bytes) -> bytes | None:
        """Return the answer that was given under an idempotency key to a request with this hash, if there was one."""
        ...

    async def mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, now: int, *, until: int | None = None
    ) -> Marked:
        """Apply an action to the selected LIVE items: one version for the whole change, none if nothing changes.

        In the same transaction: counts, wake-up row, and queued deliveries whose `unless` rung is reached become
        `cancelled`. `until` is for SNOOZE (replaces an earlier snooze and its timer). Unknown ids are ignored.
        DELIVERED is stored only where the content tracks it and never takes a version. For `all`, `through`
        limits to items whose `since` is at most its version, and to shared ones up to its position; with an unknown
        epoch it selects nothing.
        """
        ...

    async def page(self, key: InboxKey, query: InboxQuery) -> InboxPage:
        """Read one page (LIVE items, newest first by `(appeared_at, id)`) with its head, in one snapshot."""
        ...

    async def head(self, key: InboxKey) -> Head:
        """Read a head; of a user never heard of: version 0 and no counts (and makes the row, to fix its epoch)."""
        ...

    async def item(self, key: InboxKey, notification: UUID) -> Item | None:
        """Read one LIVE item."""
        ...

    async def versions(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Cursor]:
        """Read many heads' cursors at once; users without a row are left out."""
        ...

    async def catch_up(self, wanted: Sequence[tuple[InboxKey, Cursor | None]], limit: int) -> Sequence[Changes]:
        """Read what clients with these cursors missed: one answer for each wish, in order, all of one snapshot.

        An answer has the head and the items stamped later than the cursor (GONE ones too), by `(version, id)`, then
        the shared ones that appeared, changed or went since; without a cursor the head alone. The same inbox may be
        wished for more than once. A user never heard of gets a row first, which fixes the epoch. Meant for up to 500
        wishes; those that are up to date are cheap.

        `resync` is set for another epoch, a cursor ahead of the head, one below the floor, or more than `limit`
        changed items. An adapter may also say `too_many_changes` to those who missed most, where all wishes
        together would bring more items into memory than it bears.
        """
        ...

    async def recall(self, tenant: str, notification: UUID, now: int) -> Sequence[Untold] | None:
        """Take a notification back: its items become GONE, whether they have appeared or not; its timers are dropped.

        In the same transaction its queued deliveries become `cancelled`; one that a worker holds is not sent unless
        the provider has it already. Returns what to tell, each with its wake-up: nothing if it was recalled before,
        None if this tenant has no such notification.
        """
        ...

    async def apply_timers(self, now: int, limit: int) -> Sequence[Untold]:
        """Apply up to `limit` due rows: release, expire, unsnooze. Returns what to tell, each with its wake-up.

        Expiry also turns the notification's queued deliveries `expired`. Safe to run in any number of processes.
        """
        ...

    async def next_timer(self) -> int | None:
        """Return when the earliest due row is due."""
        ...

    async def leftover_wakeups(self, before: int, limit: int) -> Sequence[Wakeup]:
        """Read wake-up rows written before `before` that nobody has settled."""
        ...

    async def settle_wakeups(self, ids: Sequence[UUID]) -> None:
        """Delete wake-up rows whose heads have been told."""
        ...

    async def notification(self, tenant: str, notification: UUID) -> NotificationState | None:
        """Read a notification with every recipient's state, delivery and attempt (at most 1,000 recipients)."""
        ...

    async def forget_before(self, now: int) -> None:
        """Drop what has served its time: idempotency records after 7 days, spent tickets."""
        ...
