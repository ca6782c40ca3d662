"""Reading what many clients missed at once: heads, then the items of those that lag, in one snapshot.

However many wishes there are, it takes one statement where nobody lags and three where somebody does. The wishes go
to the database as arrays (PostgreSQL) or as one JSON text (SQLite), so each statement is compiled once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor, epoch_of
from hub.core.model import Changes, Counts, Head, InboxKey, Item
from hub.store.rows import ITEM_COLUMNS, item_of, items_with_content
from hub.store.tables import inbox_heads, inbox_items, notifications

BATCH_ITEMS = 10_000
"""Items that one batch may bring into memory; past it, those who missed most read their newest page instead."""

Wish = tuple[InboxKey, Cursor | None]


class _Lagging(NamedTuple):
    """A wish that needs items: its place among the wishes, and the version after which they are wanted."""

    place: int
    tenant: str
    user: str
    version: int


async def catch_up(
    connection: AsyncConnection, wanted: Sequence[Wish], limit: int, cluster: str
) -> list[Changes | None]:
    """Answer every wish, in order; None where the user has no row."""
    heads = await _heads(connection, wanted, cluster)
    answers: list[Changes | None] = [
        None if head is None else _without_items(head, after) for head, (_, after) in zip(heads, wanted, strict=True)
    ]
    lagging = [
        _Lagging(place, key.tenant, key.user, after.version)
        for place, ((key, after), changes) in enumerate(zip(wanted, answers, strict=True))
        if after is not None and changes is not None and not changes.resync and after.version < changes.head.version
    ]
    if lagging:
        items = await _items(connection, await _with_few_items(connection, lagging, limit))
        for place, *_ in lagging:
            head = heads[place]
            assert head is not None  # noqa: S101 - there is one that it lags behind
            told = items.get(place)
            answers[place] = Changes(head, resync="too_many_changes") if told is None else Changes(head, told)
    return answers


async def _heads(connection: AsyncConnection, wanted: Sequence[Wish], cluster: str) -> list[Head | None]:
    heads: list[Head | None] = [None] * len(wanted)
    wishes = [(place, *wish[0], 0) for place, wish in enumerate(wanted)]
    rows = await connection.execute(_statements(connection.dialect.name).heads, _arguments(connection, wishes))
    for place, epoch, version, floor, unread, unseen in rows:
        heads[place] = Head(epoch_of(cluster, epoch), version, floor, Counts(unread, unseen))
    return heads


def _without_items(head: Head, after: Cursor | None) -> Changes:
    """Answer with the head alone, or with why there is no resuming from the cursor."""
    if after is None or (after.version == head.version and after.epoch == head.epoch):
        return Changes(head)
    if after.epoch != head.epoch:
        return Changes(head, resync="unknown_epoch")
    if after.version > head.version:
        return Changes(head, resync="ahead_of_server")
    return Changes(head, resync="too_old" if after.version < head.floor else None)


async def _with_few_items(connection: AsyncConnection, lagging: Sequence[_Lagging], limit: int) -> list[_Lagging]:
    """Return those that missed at most `limit` items, the shortest first, and `BATCH_ITEMS` together."""
    parameters = {**_arguments(connection, lagging), "beyond": limit + 1}
    rows = await connection.execute(_statements(connection.dialect.name).missed, parameters)
    missed: dict[int, int] = {row[0]: row[1] for row in rows}
    few, total = [], 0
    for wish in sorted(lagging, key=lambda wish: missed[wish.place]):
        total += missed[wish.place]
        if missed[wish.place] > limit or total > BATCH_ITEMS:
            break
        few.append(wish)
    return few


async def _items(connection: AsyncConnection, lagging: Sequence[_Lagging]) -> Mapping[int, list[Item]]:
    """Read the items of each wish, by its place; none where a change of the head left no item behind."""
    found: dict[int, list[Item]] = {wish.place: [] for wish in lagging}
    if found:
        rows = await connection.execute(_statements(connection.dialect.name).items, _arguments(connection, lagging))
        for row in rows:
            found[row.place].append(item_of(row))
    return found


class _Statements(NamedTuple):
    heads: sa.Select[Any]
    missed: sa.Select[Any]
    items: sa.Select[Any]


@cache
def _statements(dialect: str) -> _Statements:
    wish = _wishes_postgresql() if dialect == "postgresql" else _wishes_sqlite()
    of_head = sa.and_(inbox_heads.c.tenant == wish.c.tenant, inbox_heads.c.user_id == wish.c.user_id)
    # PENDING items have version 0: they are later than no cursor.
    later = sa.and_(
        inbox_items.c.tenant == wish.c.tenant,
        inbox_items.c.user_id == wish.c.user_id,
        inbox_items.c.version > wish.c.version,
    )
    counted: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(inbox_items).where(later).correlate(wish)
    bounded = counted.limit(sa.bindparam("beyond", type_=sa.Integer)).subquery("bounded")
    return _Statements(
        heads=sa.select(
            wish.c.place,
            inbox_heads.c.epoch,
            inbox_heads.c.version,
            inbox_heads.c.floor,
            inbox_heads.c.unread_count,
            inbox_heads.c.unseen_count,
        ).select_from(wish.join(inbox_heads, of_head)),
        missed=sa.select(
            wish.c.place, sa.select(sa.func.count()).select_from(bounded).correlate(wish).scalar_subquery()
        ),
        items=sa.select(wish.c.place, notifications, *ITEM_COLUMNS)
        .select_from(items_with_content.join(wish, later))
        .order_by(wish.c.place, inbox_items.c.version, inbox_items.c.notification_id),
    )


def _wishes_postgresql() -> sa.FromClause:
    """Make the wishes a table, out of one array a column."""
    columns: list[sa.ColumnClause[Any]] = [
        sa.column("place", sa.Integer),
        sa.column("tenant", sa.Text),
        sa.column("user_id", sa.Text),
        sa.column("version", sa.BigInteger),
    ]
    arrays = [sa.cast(sa.bindparam(column.name), sa.ARRAY(column.type)) for column in columns]
    return sa.func.unnest(*arrays).table_valued(*columns).render_derived(name="wish")


def _wishes_sqlite() -> sa.FromClause:
    """Make the wishes a table, out of JSON."""
    each = sa.func.json_each(sa.bindparam("wishes")).table_valued(sa.column("value", sa.Text), name="each")
    part = [sa.func.json_extract(each.c.value, f"$[{number}]") for number in range(4)]
    return sa.select(
        sa.type_coerce(part[0], sa.Integer).label("place"),
        sa.type_coerce(part[1], sa.Text).label("tenant"),
        sa.type_coerce(part[2], sa.Text).label("user_id"),
        sa.type_coerce(part[3], sa.BigInteger).label("version"),
    ).subquery("wish")


def _arguments(connection: AsyncConnection, wishes: Sequence[tuple[int, str, str, int]]) -> dict[str, object]:
    """Write wishes `(place, tenant, user, version)` as the statements' parameters."""
    if connection.dialect.name != "postgresql":
        return {"wishes": json.dumps(wishes, ensure_ascii=False)}
    place, tenant, user, version = zip(*wishes, strict=True)
    return {"place": list(place), "tenant": list(tenant), "user_id": list(user), "version": list(version)}
