"""Marking: what a user does to the items of their inbox.

The merge rule that clients follow (`docs/protocol.md`) is the very rule of the UPDATE here: a time is set only
where there is none, null clears, `snoozed_until` replaces. So one set of fields describes the change of items
that were in different states before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import epoch_of
from hub.core.ids import uuid7
from hub.core.model import (
    DeliveryState,
    InboxChange,
    InboxKey,
    Item,
    ItemState,
    MarkAction,
    Marked,
    Rung,
    Selection,
    TimerKind,
)
from hub.store.bulk import Bulk
from hub.store.heads import LockedHead, Tally, leave_wakeups, lock_heads, save_heads
from hub.store.rows import ITEM_COLUMNS, Row, Values, head_of, item_of, items_with_content, plan_of
from hub.store.sql import among
from hub.store.tables import deliveries, inbox_heads, inbox_items, notifications, timers

MAX_IDS = 100
"""Ids that one change names; beyond it says `all`, or leaves it to the reader to look."""


@dataclass(frozen=True, slots=True)
class _Effect:
    """What an action does to the columns of an item, and how far up the ladder of attention it gets."""

    once: tuple[str, ...] = ()
    """Set to now where null."""
    clear: tuple[str, ...] = ()
    rung: Rung = Rung.NONE
    reason: str = ""
    """Why a delivery that it makes needless was cancelled."""


_EFFECTS = {
    MarkAction.DELIVERED: _Effect(
        ("delivered_at",), (), Rung.DELIVERED, "It arrived at one of the user's clients before it was due."
    ),
    MarkAction.SEEN: _Effect(("seen_at",), (), Rung.SEEN, "The user saw it before it was due."),
    MarkAction.READ: _Effect(("seen_at", "read_at"), (), Rung.READ, "The user read it before it was due."),
    MarkAction.UNREAD: _Effect((), ("read_at",)),
    MarkAction.ARCHIVE: _Effect(
        ("seen_at", "read_at", "archived_at"), (), Rung.READ, "The user archived it before it was due."
    ),
    MarkAction.UNARCHIVE: _Effect((), ("archived_at",)),
    MarkAction.SNOOZE: _Effect(),
}


@dataclass(frozen=True, slots=True)
class _Mark:
    """One call of `mark`, ready to be made into SQL."""

    key: InboxKey
    action: MarkAction
    now: int
    until: int | None
    ids: tuple[UUID, ...] | None
    upto: int
    """Without `ids`: all items that appeared with this version or an earlier one."""

    @property
    def effect(self) -> _Effect:
        return _EFFECTS[self.action]

    @property
    def fields(self) -> dict[str, int | bool | None]:
        """The change as clients are told it."""
        fields: dict[str, int | bool | None] = dict.fromkeys(self.effect.once, self.now)
        fields |= dict.fromkeys(self.effect.clear)
        return {"snoozed_until": self.until} if self.action is MarkAction.SNOOZE else fields

    def selected(self, connection: AsyncConnection) -> sa.ColumnElement[bool]:
        """Test whether an item is meant, and LIVE."""
        return sa.and_(
            inbox_items.c.tenant == self.key.tenant,
            inbox_items.c.user_id == self.key.user,
            inbox_items.c.state == int(ItemState.LIVE),
            inbox_items.c.since <= self.upto
            if self.ids is None
            else among(connection, inbox_items.c.notification_id, self.ids),
        )

    def values(self) -> Values:
        """Return what to set."""
        values: Values = {name: sa.func.coalesce(inbox_items.c[name], self.now) for name in self.effect.once}
        values |= dict.fromkeys(self.effect.clear)
        return {"snoozed_until": self.until} if self.action is MarkAction.SNOOZE else values

    def differs(self) -> sa.ColumnElement[bool]:
        """Test whether setting that changes an item."""
        if self.action is MarkAction.SNOOZE:
            return inbox_items.c.snoozed_until.is_distinct_from(self.until)
        return sa.or_(
            *(inbox_items.c[name].is_(None) for name in self.effect.once),
            *(inbox_items.c[name].is_not(None) for name in self.effect.clear),
        )

    def tally_after(self, row: Row) -> Tally:
        """Return what a changed item counts for then."""
        after: dict[str, Any] = {name: getattr(row, name) for name in _STATE}
        for name, value in self.fields.items():
            if name in after and (name not in self.effect.once or after[name] is None):
                after[name] = value
        return Tally.of(**after)


_STATE = ("seen_at", "read_at", "archived_at", "snoozed_until")


async def apply(
    connection: AsyncConnection,
    *,
    key: InboxKey,
    action: MarkAction,
    selection: Selection,
    now: int,
    until: int | None,
    cluster: str,
) -> Marked:
    """Apply an action; see `InboxStore.mark`. Locks: deliveries, head, items."""
    here = sa.and_(inbox_heads.c.tenant == key.tenant, inbox_heads.c.user_id == key.user)
    before = (await connection.execute(sa.select(inbox_heads).where(here))).first()
    if before is None:
        heads = await lock_heads(connection, [key], now, Bulk(connection))
        return Marked(0, heads[key].head(cluster))
    # All there is: as of now, not as of when the head gets locked. What appears in between is left alone, with
    # its deliveries, which were not there to be locked.
    upto = _upto(selection, before, cluster) if selection.all else 0
    mark = _Mark(key, action, now, until, None if selection.all else selection.ids, upto)
    if action is MarkAction.DELIVERED:
        mark = replace(mark, ids=await _tracked(connection, mark))
    if mark.ids == ():
        return Marked(0, head_of(before, cluster))
    needless = await _lock_needless(connection, mark)
    head = (await lock_heads(connection, [key], now, Bulk(connection)))[key]
    rows = await _change_items(connection, mark, head)
    await _cancel(connection, mark, needless)
    if not rows or action is MarkAction.DELIVERED:
        return Marked(len(rows), head.head(cluster))
    bulk = Bulk(connection)
    save_heads(bulk, [head])
    if action is MarkAction.SNOOZE and until is not None:
        bulk.insert(timers, [_timer(key, row.notification_id, until) for row in rows])
    change = await _told(connection, mark, [row.notification_id for row in rows], head, cluster)
    wakeups = leave_wakeups(bulk, [head], {key.tenant: 1}, now)
    await bulk.write()
    return Marked(len(rows), head.head(cluster), change, wakeups[key.tenant])


def _upto(selection: Selection, head: Row, cluster: str) -> int:
    """Return the last version that `all` is about; 0 (nothing) for a cursor from elsewhere."""
    if selection.through is None:
        return int(head.version)
    if selection.through.epoch != epoch_of(cluster, head.epoch):
        return 0
    return min(int(head.version), selection.through.version)


async def _tracked(connection: AsyncConnection, mark: _Mark) -> tuple[UUID, ...]:
    """Find the items for which `delivered` is worth storing: a step of theirs is cancelled by it."""
    rows = await connection.execute(
        sa.select(notifications.c.id, notifications.c.plan)
        .select_from(items_with_content)
        .where(mark.selected(connection), mark.differs())
    )
    return tuple(row.id for row in rows if any(step.unless is Rung.DELIVERED for step in plan_of(row.plan)))


async def _lock_needless(connection: AsyncConnection, mark: _Mark) -> Sequence[UUID]:
    """Lock the queued deliveries that the action makes needless, in order."""
    if mark.effect.rung is Rung.NONE:
        return []
    item_of_delivery = sa.and_(
        inbox_items.c.tenant == deliveries.c.tenant,
        inbox_items.c.user_id == deliveries.c.user_id,
        inbox_items.c.notification_id == deliveries.c.notification_id,
    )
    found = await connection.execute(
        sa.select(deliveries.c.id)
        .select_from(deliveries.join(inbox_items, item_of_delivery))
        .where(
            deliveries.c.tenant == mark.key.tenant,
            deliveries.c.user_id == mark.key.user,
            deliveries.c.state == sa.literal_column("'queued'"),  # in the text, so that the partial index applies
            deliveries.c.unless.between(int(Rung.DELIVERED), int(mark.effect.rung)),
            mark.selected(connection),
        )
        .order_by(deliveries.c.id)
        .with_for_update(of=deliveries)
    )
    return found.scalars().all()


async def _cancel(connection: AsyncConnection, mark: _Mark, needless: Sequence[UUID]) -> None:
    if needless:
        await connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.tenant == mark.key.tenant, among(connection, deliveries.c.id, needless))
            .values(state=DeliveryState.CANCELLED.value, reason=mark.effect.reason, finished_at=mark.now)
        )


async def _change_items(connection: AsyncConnection, mark: _Mark, head: LockedHead) -> Sequence[Row]:
    """Change the selected items that differ, and the locked head with them; returns their rows from before."""
    changing = sa.and_(mark.selected(connection), mark.differs())
    columns = [inbox_items.c.notification_id, *(inbox_items.c[name] for name in _STATE)]
    rows = (await connection.execute(sa.select(*columns).where(changing))).all()
    if not rows:
        return rows
    values = mark.values()
    if mark.action is not MarkAction.DELIVERED:
        head.version += 1
        values["version"] = head.version
        for row in rows:
            head.add(Tally.of_row(row), -1)
            head.add(mark.tally_after(row))
    await connection.execute(sa.update(inbox_items).where(changing).values(values))
    return rows


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


async def _told(
    connection: AsyncConnection, mark: _Mark, ids: Sequence[UUID], head: LockedHead, cluster: str
) -> InboxChange:
    """Say what changed in the shortest shape that is exact for every client."""
    change = InboxChange(mark.key, head.head(cluster))
    if mark.action is MarkAction.UNARCHIVE or (mark.action is MarkAction.SNOOZE and mark.until is None):
        # It comes back into the list, and a client need not hold it: one is told whole, more are to be read.
        return replace(change, item=await _whole(connection, mark, ids[0])) if len(ids) == 1 else change
    if len(ids) <= MAX_IDS:
        return replace(change, ids=tuple(sorted(ids)), fields=mark.fields)
    if mark.ids is not None:
        return change
    later = sa.and_(
        inbox_items.c.tenant == mark.key.tenant,
        inbox_items.c.user_id == mark.key.user,
        inbox_items.c.state == int(ItemState.LIVE),
        inbox_items.c.since > mark.upto,
    )
    query = sa.select(inbox_items.c.notification_id).where(later).order_by(inbox_items.c.notification_id)
    but = (await connection.execute(query.limit(MAX_IDS + 1))).scalars().all()
    return change if len(but) > MAX_IDS else replace(change, all=True, but=tuple(but), fields=mark.fields)


async def _whole(connection: AsyncConnection, mark: _Mark, notification: UUID) -> Item:
    row = await connection.execute(
        sa.select(notifications, *ITEM_COLUMNS)
        .select_from(items_with_content)
        .where(
            inbox_items.c.tenant == mark.key.tenant,
            inbox_items.c.user_id == mark.key.user,
            inbox_items.c.notification_id == notification,
        )
    )
    return item_of(row.one())
