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
from hub.store.rows import Values
from hub.store.sql import among
from hub.store.tables import shared_log, topics, wakeups


class NewItem(NamedTuple):
    """A notification for a shared audience, as the log knows it."""

    key: TopicKey
    notification: UUID
    category: str


class _Taken(NamedTuple):
    """Positions that follow each other: the last, with its time; those before are a millisecond apart."""

    position: int
    appeared_at: int


class _Topic:
    """A topic's head as events are appended to it."""

    def __init__(self, position: int, items: int) -> None:
        self.position = position
        self.items = items


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


async def append_items(
    connection: AsyncConnection, items: Sequence[NewItem], now: int, bulk: Bulk
) -> list[tuple[SharedEvent, SharedWakeup]]:
    """Have items appear, in this order within each tenant; their rows are written with `bulk`."""
    appended: dict[int, tuple[SharedEvent, SharedWakeup]] = {}
    for tenant in sorted({item.key.tenant for item in items}):
        places = [place for place, item in enumerate(items) if item.key.tenant == tenant]
        mine = [items[place] for place in places]
        taken = await take_positions(connection, tenant, len(mine), now)
        heads = await _heads(connection, {item.key for item in mine}, now)
        events = []
        for number, item in enumerate(mine, 1 - len(mine)):
            head = heads[item.key]
            event = SharedEvent(item.key, taken.position + number, head.position)
            at = taken.appeared_at + number
            events.append((event, _row(event, item, head) | {"kind": int(LogKind.ITEM), "appeared_at": at}))
            head.items += 1
        _save(bulk, heads, [values for _, values in events])
        wakeup = _leave_wakeup(bulk, tenant, [event for event, _ in events], len(events), now)
        appended |= {place: (event, wakeup) for place, (event, _) in zip(places, events, strict=True)}
    return [appended[place] for place in range(len(items))]


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
    buried = await connection.execute(sa.update(shared_log).where(here).values(gone_at_position=taken.position))
    if buried.rowcount == 0:
        return None  # somebody was quicker; a position without an event does no harm
    key = TopicKey(tenant, item.topic)
    bulk = Bulk(connection)
    heads = await _heads(connection, [key], now)
    event = SharedEvent(key, taken.position, heads[key].position)
    values = _row(event, NewItem(key, notification, item.category), heads[key])
    values |= {"kind": int(LogKind.GONE), "appeared_at": taken.appeared_at, "of_position": item.position}
    _save(bulk, heads, [values])
    wakeup = _leave_wakeup(bulk, tenant, [event], 1, now)
    await bulk.write()
    return event, wakeup


async def _heads(connection: AsyncConnection, keys: Iterable[TopicKey], now: int) -> Mapping[TopicKey, _Topic]:
    """Read topics of one tenant, whose log is locked; new ones are made."""
    wanted = sorted(set(keys))
    [tenant] = {key.tenant for key in wanted}
    columns = topics.c
    rows = await connection.execute(
        sa.select(columns.topic, columns.position, columns["items"]).where(
            columns.tenant == tenant, among(connection, columns.topic, [key.topic for key in wanted])
        )
    )
    found = {TopicKey(tenant, topic): _Topic(position, items) for topic, position, items in rows}
    new = [key for key in wanted if key not in found]
    await make_topics(connection, new, now)
    return found | {key: _Topic(0, 0) for key in new}


async def make_topics(connection: AsyncConnection, keys: Sequence[TopicKey], now: int) -> None:
    """Make the topics that are missing."""
    bulk = Bulk(connection)
    made = {"position": 0, "items": 0, "created_at": now}
    bulk.insert_where_free(topics, [{"tenant": key.tenant, "topic": key.topic, **made} for key in sorted(keys)])
    await bulk.write()


def _row(event: SharedEvent, item: NewItem, head: _Topic) -> Values:
    """Make what every event's row has, and move the topic's head to it."""
    head.position = event.position
    return {
        "tenant": event.key.tenant,
        "position": event.position,
        "topic": event.key.topic,
        "previous": event.previous,
        "ordinal": head.items,
        "notification_id": item.notification,
        "category": item.category,
    }


def _save(bulk: Bulk, heads: Mapping[TopicKey, _Topic], events: Sequence[Values]) -> None:
    bulk.insert(shared_log, events)
    bulk.update(
        topics,
        [
            {"tenant": key.tenant, "topic": key.topic, "position": head.position, "items": head.items}
            for key, head in heads.items()
        ],
    )


def _leave_wakeup(bulk: Bulk, tenant: str, events: Sequence[SharedEvent], callers: int, now: int) -> SharedWakeup:
    """Leave a row that says which topics moved, until they have been told."""
    wakeup = SharedWakeup(uuid7(now), callers)
    told = json.dumps([[event.key.topic, event.position, event.previous] for event in events])
    bulk.insert(wakeups, [{"id": wakeup.id, "tenant": tenant, "heads": "[]", "shared": told, "created_at": now}])
    return wakeup
