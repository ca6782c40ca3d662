"""What the shared log adds to heads: position and counts, read for many users in one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey
from hub.store.keyed import KeyedQuery
from hub.store.shared_sql import LogView, fill, gone_since, last_floor, log_view

NO_LOG = LogView()

SETTLE_AFTER = 200
"""Items that went since a head was settled, past which it is time to: that saves as many look-ups a read."""


def due(log: LogView) -> bool:
    """Tell whether so much has gone since a head was settled that it is time."""
    return log.gone > SETTLE_AFTER


_WANTED_POSTGRESQL = "unnest(CAST(:tenants AS TEXT[]), CAST(:users AS TEXT[])) AS wanted (tenant, user_id)"
_WANTED_SQLITE = (
    "(SELECT json_extract(value, '$[0]') AS tenant, json_extract(value, '$[1]') AS user_id FROM json_each(:keys)) "
    "AS wanted"
)


def wanted(dialect: str) -> str:
    """Return inboxes as a source of rows; `wanted_values` are its parameters."""
    return _WANTED_POSTGRESQL if dialect == "postgresql" else _WANTED_SQLITE


def wanted_values(dialect: str, keys: Sequence[InboxKey]) -> dict[str, object]:
    """Return the parameters of `wanted`."""
    if dialect == "postgresql":
        return {"tenants": [key.tenant for key in keys], "users": [key.user for key in keys]}
    return {"keys": json.dumps(keys)}


_VIEWS = """
SELECT head.tenant, head.user_id, $view AS log
FROM $wanted CROSS JOIN inbox_heads AS head
WHERE head.tenant = wanted.tenant AND head.user_id = wanted.user_id"""

_SETTLE = """
UPDATE inbox_heads SET
shared_unread = shared_unread - $unread, shared_unseen = shared_unseen - $unseen,
settled = (SELECT position FROM shared_logs WHERE shared_logs.tenant = inbox_heads.tenant)
WHERE (tenant, user_id) IN (SELECT tenant, user_id FROM $wanted)
AND settled < (SELECT position FROM shared_logs WHERE shared_logs.tenant = inbox_heads.tenant)
RETURNING tenant, user_id, shared_unread, shared_unseen, settled"""


@cache
def _views(dialect: str) -> sa.TextClause:
    return sa.text(fill(_VIEWS, view=log_view("head"), wanted=wanted(dialect)))


@cache
def _settle(dialect: str) -> sa.TextClause:
    gone = {"unread": gone_since("inbox_heads", "read"), "unseen": gone_since("inbox_heads", "seen")}
    return sa.text(fill(_SETTLE, **gone, wanted=wanted(dialect)))


async def log_views(connection: AsyncConnection, keys: Sequence[InboxKey]) -> Mapping[InboxKey, LogView]:
    """Read what the log adds to these heads."""
    if not keys:
        return {}
    dialect = connection.dialect.name
    rows = await connection.execute(_views(dialect), wanted_values(dialect, keys))
    return {InboxKey(row.tenant, row.user_id): LogView.parse(row.log) for row in rows}


_FLOORS = KeyedQuery(
    f"inbox_heads.tenant, inbox_heads.user_id, {last_floor('inbox_heads')} AS floor",
    "inbox_heads WHERE inbox_heads.tenant = wanted.tenant AND inbox_heads.user_id = wanted.user_id",
    {"tenant": "text", "user_id": "text"},
)


async def log_floors(connection: AsyncConnection, keys: Sequence[InboxKey]) -> Mapping[InboxKey, int]:
    """Read up to where cursors of these inboxes cannot resume, as the log goes."""
    return {InboxKey(row.tenant, row.user_id): row.floor for row in await _FLOORS.rows(connection, keys)}


class Settled(NamedTuple):
    """What a head has of the log once it is settled."""

    unread: int
    unseen: int
    settled: int


async def settle(connection: AsyncConnection, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Settled]:
    """Count the items that went since in the heads, which must be locked. It changes no count that anybody reads."""
    if not keys:
        return {}
    dialect = connection.dialect.name
    rows = await connection.execute(_settle(dialect), wanted_values(dialect, keys))
    return {
        InboxKey(row.tenant, row.user_id): Settled(row.shared_unread, row.shared_unseen, row.settled) for row in rows
    }
