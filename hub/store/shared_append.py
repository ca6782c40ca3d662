"""Appending to the shared log: items that appear, and items that go. Whoever appends holds the tenant's counter.

Locks: the counter, topics; both until the end of the transaction, so commit order is position order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.ids import uuid7
from hub.core.model import LogKind, SharedEvent, SharedWakeup, TopicKey
from hub.store.bulk import Bulk
from hub.store.keyed import KeyedQuery
from hub.store.rows import Values, id_of
from hub.store.sql import among
from hub.store.tables import shared_log, topics, wakeups


class NewItem(NamedTuple):
    """A notification for a shared audience, as the log knows it."""

    key: TopicKey
    notification: UUID
    category: str
    collapse_key: str | None = None


class Appended(NamedTuple):
    """An item that has appeared. What it replaced went right before it, by an event of its own."""

    event: SharedEvent
    wakeup: SharedWakeup
    gone: SharedEvent | None = None
    replaced: UUID | None = None
    """The notification that had the item which went."""


class _Standing(NamedTuple):
    """An item that the next one with its collapse key replaces."""

    item: NewItem
    position: int


class _Taken(NamedTuple):
    """Positions that follow each other: the last, with its time; those before are a millisecond apart."""

    position: int
    appeared_at: int


class _Topic:
    """A topic's head as events are appended to it."""

    def __init__(self, position: int, items: int, members_at: int) -> None:
        self.position = position
        self.items = items
        self.members_at = members_at

    @property
    def last(self) -> int:
        """The position of whatever happened last: an event, or a join or leave."""
        return max(self.position, self.members_at)


_TAKE = sa.text("""
INSERT INTO shared_logs (tenant, position, appeared_at, floor, created_at) VALUES (:tenant, :count, :last, 0, :now)
ON CONFLICT (tenant) DO UPDATE SET
position = shared_logs.position + :count,
appeared_at = CASE WHEN shared_logs.appeared_at < :now THEN :last ELSE shared_logs.appeared_at + :count END
RETURNING position, appeared_at
""")


async def take_positions(connection: AsyncConnection, tenant: str, count: int, now: int) -> _Taken:
    """Take the next positions of a tenant's log, and lock it."""
    values = {"tenant": tenant, "count": count, "now": now, "last": now + count - 1}
    row = (await connection.execute(_TAKE, values)).one()
    return _Taken(row.position, row.appeared_at)


async def append_items(connection: AsyncConnection, items: Sequence[NewItem], now: int, bulk: Bulk) -> list[Appended]:
    """Have items appear, in this order within each tenant, each after what its collapse key replaces.

    Their rows are written with `bulk`. Of the plans of what was replaced nothing is cancelled here.
    """
    appended: dict[int, Appended] = {}
    for tenant in sorted({item.key.tenant for item in items}):
        places = [place for place, item in enumerate(items) if item.key.tenant == tenant]
        mine = [items[place] for place in places]
        appended |= zip(places, await _append(connection, tenant, mine, now, bulk), strict=True)
    return [appended[place] for place in range(len(items))]


async def _append(
    connection: AsyncConnection, tenant: str, items: Sequence[NewItem], now: int, bulk: Bulk
) -> list[Appended]:
    last = await take_positions(connection, tenant, len(items), now)
    heads = await _heads(connection, {item.key for item in items}, now)
    standing = await _standing(connection, items)
    replacing = _count_replacing(items, standing)
    if replacing:
        # Only now is it known how many more it takes. Nobody took any in between: they follow each other.
        last = await take_positions(connection, tenant, replacing, now)
    log = _Events(heads, last, len(items) + replacing)
    appeared = []
    for item in items:
        older = standing.get(_slot(item))
        gone = None if older is None else log.bury(older)
        event = log.add(item)
        if item.collapse_key is not None:
            standing[_slot(item)] = _Standing(item, event.position)
        appeared.append((event, gone, None if older is None else older.item.notification))
    log.save(bulk)
    wakeup = _leave_wakeup(bulk, tenant, log.events, len(items), now)
    return [Appended(event, wakeup, gone, replaced) for event, gone, replaced in appeared]


async def append_gone(
    connection: AsyncConnection, tenant: str, notification: UUID, now: int
) -> tuple[SharedEvent, SharedWakeup] | None:
    """Have a notification's item go; None if it has not appeared, or has gone already."""
    here = sa.and_(
        shared_log.c.tenant == tenant,
        shared_log.c.notification_id == notification,
        shared_log.c.kind == int(LogKind.ITEM),
        shared_log.c.gone_at_position.is_(None),
    )
    item = (await connection.execute(sa.select(shared_log).where(here))).first()
    if item is None:
        return None
    taken = await take_positions(connection, tenant, 1, now)
    # Once more, now that the counter is held: somebody may have been quicker. A position without an event does no harm.
    if (await connection.execute(sa.select(shared_log.c.position).where(here))).first() is None:
        return None
    key = TopicKey(tenant, item.topic)
    log = _Events(await _heads(connection, [key], now), taken, 1)
    event = log.bury(_Standing(NewItem(key, notification, item.category), item.position))
    bulk = Bulk(connection)
    log.save(bulk)
    wakeup = _leave_wakeup(bulk, tenant, log.events, 1, now)
    await bulk.write()
    return event, wakeup


_STANDING = KeyedQuery(
    "log.tenant, log.topic, log.collapse_key, log.position, log.notification_id, log.category",
    "shared_log AS log WHERE log.tenant = wanted.tenant AND log.topic = wanted.topic "
    "AND log.collapse_key = wanted.collapse_key AND log.kind = 0 AND log.gone_at_position IS NULL",
    {"tenant": "text", "topic": "text", "collapse_key": "text"},
)

_Slot = tuple[TopicKey, str | None]
"""Where there is one item at a time, if there is a collapse key."""


def _slot(item: NewItem) -> _Slot:
    return item.key, item.collapse_key


async def _standing(connection: AsyncConnection, items: Iterable[NewItem]) -> dict[_Slot, _Standing]:
    """Find what items replace; the log must be locked."""
    wanted = sorted({(*item.key, item.collapse_key) for item in items if item.collapse_key is not None})
    found = {}
    for row in await _STANDING.rows(connection, wanted):
        item = NewItem(TopicKey(row.tenant, row.topic), id_of(row.notification_id), row.category, row.collapse_key)
        found[_slot(item)] = _Standing(item, row.position)
    return found


def _count_replacing(items: Iterable[NewItem], standing: Iterable[_Slot]) -> int:
    """Count the items that replace one, be it of the same group."""
    taken = set(standing)
    replacing = 0
    for item in items:
        if item.collapse_key is not None:
            replacing += _slot(item) in taken
            taken.add(_slot(item))
    return replacing


class _Events:
    """Events of one tenant, at positions that follow each other, and the topics that they move."""

    def __init__(self, heads: Mapping[TopicKey, _Topic], last: _Taken, count: int) -> None:
        self.events: list[SharedEvent] = []
        self._heads = heads
        self._position = last.position - count
        self._ahead = last.appeared_at - last.position
        """What makes a position a time."""
        self._rows: dict[int, Values] = {}
        self._buried: list[Values] = []

    def add(self, item: NewItem) -> SharedEvent:
        """Have an item appear."""
        event = self._append(item, LogKind.ITEM, collapse_key=item.collapse_key)
        self._heads[item.key].items += 1
        return event

    def bury(self, older: _Standing) -> SharedEvent:
        """Have an item go, be it one that was just added."""
        event = self._append(older.item, LogKind.GONE, of_position=older.position)
        if (row := self._rows.get(older.position)) is not None:
            row["gone_at_position"] = event.position
        else:
            self._buried.append(
                {"tenant": event.key.tenant, "position": older.position, "gone_at_position": event.position}
            )
        return event

    def save(self, bulk: Bulk) -> None:
        """Write it all."""
        bulk.insert(shared_log, list(self._rows.values()))
        bulk.update(shared_log, self._buried)
        bulk.update(
            topics,
            [
                {"tenant": key.tenant, "topic": key.topic, "position": head.position, "items": head.items}
                for key, head in self._heads.items()
            ],
        )

    def _append(
        self, item: NewItem, kind: LogKind, *, collapse_key: str | None = None, of_position: int | None = None
    ) -> SharedEvent:
        self._position += 1
        head = self._heads[item.key]
        at = self._position + self._ahead
        event = SharedEvent(item.key, self._position, head.last, at if kind is LogKind.ITEM else None)
        previous, head.position = head.position, self._position
        self.events.append(event)
        self._rows[self._position] = {
            "tenant": item.key.tenant,
            "position": self._position,
            "kind": int(kind),
            "topic": item.key.topic,
            "previous": previous,
            "ordinal": head.items,
            "notification_id": item.notification,
            "category": item.category,
            "appeared_at": at,
            "of_position": of_position,
            "collapse_key": collapse_key,
            "gone_at_position": None,
        }
        return event


async def _heads(connection: AsyncConnection, keys: Iterable[TopicKey], now: int) -> Mapping[TopicKey, _Topic]:
    """Read topics of one tenant, whose log is locked; new ones are made."""
    wanted = sorted(set(keys))
    [tenant] = {key.tenant for key in wanted}
    columns = topics.c
    rows = await connection.execute(
        sa.select(columns.topic, columns.position, columns["items"], columns.members_at).where(
            columns.tenant == tenant, among(connection, columns.topic, [key.topic for key in wanted])
        )
    )
    found = {TopicKey(tenant, topic): _Topic(*head) for topic, *head in rows}
    new = [key for key in wanted if key not in found]
    await make_topics(connection, new, now)
    return found | {key: _Topic(0, 0, 0) for key in new}


async def make_topics(connection: AsyncConnection, keys: Sequence[TopicKey], now: int) -> None:
    """Make the topics that are missing."""
    bulk = Bulk(connection)
    made = {"position": 0, "items": 0, "created_at": now}
    bulk.insert_where_free(topics, [{"tenant": key.tenant, "topic": key.topic, **made} for key in sorted(keys)])
    await bulk.write()


def _leave_wakeup(bulk: Bulk, tenant: str, events: Sequence[SharedEvent], callers: int, now: int) -> SharedWakeup:
    """Leave a row that says which topics moved, until they have been told."""
    wakeup = SharedWakeup(uuid7(now), callers)
    told = json.dumps([[event.key.topic, event.position, event.previous] for event in events])
    bulk.insert(wakeups, [{"id": wakeup.id, "tenant": tenant, "heads": "[]", "shared": told, "created_at": now}])
    return wakeup
