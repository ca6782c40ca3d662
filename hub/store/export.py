"""Reading everything that is held about a user."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Attempt, Delivery, InboxKey, Item, LogKind, Person, PersonalNotification
from hub.store.inbox_read import head_row
from hub.store.rows import (
    ITEM_COLUMNS,
    attempt_of,
    contact_of,
    content_of,
    delivery_of,
    device_of,
    head_of,
    item_of,
    items_with_content,
)
from hub.store.shared_read import Place, items_at, positions_of
from hub.store.shared_sql import has
from hub.store.sql import among
from hub.store.tables import (
    attempts,
    deliveries,
    devices,
    inbox_heads,
    inbox_items,
    memberships,
    revocations,
    shared_items,
    shared_log,
    users,
)
from hub.store.tables import notifications as contents

_Deliveries = Mapping[UUID, Sequence[tuple[Delivery, Sequence[Attempt]]]]


async def person(connection: AsyncConnection, key: InboxKey, cluster: str) -> Person:
    """Read what is known of a user beside their notifications."""

    def of(table: sa.Table) -> sa.Select[tuple[object, ...]]:
        return sa.select(table).where(table.c.tenant == key.tenant, table.c.user_id == key.user)

    contact = (await connection.execute(of(users))).first()
    owned = await connection.execute(of(devices).order_by(devices.c.created_at, devices.c.id))
    head = await head_row(connection, key)
    revoked = (await connection.execute(of(revocations))).first()
    spans = await connection.execute(of(memberships).order_by(memberships.c.topic, memberships.c.joined))
    # Of several intervals the last says whether the user is a member now.
    topics = {row.topic: row.left_at is None for row in spans}
    return Person(
        contact=None if contact is None else contact_of(contact),
        contact_created_at=None if contact is None else contact.created_at,
        contact_updated_at=None if contact is None else contact.updated_at,
        devices=tuple(device_of(row) for row in owned),
        head=None if head is None else head_of(head, cluster),
        inbox_created_at=None if head is None else head.created_at,
        tokens_refused_before=None if revoked is None else revoked.issued_before,
        topics=tuple(topics.items()),
    )


async def notifications(
    connection: AsyncConnection, key: InboxKey, after: UUID | None, limit: int
) -> list[PersonalNotification]:
    """Read a page of a user's notifications; none only if there are no more."""
    while found := await _all_ids(connection, key, after, limit):
        if page := await _page(connection, key, found):
            return page
        after = found[-1]  # deliveries whose notification is gone
    return []


async def notification_ids(connection: AsyncConnection, key: InboxKey, after: UUID | None, limit: int) -> list[UUID]:
    """Read the ids of notifications that a user has an item of their own or a delivery of, in order."""
    return [row.notification_id for row in await connection.execute(held_by(key, after, limit))]


async def _all_ids(connection: AsyncConnection, key: InboxKey, after: UUID | None, limit: int) -> list[UUID]:
    """Read the ids of notifications that concern a user, shared ones too, in order."""
    own = await notification_ids(connection, key, after, limit)
    shared = [row.notification_id for row in await connection.execute(_shared_with(key, after, limit))]
    return sorted({*own, *shared})[:limit]


def _shared_with(key: InboxKey, after: UUID | None, limit: int) -> sa.Select[tuple[UUID]]:
    """Select the ids of shared notifications that are in the user's inbox."""
    head = inbox_heads.alias("head")
    here = (
        sa.select(shared_log.c.notification_id)
        .select_from(head.join(shared_log, shared_log.c.tenant == head.c.tenant))
        .where(
            head.c.tenant == key.tenant,
            head.c.user_id == key.user,
            shared_log.c.kind == int(LogKind.ITEM),
            shared_log.c.gone_at_position.is_(None),
            sa.text(has("head", "shared_log.position", "shared_log.topic")),
        )
    )
    if after is not None:
        here = here.where(shared_log.c.notification_id > after)
    return here.order_by(shared_log.c.notification_id).limit(limit)


def held_by(key: InboxKey, after: UUID | None, limit: int) -> sa.Select[tuple[UUID]]:
    """Select those ids."""

    def ids(table: sa.Table) -> sa.Subquery:
        here = sa.select(table.c.notification_id).where(table.c.tenant == key.tenant, table.c.user_id == key.user)
        if after is not None:
            here = here.where(table.c.notification_id > after)
        return here.distinct().order_by(table.c.notification_id).limit(limit).subquery()

    both = sa.union(*(sa.select(ids(table).c.notification_id) for table in (inbox_items, deliveries))).subquery()
    return sa.select(both.c.notification_id).order_by(both.c.notification_id).limit(limit)


async def _page(connection: AsyncConnection, key: InboxKey, found: Sequence[UUID]) -> list[PersonalNotification]:
    here = sa.and_(contents.c.tenant == key.tenant, among(connection, contents.c.id, found))
    rows = await connection.execute(sa.select(contents).where(here).order_by(contents.c.id))
    items = {**await _items(connection, key, found), **await _shared_items(connection, key, found)}
    sent = await _deliveries(connection, key, found)
    return [
        PersonalNotification(
            content=content_of(row),
            recalled_at=row.recalled_at,
            item=items[row.id][0] if row.id in items else None,
            delivered_at=items[row.id][1] if row.id in items else None,
            deliveries=sent.get(row.id, ()),
        )
        for row in rows
    ]


async def _items(
    connection: AsyncConnection, key: InboxKey, of: Sequence[UUID]
) -> Mapping[UUID, tuple[Item, int | None]]:
    """Read the user's items of notifications, each with when it arrived at a client."""
    rows = await connection.execute(
        sa.select(contents, *ITEM_COLUMNS)
        .select_from(items_with_content)
        .where(
            inbox_items.c.tenant == key.tenant,
            inbox_items.c.user_id == key.user,
            among(connection, inbox_items.c.notification_id, of),
        )
    )
    return {row.id: (item_of(row), row.delivered_at) for row in rows}


async def _shared_items(
    connection: AsyncConnection, key: InboxKey, of: Sequence[UUID]
) -> Mapping[UUID, tuple[Item, int | None]]:
    """Read what the user has of shared notifications, in the same way."""
    positions = await positions_of(connection, key, of)
    mine = sa.and_(shared_items.c.tenant == key.tenant, shared_items.c.user_id == key.user)
    arrived = await connection.execute(sa.select(shared_items).where(mine, shared_items.c.position.in_(positions)))
    delivered_at = {row.notification_id: row.delivered_at for row in arrived}
    items = await items_at(connection, [Place(0, key, position) for position in positions])
    return {item.content.id: (item, delivered_at.get(item.content.id)) for _, item in items}


async def _deliveries(connection: AsyncConnection, key: InboxKey, of: Sequence[UUID]) -> _Deliveries:
    rows = await connection.execute(
        sa.select(deliveries)
        .where(
            deliveries.c.tenant == key.tenant,
            deliveries.c.user_id == key.user,
            among(connection, deliveries.c.notification_id, of),
        )
        .order_by(deliveries.c.notification_id, deliveries.c.step)
    )
    sent = [delivery_of(row) for row in rows]
    if not sent:
        return {}
    made = await connection.execute(
        sa.select(attempts)
        .where(
            attempts.c.tenant == key.tenant,
            among(connection, attempts.c.delivery_id, [delivery.id for delivery in sent]),
        )
        .order_by(attempts.c.delivery_id, attempts.c.number, attempts.c.endpoint, attempts.c.started_at)
    )
    calls: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in map(attempt_of, made):
        calls[attempt.delivery].append(attempt)
    by_notification: defaultdict[UUID, list[tuple[Delivery, Sequence[Attempt]]]] = defaultdict(list)
    for delivery in sent:
        by_notification[delivery.notification].append((delivery, calls[delivery.id]))
    return by_notification
