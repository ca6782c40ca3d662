"""Shared items of inboxes whose heads are locked: read with their state, changed in memory, written as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, partial
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey
from hub.store.bulk import Bulk
from hub.store.keyed import KeyedQuery
from hub.store.marks import HeldShared
from hub.store.rows import Row, Values, id_of
from hub.store.shared_sql import SPANS_OF_ONE, TOP, each, fill, has, only, span_stretch, state_columns
from hub.store.tables import inbox_heads, shared_items

_COLUMNS = (
    "wanted.tenant, wanted.user_id, log.position, log.notification_id, log.appeared_at, state.position AS touched"
)
_STATE = "state.tenant = wanted.tenant AND state.user_id = wanted.user_id AND state.position = log.position"


def _with_state(tables: str, conditions: str, dialect: str) -> str:
    """Join the items' rows, if they have one: looked up one by one, or all that a user touched would be read."""
    state = only(dialect, "shared_items", "state", _STATE, join="LEFT JOIN")
    return f"{tables} {state} WHERE log.tenant = wanted.tenant AND log.gone_at_position IS NULL AND {conditions}"


_BY_ID = KeyedQuery(
    f"{_COLUMNS}, {state_columns('wanted.tenant', 'wanted.user_id', 'log.position', head='head')}",
    partial(
        _with_state,
        "inbox_heads AS head CROSS JOIN shared_log AS log",
        "log.notification_id = wanted.id AND log.kind = 0 "
        "AND head.tenant = wanted.tenant AND head.user_id = wanted.user_id "
        f"AND {has('head', 'log.position', 'log.topic')}",
    ),
    {"tenant": "text", "user_id": "text", "id": "uuid"},
)
_AT = KeyedQuery(
    f"{_COLUMNS}, {state_columns('wanted.tenant', 'wanted.user_id', 'log.position')}",
    partial(_with_state, "shared_log AS log", "log.position = wanted.position"),
    {"tenant": "text", "user_id": "text", "position": "bigint"},
)

Held = Mapping[InboxKey, dict[UUID, HeldShared]]


async def held_by_ids(connection: AsyncConnection, keys: Sequence[tuple[str, str, UUID]]) -> Held:
    """Read the live items of these notifications, of those that the users have."""
    return _held(await _BY_ID.rows(connection, sorted(set(keys))))


async def held_at(connection: AsyncConnection, key: InboxKey, positions: Sequence[int]) -> list[HeldShared]:
    """Read a user's live items at these positions."""
    rows = await _AT.rows(connection, [(*key, position) for position in positions])
    return list(_held(rows).get(key, {}).values())


def _held(rows: Sequence[Row]) -> Held:
    held: defaultdict[InboxKey, dict[UUID, HeldShared]] = defaultdict(dict)
    for row in rows:
        identifier = id_of(row.notification_id)
        held[InboxKey(row.tenant, row.user_id)][identifier] = HeldShared(
            notification=identifier,
            version=row.version,
            since=0,
            appeared_at=row.appeared_at,
            delivered_at=row.delivered_at,
            seen_at=row.seen_at,
            read_at=row.read_at,
            archived_at=row.archived_at,
            snoozed_until=row.snoozed_until,
            position=row.position,
            touched=row.touched is not None,
        )
    return held


def save_items(bulk: Bulk, items: Sequence[tuple[InboxKey, HeldShared]]) -> None:
    """Write items as they are now; from here on they are touched."""
    bulk.insert(shared_items, [_values(key, item) for key, item in items if not item.touched])
    bulk.update(shared_items, [_values(key, item) for key, item in items if item.touched])
    for _, item in items:
        item.touched = True


def _values(key: InboxKey, item: HeldShared) -> Values:
    return {
        "tenant": key.tenant,
        "user_id": key.user,
        "position": item.position,
        "notification_id": item.notification,
        "version": item.version,
        "delivered_at": item.delivered_at,
        "seen_at": item.seen_at,
        "read_at": item.read_at,
        "archived_at": item.archived_at,
        "snoozed_until": item.snoozed_until,
    }


_LIVE = """
SELECT log.position, log.notification_id FROM (
  SELECT candidate.value AS position FROM $spans AS span $candidates
) AS found $log
ORDER BY log.position LIMIT :limit"""

_CANDIDATES = """
SELECT log.position AS value FROM shared_log AS log
WHERE log.tenant = :tenant AND $stretch AND log.kind = 0 AND log.gone_at_position IS NULL $untouched
ORDER BY log.topic, log.position LIMIT :limit"""

_UNTOUCHED = """AND (
  SELECT state.position FROM shared_items AS state
  WHERE state.tenant = :tenant AND state.user_id = :user AND state.position = log.position
) IS NULL"""


@cache
def _live(dialect: str, *, untouched: bool) -> sa.TextualSelect:
    candidates = fill(
        _CANDIDATES, stretch=span_stretch("log", ":lower", ":upper"), untouched=_UNTOUCHED if untouched else ""
    )
    statement = sa.text(
        fill(
            _LIVE,
            spans=SPANS_OF_ONE,
            candidates=each(dialect, candidates, "candidate"),
            log=only(dialect, "shared_log", "log", "log.tenant = :tenant AND log.position = found.position"),
        )
    )
    return statement.columns(sa.column("position", sa.BigInteger), sa.column("notification_id", sa.Uuid))


async def live_between(
    connection: AsyncConnection, key: InboxKey, lower: int, upper: int, limit: int = TOP, *, untouched: bool = False
) -> Sequence[Row]:
    """Read position and notification of a user's live items above one position, up to another, in order."""
    here = sa.and_(inbox_heads.c.tenant == key.tenant, inbox_heads.c.user_id == key.user)
    joined = (await connection.execute(sa.select(inbox_heads.c.joined).where(here))).scalar_one()
    values = {
        "tenant": key.tenant,
        "user": key.user,
        "joined": joined,
        "lower": lower,
        "upper": upper,
        "limit": limit,
    }
    return (await connection.execute(_live(connection.dialect.name, untouched=untouched), values)).all()
