"""Inboxes as their users and connections read and change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.errors import InvalidRequest, NotFound
from hub.core.model import Changes, InboxKey, InboxQuery, MarkAction, Selection
from hub.core.views import item_view, page_token, parse_rfc3339
from hub.ports import Bus, Clock, InboxStore
from hub.service.outbox import Outbox

RESUME_LIMIT = 500
"""Changed items beyond which a client reads its newest page again instead."""

_MAX_SNOOZE = 366 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An applied mark: the answer, and the change to show to connections at hand (None if nothing changed)."""

    out: wire.MarkOut
    live: wire.LiveChange | None


class Inbox:
    """Everybody's inbox; whose is meant is given with each call."""

    def __init__(self, store: InboxStore, outbox: Outbox, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._bus = bus
        self._clock = clock

    async def page(self, key: InboxKey, query: InboxQuery) -> wire.InboxOut:
        """Read a page of an inbox, with the counts and cursor of the same snapshot."""
        page = await self._store.page(key, query)
        return wire.InboxOut(
            data=[item_view(item, page.head.version) for item in page.items],
            has_more=page.has_more,
            next=page_token(page.items[-1]) if page.has_more else None,
            unread_count=page.head.counts.unread,
            unseen_count=page.head.counts.unseen,
            cursor=str(page.head.cursor),
        )

    async def count(self, key: InboxKey) -> wire.CountOut:
        """Read the badge."""
        head = await self._store.head(key)
        return wire.CountOut(unread_count=head.counts.unread, unseen_count=head.counts.unseen, cursor=str(head.cursor))

    async def item(self, key: InboxKey, notification: UUID) -> wire.Item:
        """Read one item.

        Raises:
            NotFound: not in this inbox, or no longer.

        """
        item = await self._store.item(key, notification)
        if item is None:
            raise NotFound("there is no such item in this inbox")
        return item_view(item)

    async def catch_up(self, wanted: Sequence[tuple[InboxKey, Cursor | None]]) -> Sequence[Changes]:
        """Read what clients with these cursors missed, without a cursor only the head; see `InboxStore.catch_up`."""
        return await self._store.catch_up(wanted, RESUME_LIMIT)

    async def versions(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Cursor]:
        """Read where many inboxes are, in one query."""
        return await self._store.versions(keys)

    async def mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, until: int | None = None
    ) -> Acknowledged:
        """Apply a user's action, cancel the deliveries that it makes needless, and tell the user's other devices.

        Raises:
            InvalidRequest: a snooze without `until`, or into the past.

        """
        now = self._clock.now()
        if action is MarkAction.SNOOZE:
            _check_snooze(until, now, "$.until")
        elif until is not None:
            raise InvalidRequest("`until` goes with snooze only", pointer="$.until")
        return await self._mark(key, action, selection, now, until)

    async def patch_item(self, key: InboxKey, notification: UUID, patch: wire.ItemPatchIn) -> wire.Item:
        """Change one item: each given field is one action, applied in the order seen, read, archived, snoozed.

        Raises:
            NotFound: not in this inbox, or no longer.
            InvalidRequest: nothing given, or a bad time; nothing is changed.

        """
        now = self._clock.now()
        actions = _patch_actions(patch, now)
        if not actions:
            raise InvalidRequest("give at least one of `seen`, `read`, `archived`, `snoozed_until`", pointer="$")
        await self.item(key, notification)
        for action, until in actions:
            await self._mark(key, action, Selection(ids=(notification,)), now, until)
        return await self.item(key, notification)

    async def _mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, now: int, until: int | None
    ) -> Acknowledged:
        """Apply an action that has been checked; a snooze without `until` ends one."""
        marked = await self._store.mark(key, action, selection, now, until=until)
        live = None
        if marked.change is not None:
            (live,) = await self._outbox.tell([marked.change], [marked.wakeup])
        if until is not None and marked.changed:
            await self._bus.announce_due(until)
        return Acknowledged(
            wire.MarkOut(
                changed=marked.changed,
                unread_count=marked.head.counts.unread,
                unseen_count=marked.head.counts.unseen,
                cursor=str(marked.head.cursor),
            ),
            live,
        )


def _check_snooze(until: int | None, now: int, pointer: str) -> None:
    if until is None or not now < until <= now + _MAX_SNOOZE:
        raise InvalidRequest("snooze needs a time within the next year", pointer=pointer)


def _patch_actions(patch: wire.ItemPatchIn, now: int) -> list[tuple[MarkAction, int | None]]:
    actions: list[tuple[MarkAction, int | None]] = []
    if patch.seen is True:
        actions.append((MarkAction.SEEN, None))
    if isinstance(patch.read, bool):
        actions.append((MarkAction.READ if patch.read else MarkAction.UNREAD, None))
    if isinstance(patch.archived, bool):
        actions.append((MarkAction.ARCHIVE if patch.archived else MarkAction.UNARCHIVE, None))
    if isinstance(patch.snoozed_until, str):
        until = parse_rfc3339(patch.snoozed_until, "$.snoozed_until")
        _check_snooze(until, now, "$.snoozed_until")
        actions.append((MarkAction.SNOOZE, until))
    elif patch.snoozed_until is None:
        actions.append((MarkAction.SNOOZE, None))
    return actions
