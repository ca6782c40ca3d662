"""Reading inboxes, but for pages of them.

Every function is given a read-only snapshot, so head, counts and items belong together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor, epoch_of
from hub.core.model import (
    Attempt,
    Head,
    InboxKey,
    Item,
    ItemState,
    NotificationState,
)
from hub.store import shared_read
from hub.store.expansions import expansions_of
from hub.store.rows import (
    ITEM_COLUMNS,
    Row,
    attempt_of,
    content_of,
    delivery_of,
    head_of,
    item_of,
    items_with_content,
)
from hub.store.shared_sql import last_position, log_view
from hub.store.sql import among
from hub.store.tables import attempts, deliveries, inbox_heads, inbox_items, notifications

MAX_RECIPIENTS = 1_000
"""Recipients that `notification` tells of."""

_MAX_DELIVERIES = 10 * MAX_RECIPIENTS

_items = sa.select(notifications, *ITEM_COLUMNS).select_from(items_with_content)


async def head(connection: AsyncConnection, key: InboxKey, cluster: str) -> Head | None:
    """Read a head; None if the user has no row."""
    row = await head_row(connection, key)
    return None if row is None else head_of(row, cluster)


async def head_row(connection: AsyncConnection, key: InboxKey) -> Row | None:
    """Read a head's row, with what the shared log adds to it."""
    row: Row | None = (await connection.execute(_HEAD, {"tenant": key.tenant, "user": key.user})).first()
    return row


_HEAD = sa.select(inbox_heads, sa.literal_column(log_view("inbox_heads"), sa.Text).label("log")).where(
    inbox_heads.c.tenant == sa.bindparam("tenant"), inbox_heads.c.user_id == sa.bindparam("user")
)


async def item(connection: AsyncConnection, key: InboxKey, notification: UUID) -> Item | None:
    """Read one LIVE item."""
    mine = (inbox_items.c.tenant == key.tenant, inbox_items.c.user_id == key.user)
    live = inbox_items.c.state == int(ItemState.LIVE)
    one = _items.where(*mine, live, inbox_items.c.notification_id == notification)
    row = (await connection.execute(one)).first()
    return await shared_read.item(connection, key, notification) if row is None else item_of(row)


async def versions(connection: AsyncConnection, keys: Sequence[InboxKey], cluster: str) -> Mapping[InboxKey, Cursor]:
    """Read many heads' cursors; users without a row are left out."""
    users: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        users[key.tenant].add(key.user)
    found: dict[InboxKey, Cursor] = {}
    position = sa.literal_column(last_position("inbox_heads"), sa.BigInteger).label("position")
    for tenant, names in users.items():
        rows = await connection.execute(
            sa.select(inbox_heads.c.user_id, inbox_heads.c.epoch, inbox_heads.c.version, position).where(
                inbox_heads.c.tenant == tenant, among(connection, inbox_heads.c.user_id, sorted(names))
            )
        )
        found |= {
            InboxKey(tenant, row.user_id): Cursor(epoch_of(cluster, row.epoch), row.version, row.position)
            for row in rows
        }
    return found


async def notification(connection: AsyncConnection, tenant: str, identifier: UUID) -> NotificationState | None:
    """Read a notification with what became of it."""
    here = sa.and_(notifications.c.tenant == tenant, notifications.c.id == identifier)
    row = (await connection.execute(sa.select(notifications).where(here))).first()
    if row is None:
        return None
    if row.topic is not None:
        return NotificationState(
            content=content_of(row),
            items=(),
            deliveries=(),
            recalled_at=row.recalled_at,
            shared=await shared_read.state(connection, tenant, identifier, row.topic),
            expansions=await expansions_of(connection, tenant, identifier),
        )
    items = await connection.execute(_items.where(here).order_by(inbox_items.c.user_id).limit(MAX_RECIPIENTS))
    sent = await connection.execute(
        sa.select(deliveries)
        .where(deliveries.c.tenant == tenant, deliveries.c.notification_id == identifier)
        .order_by(deliveries.c.user_id, deliveries.c.address, deliveries.c.step)
        .limit(_MAX_DELIVERIES)
    )
    calls = await _attempts(connection, tenant, identifier)
    return NotificationState(
        content=content_of(row),
        items=[(row.user_id, item_of(row)) for row in items],
        deliveries=[(delivery_of(row), calls.get(row.id, [])) for row in sent],
        recalled_at=row.recalled_at,
    )


async def _attempts(connection: AsyncConnection, tenant: str, notification: UUID) -> Mapping[UUID, list[Attempt]]:
    of_delivery = sa.and_(attempts.c.tenant == deliveries.c.tenant, attempts.c.delivery_id == deliveries.c.id)
    rows = await connection.execute(
        sa.select(attempts)
        .select_from(attempts.join(deliveries, of_delivery))
        .where(deliveries.c.tenant == tenant, deliveries.c.notification_id == notification)
        .order_by(attempts.c.delivery_id, attempts.c.number, attempts.c.endpoint, attempts.c.started_at)
    )
    by_delivery = groupby(map(attempt_of, rows), key=attrgetter("delivery"))
    return {delivery: list(calls) for delivery, calls in by_delivery}
