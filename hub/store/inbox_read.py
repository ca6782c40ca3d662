"""Reading inboxes. Every function is given a read-only snapshot, so head, counts and items belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor, epoch_of
from hub.core.model import (
    Attempt,
    Head,
    InboxKey,
    InboxPage,
    InboxQuery,
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
from hub.store.shared_sql import TOP, last_position, log_view
from hub.store.sql import among, looking_up
from hub.store.tables import attempts, deliveries, inbox_heads, inbox_items, notifications

MAX_RECIPIENTS = 1_000
"""Recipients that `notification` tells of."""

_MAX_DELIVERIES = 10 * MAX_RECIPIENTS

_items = sa.select(notifications, *ITEM_COLUMNS).select_from(items_with_content)


async def head(connection: AsyncConnection, key: InboxKey, cluster: str) -> Head | None:
    """Read a head; None if the user has no row."""
    row = await head_row(connection, key)
    return None if row is None else head_of(row, cluster)


async def head_row(connection: AsyncConnection, key: InboxKey, after: tuple[int, UUID] | None = None) -> Row | None:
    """Read a head's row, with what the shared log adds to it, and up to where in that a page `after` an item goes."""
    values: dict[str, object] = {"tenant": key.tenant, "user": key.user}
    if after is not None:
        values["after_time"], values["after_id"] = after
    row: Row | None = (await connection.execute(_HEAD if after is None else _HEAD_AFTER, values)).first()
    return row


def _head(before: sa.ColumnElement[int]) -> sa.Select[Any]:
    log = sa.literal_column(log_view("inbox_heads"), sa.Text).label("log")
    mine = (inbox_heads.c.tenant == sa.bindparam("tenant"), inbox_heads.c.user_id == sa.bindparam("user"))
    return sa.select(inbox_heads, log, before.label("before")).where(*mine)


_HEAD = _head(sa.literal_column(str(TOP), sa.BigInteger))
_HEAD_AFTER = _head(shared_read.POSITION_BEFORE)


async def page(connection: AsyncConnection, key: InboxKey, query: InboxQuery, cluster: str) -> InboxPage | None:
    """Read a page with its head; None if the user has no row."""
    row = await head_row(connection, key, query.after)
    if row is None:
        return None
    found = head_of(row, cluster)
    items = await _own_page(connection, key, query)
    if found.position:
        items = sorted(items + await shared_read.page(connection, row, query), key=_age, reverse=True)
    return InboxPage(found, items[: query.limit], has_more=len(items) > query.limit)


def _age(item: Item) -> tuple[int, UUID]:
    return item.appeared_at, item.content.id


async def _own_page(connection: AsyncConnection, key: InboxKey, query: InboxQuery) -> list[Item]:
    """Read one page of the user's own items, newest first, and one more if there is one."""
    order = (inbox_items.c.appeared_at, inbox_items.c.notification_id)
    newest = sa.select(inbox_items.c.tenant, inbox_items.c.notification_id, *ITEM_COLUMNS)
    newest = newest.where(_mine(key), _live(), *_filters(query)).order_by(*(column.desc() for column in order))
    if query.after is not None:
        appeared_at, notification = query.after
        last = sa.tuple_(sa.literal(appeared_at, sa.BigInteger), sa.literal(notification, sa.Uuid))
        newest = newest.where(sa.tuple_(*order) < last)
    shown = newest.limit(query.limit + 1).subquery("shown")
    of_item = sa.and_(notifications.c.tenant == shown.c.tenant, notifications.c.id == shown.c.notification_id)
    looked_up, content = looking_up(connection.dialect.name)(
        shown, notifications, sa.select(notifications).where(of_item).limit(_ONE)
    )
    page = sa.select(*content, *(shown.c[column.name] for column in ITEM_COLUMNS)).select_from(looked_up)
    rows = await connection.execute(page.order_by(shown.c.appeared_at.desc(), shown.c.notification_id.desc()))
    return [item_of(row) for row in rows]


_ONE: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)


def _filters(query: InboxQuery) -> list[sa.ColumnElement[bool]]:
    """Translate a query; archived items are listed as such whether snoozed or not."""
    filters = [_is_set(inbox_items.c.archived_at, query.archived)]
    if query.snoozed or not query.archived:
        filters.append(_is_set(inbox_items.c.snoozed_until, query.snoozed))
    if query.unread is not None:
        filters.append(_is_set(inbox_items.c.read_at, not query.unread))
    if query.unseen is not None:
        filters.append(_is_set(inbox_items.c.seen_at, not query.unseen))
    if query.category is not None:
        filters.append(inbox_items.c.category == query.category)
    return filters


def _is_set(column: sa.Column[int | None], wanted: bool) -> sa.ColumnElement[bool]:  # noqa: FBT001 - reads as a sentence
    return column.is_not(None) if wanted else column.is_(None)


def _mine(key: InboxKey) -> sa.ColumnElement[bool]:
    return sa.and_(inbox_items.c.tenant == key.tenant, inbox_items.c.user_id == key.user)


def _live() -> sa.ColumnElement[bool]:
    return inbox_items.c.state == int(ItemState.LIVE)


async def item(connection: AsyncConnection, key: InboxKey, notification: UUID) -> Item | None:
    """Read one LIVE item."""
    one = _items.where(_mine(key), _live(), inbox_items.c.notification_id == notification)
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
