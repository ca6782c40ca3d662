"""Marking: what users do to the items of their inboxes, many calls in one transaction.

Locks: deliveries that become needless, heads, (updates items). Everybody who changes an item holds its inbox's head:
what is read under that lock can be changed here, mark by mark, and written once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.ids import uuid7
from hub.core.model import (
    DeliveryState,
    InboxChange,
    InboxKey,
    Item,
    ItemState,
    MarkAction,
    Marked,
    SharedWakeup,
    TimerKind,
)
from hub.store.bulk import Bulk
from hub.store.heads import Heads, LockedHead, leave_wakeups, lock_heads, read_heads, save_heads
from hub.store.mark_reads import Aim, DeliveryKey, held_items, lock_needless, narrow_delivered
from hub.store.marks import HeldItem, Mark
from hub.store.rows import Values, content_of
from hub.store.shared_items import live_between
from hub.store.shared_mark import Passed, SharedMoves
from hub.store.shared_sql import TOP
from hub.store.tables import deliveries, inbox_items, notifications, timers

MAX_IDS = 100
"""Ids that one change names; beyond it says `all`, or leaves it to the reader to look."""


async def store(connection: AsyncConnection, group: Sequence[Mark], cluster: str) -> list[Marked]:
    """Apply marks in their order, as if each came alone; see `InboxStore.mark`."""
    before = await read_heads(connection, {mark.key for mark in group if _needs_head(mark)}, cluster)
    aims = [Aim.of(mark, before.get(mark.key)) for mark in group]
    await narrow_delivered(connection, aims)
    # A DELIVERED that need not be stored, as most need not, locks nothing.
    idle = [aim.ids is not None and not aim.ids and aim.mark.key in before for aim in aims]
    moved = iter(await _move(connection, [aim for aim, rests in zip(aims, idle, strict=True) if not rests], cluster))
    return [Marked(0, before[aim.mark.key]) if rests else next(moved) for aim, rests in zip(aims, idle, strict=True)]


def _needs_head(mark: Mark) -> bool:
    return mark.selection.all or mark.action is MarkAction.DELIVERED


async def _move(connection: AsyncConnection, aims: Sequence[Aim], cluster: str) -> list[Marked]:
    if not aims:
        return []
    now = max(aim.mark.now for aim in aims)
    needless = await lock_needless(connection, aims)
    heads = await lock_heads(connection, {aim.mark.key for aim in aims}, now, Bulk(connection))
    in_log = [aim for aim in aims if heads[aim.mark.key].log is not None]
    shared = await SharedMoves.read(connection, in_log)
    items = await held_items(connection, aims, shared.has)
    moves = _Moves(connection, heads, items, shared, cluster)
    marked = [await moves.apply(aim) for aim in aims]
    callers = Counter(aim.mark.key.tenant for aim, one in zip(aims, marked, strict=True) if one.change is not None)
    wakeups = await moves.write(needless, callers, now)
    return [
        one if one.change is None else replace(one, wakeup=wakeups[aim.mark.key.tenant])
        for aim, one in zip(aims, marked, strict=True)
    ]


class _Moves:
    """Locked heads and their items, as mark after mark moves them."""

    def __init__(
        self,
        connection: AsyncConnection,
        heads: Heads,
        items: Mapping[InboxKey, dict[UUID, HeldItem]],
        shared: SharedMoves,
        cluster: str,
    ) -> None:
        self._connection = connection
        self._heads = heads
        self._items = items
        self._shared = shared
        self._cluster = cluster
        self._changed: dict[tuple[InboxKey, UUID], HeldItem] = {}
        self._moved: dict[InboxKey, LockedHead] = {}
        self._timers: list[Values] = []

    async def apply(self, aim: Aim) -> Marked:
        mark, head = aim.mark, self._heads[aim.mark.key]
        changed = []
        for item in aim.meant(self._items.get(mark.key, {})):
            before = item.tally
            if mark.change(item):
                head.add(before, -1)
                head.add(item.tally)
                changed.append(item)
        self._changed |= {(mark.key, item.notification): item for item in changed}
        passed = Passed()
        if head.log is not None:
            shared, passed = await self._shared.apply(aim, head, MAX_IDS)
            changed += shared
        total = len(changed) + passed.total
        if not total or mark.action is MarkAction.DELIVERED:
            return Marked(total, head.head(self._cluster))
        head.version += 1
        self._moved[mark.key] = head
        for item in changed:
            item.version = head.version
        if mark.action is MarkAction.SNOOZE and mark.until is not None:
            self._timers += [_timer(mark.key, item.notification, mark.until) for item in changed]
        return Marked(total, head.head(self._cluster), await self._told(aim, changed, passed, head))

    async def write(
        self, needless: Mapping[DeliveryKey, Mark], callers: Mapping[str, int], now: int
    ) -> Mapping[str, SharedWakeup]:
        bulk = Bulk(self._connection)
        bulk.update(inbox_items, [_item_values(key, item) for (key, _), item in self._changed.items()])
        self._shared.write(bulk)
        bulk.update(deliveries, [_cancelled(key, mark) for key, mark in needless.items()])
        bulk.insert(timers, self._timers)
        save_heads(bulk, self._moved.values())
        wakeups = leave_wakeups(bulk, self._moved.values(), callers, now)
        await bulk.write()
        return wakeups

    async def _told(self, aim: Aim, changed: Sequence[HeldItem], passed: Passed, head: LockedHead) -> InboxChange:
        """Say what changed in the shortest shape that is exact for every client."""
        mark, change = aim.mark, InboxChange(aim.mark.key, head.head(self._cluster))
        if mark.brings_back:  # clients need not hold it: one is told whole, more are to be read
            return replace(change, item=await self._whole(mark.key, changed[0])) if len(changed) == 1 else change
        if len(changed) + passed.total <= MAX_IDS:
            ids = [*(item.notification for item in changed), *passed.ids]
            return replace(change, ids=tuple(sorted(ids)), fields=mark.fields)
        if aim.ids is not None:
            return change
        but = await self._later(aim)
        return change if len(but) > MAX_IDS else replace(change, all=True, but=but, fields=mark.fields)

    async def _whole(self, key: InboxKey, item: HeldItem) -> Item:
        here = sa.and_(notifications.c.tenant == key.tenant, notifications.c.id == item.notification)
        row = await self._connection.execute(sa.select(notifications).where(here))
        return item.whole(content_of(row.one()))

    async def _later(self, aim: Aim) -> tuple[UUID, ...]:
        """Return the items that appeared later than what a mark of all is about, at most one more than can be named."""
        later = sa.and_(
            inbox_items.c.tenant == aim.mark.key.tenant,
            inbox_items.c.user_id == aim.mark.key.user,
            inbox_items.c.state == int(ItemState.LIVE),
            inbox_items.c.since > aim.upto,
        )
        query = sa.select(inbox_items.c.notification_id).where(later).order_by(inbox_items.c.notification_id)
        own = (await self._connection.execute(query.limit(MAX_IDS + 1))).scalars().all()
        if self._heads[aim.mark.key].log is None:
            return tuple(own)
        shared = await live_between(self._connection, aim.mark.key, aim.position, TOP, MAX_IDS + 1)
        return (*own, *(row.notification_id for row in shared))


def _item_values(key: InboxKey, item: HeldItem) -> Values:
    return {
        "tenant": key.tenant,
        "user_id": key.user,
        "notification_id": item.notification,
        "version": item.version,
        "delivered_at": item.delivered_at,
        "seen_at": item.seen_at,
        "read_at": item.read_at,
        "archived_at": item.archived_at,
        "snoozed_until": item.snoozed_until,
    }


def _cancelled(key: DeliveryKey, mark: Mark) -> Values:
    tenant, identifier = key
    return {
        "tenant": tenant,
        "id": identifier,
        "state": DeliveryState.CANCELLED.value,
        "reason": mark.effect.reason,
        "finished_at": mark.now,
    }


def _timer(key: InboxKey, notification: UUID, until: int) -> Values:
    # An earlier snooze's timer stays: when it comes, it finds another `snoozed_until` and does nothing.
    return {
        "id": uuid7(until),
        "tenant": key.tenant,
        "due_at": until,
        "kind": int(TimerKind.UNSNOOZE),
        "notification_id": notification,
        "user_id": key.user,
    }
