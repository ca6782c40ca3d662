"""Reading shared items: by their places in the log, one page of them, one by its notification.

Every function is given a read-only snapshot, or a transaction that has locked the head.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, Item, ItemState, LogKind, SharedState
from hub.store.rows import Row, content_of
from hub.store.shared_sql import (
    STATE_COLUMNS,
    fill,
    has,
    only,
    state_columns,
)
from hub.store.sql import among, unseen
from hub.store.tables import inbox_heads, notifications, shared_log


class Place(NamedTuple):
    """A user's item, by its position in the log; `wish` is whatever the caller needs to find it again."""

    wish: int
    key: InboxKey
    position: int


_ITEMS = """
SELECT wish.number, $content, log.position AS log_position, log.appeared_at, log.gone_at_position, $state
FROM $wishes
$log
$notification
$touched
ORDER BY wish.number, log.position"""

_ARRAYS = {"numbers": "INTEGER[]", "tenants": "TEXT[]", "users": "TEXT[]", "positions": "BIGINT[]"}
_PLACES_POSTGRESQL = (
    f"unnest({', '.join(unseen(name, kind) for name, kind in _ARRAYS.items())}) "
    "AS wish (number, tenant, user_id, position)"
)
_PLACES_SQLITE = (
    "(SELECT json_extract(value, '$[0]') AS number, json_extract(value, '$[1]') AS tenant, "
    "json_extract(value, '$[2]') AS user_id, json_extract(value, '$[3]') AS position FROM json_each(:places)) AS wish"
)


def places_of(dialect: str) -> str:
    """Return places as a source of rows; `place_values` are its parameters."""
    return _PLACES_POSTGRESQL if dialect == "postgresql" else _PLACES_SQLITE


def place_values(dialect: str, places: Sequence[Place]) -> dict[str, object]:
    """Return the parameters of `places_of`."""
    if dialect != "postgresql":
        return {"places": json.dumps([(place.wish, *place.key, place.position) for place in places])}
    return {
        "numbers": [place.wish for place in places],
        "tenants": [place.key.tenant for place in places],
        "users": [place.key.user for place in places],
        "positions": [place.position for place in places],
    }


def _typed(statement: sa.TextClause) -> sa.TextualSelect:
    """Say of which types the columns of `_ITEMS` are, in their order."""
    numbers: list[Any] = [sa.column(name, sa.BigInteger) for name in STATE_COLUMNS]
    return statement.columns(
        sa.column("number", sa.Integer),
        *(sa.column(column.name, column.type) for column in notifications.c),
        sa.column("log_position", sa.BigInteger),
        sa.column("appeared_at", sa.BigInteger),
        sa.column("gone_at_position", sa.BigInteger),
        *numbers,
    )


def _items(dialect: str, wishes: str) -> str:
    of_log = "log.tenant = wish.tenant AND log.position = wish.position"
    of_item = "state.tenant = wish.tenant AND state.user_id = wish.user_id AND state.position = wish.position"
    of_content = "content.tenant = wish.tenant AND content.id = log.notification_id"
    return fill(
        _ITEMS,
        content=", ".join(f"content.{column.name}" for column in notifications.c),
        state=state_columns("wish.tenant", "wish.user_id", "wish.position"),
        wishes=wishes,
        log=only(dialect, "shared_log", "log", of_log),
        notification=only(dialect, "notifications", "content", of_content),
        touched=only(dialect, "shared_items", "state", of_item, join="LEFT JOIN"),
    )


@cache
def _items_at(dialect: str) -> sa.TextualSelect:
    return _typed(sa.text(_items(dialect, places_of(dialect))))


async def items_at(connection: AsyncConnection, places: Sequence[Place]) -> list[tuple[int, Item]]:
    """Read items, each with its place's `wish`, in the order of those and of positions. GONE ones come as such."""
    if not places:
        return []
    dialect = connection.dialect.name
    rows = await connection.execute(_items_at(dialect), place_values(dialect, places))
    return [(row.number, _item_of(row)) for row in rows]


def _item_of(row: Row) -> Item:
    return Item(
        content=content_of(row),
        version=row.version,
        since=0,
        state=ItemState.LIVE if row.gone_at_position is None else ItemState.GONE,
        appeared_at=row.appeared_at,
        seen_at=row.seen_at,
        read_at=row.read_at,
        archived_at=row.archived_at,
        snoozed_until=row.snoozed_until,
        position=row.log_position,
    )


async def positions_of(connection: AsyncConnection, key: InboxKey, ids: Sequence[UUID]) -> list[int]:
    """Find where the live items of these notifications are, of those that the user has."""
    head, log = inbox_heads.alias("head"), shared_log.alias("log")
    query = (
        sa.select(log.c.position)
        .select_from(head.join(log, log.c.tenant == head.c.tenant))
        .where(
            head.c.tenant == key.tenant,
            head.c.user_id == key.user,
            among(connection, log.c.notification_id, ids),
            log.c.kind == int(LogKind.ITEM),
            log.c.gone_at_position.is_(None),
            sa.text(has("head", "log.position", "log.topic")),
        )
    )
    return list((await connection.execute(query)).scalars())


async def item(connection: AsyncConnection, key: InboxKey, notification: UUID) -> Item | None:
    """Read one LIVE shared item."""
    found = await items_at(
        connection, [Place(0, key, position) for position in await positions_of(connection, key, [notification])]
    )
    return found[0][1] if found else None


async def state(connection: AsyncConnection, tenant: str, notification: UUID, topic: str) -> SharedState:
    """Tell where a notification for a topic is in the log."""
    log = shared_log.c
    here = sa.and_(log.tenant == tenant, log.notification_id == notification, log.kind == int(LogKind.ITEM))
    row = (await connection.execute(sa.select(shared_log).where(here))).first()
    if row is None:
        return SharedState(topic)
    return SharedState(topic, row.position, row.appeared_at, gone=row.gone_at_position is not None)
