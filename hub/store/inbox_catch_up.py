"""Reading what many clients missed at once: heads, then the items of those that lag, in one snapshot.

However many wishes there are, it takes one statement where nobody lags, one more where somebody lacks own items, and
two more where somebody may lack shared ones. The wishes go to the database as arrays (PostgreSQL) or as one JSON text
(SQLite), so each statement is compiled once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor
from hub.core.model import Changes, Head, InboxKey, Item
from hub.store.rows import ITEM_COLUMNS, Row, head_of, item_of
from hub.store.shared_catch_up import Lag, missed
from hub.store.shared_heads import due, log_floors
from hub.store.shared_sql import LogView, log_view
from hub.store.sql import looking_up
from hub.store.tables import inbox_heads, inbox_items, notifications, shared_logs

BATCH_ITEMS = 10_000
"""Items that one batch may bring into memory; past it, those who missed most read their newest page instead."""

Wish = tuple[InboxKey, Cursor | None]


class _Lagging(NamedTuple):
    """A wish that needs items: its place among the wishes, and the version after which they are wanted."""

    place: int
    tenant: str
    user: str
    version: int
    missed: int
    """Items; counted to one past the limit."""


async def catch_up(
    connection: AsyncConnection, wanted: Sequence[Wish], limit: int, cluster: str, unsettled: set[InboxKey]
) -> list[Changes | None]:
    """Answer every wish, in order; None where the user has no row. Adds whose heads should be settled to the set."""
    answers: list[Changes | None] = [None] * len(wanted)
    lagging: list[_Lagging] = []
    in_log: list[Lag] = []
    heads = list(await _heads(connection, wanted, limit))
    floors = await log_floors(connection, sorted({wanted[row.place][0] for row in heads if _doubtful(row, wanted)}))
    for row in heads:
        key, after = wanted[row.place]
        head = head_of(row, cluster)
        if due(LogView.parse(row.log)):
            unsettled.add(key)
        answers[row.place] = told = _without_items(head, after, floors.get(key, 0))
        if after is None or after == head.cursor or told.resync is not None:
            continue
        if row.missed:
            lagging.append(_Lagging(row.place, key.tenant, key.user, after.version, row.missed))
        if head.position:
            in_log.append(Lag(row.place, key, after.version, after.position, row))
    own = await _items(connection, lagging, limit)
    shared = await missed(connection, in_log, limit, BATCH_ITEMS)
    for place in own.keys() | shared.keys():
        answers[place] = _with_items(answers[place], own.get(place, ()), shared.get(place, ()), limit)
    return answers


async def _heads(connection: AsyncConnection, wanted: Sequence[Wish], limit: int) -> Iterable[Any]:
    """Read the heads that there are, in any order, each with how many own items its wish missed (None: no wish)."""
    wishes = [(place, *key, None if after is None else after.version) for place, (key, after) in enumerate(wanted)]
    rows: Iterable[Any] = await connection.execute(
        _statements(connection.dialect.name).heads, _arguments(connection, wishes, limit + 1)
    )
    return rows


def _doubtful(row: Row, wanted: Sequence[Wish]) -> bool:
    """Tell whether a cursor is older than something in its tenant's log that can't be told: of its topics or others."""
    after = wanted[row.place][1]
    return after is not None and after.position < (row.log_floor or 0)


def _without_items(head: Head, after: Cursor | None, log_floor: int) -> Changes:
    """Answer with the head alone, or with why there is no resuming from the cursor."""
    if after is None or after == head.cursor:
        return Changes(head)
    if after.epoch != head.epoch:
        return Changes(head, resync="unknown_epoch")
    if after.version > head.version or after.position > head.position:
        return Changes(head, resync="ahead_of_server")
    too_old = after.version < head.floor or after.position < log_floor
    return Changes(head, resync="too_old" if too_old else None)


def _with_items(
    told: Changes | None, own: Sequence[Item] | None, shared: Sequence[Item] | None, limit: int
) -> Changes | None:
    """Answer with items, which are None where there are too many."""
    if told is None:
        return None
    if own is None or shared is None or len(own) + len(shared) > limit:
        return Changes(told.head, resync="too_many_changes")
    return Changes(told.head, [*own, *shared])


def _fitting(lagging: Iterable[_Lagging], limit: int) -> list[_Lagging]:
    """Return those that missed at most `limit` items, the shortest first, and `BATCH_ITEMS` together."""
    few, total = [], 0
    for wish in sorted(lagging, key=lambda wish: wish.missed):
        total += wish.missed
        if wish.missed > limit or total > BATCH_ITEMS:
            break
        few.append(wish)
    return few


async def _items(
    connection: AsyncConnection, lagging: Sequence[_Lagging], limit: int
) -> Mapping[int, Sequence[Item] | None]:
    """Read the own items of each wish, by its place; None where there are too many."""
    fitting = _fitting(lagging, limit)
    found: dict[int, list[Item]] = {wish.place: [] for wish in fitting}
    if found:
        wishes = [(wish.place, wish.tenant, wish.user, wish.version) for wish in fitting]
        rows = await connection.execute(
            _statements(connection.dialect.name).items, _arguments(connection, wishes, limit + 1)
        )
        for row in rows:
            found[row.place].append(item_of(row))
    return {wish.place: found.get(wish.place) for wish in lagging}


class _Statements(NamedTuple):
    heads: sa.Select[Any]
    items: sa.Select[Any]


_BY_VERSION = (inbox_items.c.version, inbox_items.c.notification_id)

_ONE: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)
"""Not a parameter: of that, a generic plan would not know how few it is."""


@cache
def _statements(dialect: str) -> _Statements:
    wish = _wishes_postgresql() if dialect == "postgresql" else _wishes_sqlite()
    look_up = looking_up(dialect)
    beyond = _unseen("beyond", sa.Integer()) if dialect == "postgresql" else sa.bindparam("beyond", type_=sa.Integer)

    at_head = sa.and_(inbox_heads.c.tenant == wish.c.tenant, inbox_heads.c.user_id == wish.c.user_id)
    heads, head = look_up(wish, inbox_heads, sa.select(inbox_heads).where(at_head).limit(_ONE), "head")
    named = "head" if dialect == "postgresql" else "inbox_heads"
    log_floor = sa.select(shared_logs.c.floor).where(shared_logs.c.tenant == head.tenant)
    # PENDING items have version 0: they are later than no cursor.
    later = sa.and_(
        inbox_items.c.tenant == wish.c.tenant,
        inbox_items.c.user_id == wish.c.user_id,
        inbox_items.c.version > wish.c.version,
    )
    # In the order of the index that has the version: another reads the user's whole inbox, and sorts it.
    next_items = sa.select(inbox_items).where(later).order_by(*_BY_VERSION).limit(beyond)
    bounded = next_items.with_only_columns(inbox_items.c.version).correlate(wish).subquery("bounded")
    count = sa.select(sa.func.count()).select_from(bounded).correlate(wish).scalar_subquery()

    with_items, item = look_up(wish, inbox_items, next_items)
    of_item = sa.and_(notifications.c.tenant == item.tenant, notifications.c.id == item.notification_id)
    with_content, content = look_up(with_items, notifications, sa.select(notifications).where(of_item).limit(_ONE))
    return _Statements(
        heads=sa.select(
            wish.c.place,
            head.epoch,
            head.version,
            head.floor,
            head.unread_count,
            head.unseen_count,
            head.joined,
            head.seen_mark,
            head.read_mark,
            head.archived_mark,
            head.shared_unread,
            head.shared_unseen,
            head.settled,
            sa.literal_column(log_view(named), sa.Text).label("log"),
            log_floor.scalar_subquery().label("log_floor"),
            sa.case((wish.c.version < head.version, count)).label("missed"),
        ).select_from(heads),
        items=sa.select(wish.c.place, *content, *(item[column.name] for column in ITEM_COLUMNS))
        .select_from(with_content)
        .order_by(wish.c.place, item.version, item.notification_id),
    )


def _unseen(name: str, kind: sa.types.TypeEngine[Any]) -> sa.ScalarSelect[Any]:
    return sa.select(sa.cast(sa.bindparam(name), kind)).scalar_subquery()


def _wishes_postgresql() -> sa.FromClause:
    """Make the wishes a table, out of one array a column."""
    columns: list[sa.ColumnClause[Any]] = [
        sa.column("place", sa.Integer),
        sa.column("tenant", sa.Text),
        sa.column("user_id", sa.Text),
        sa.column("version", sa.BigInteger),
    ]
    # Of an array that the planner sees it knows the length: see `sql.unseen`.
    arrays = [_unseen(column.name, sa.ARRAY(column.type)) for column in columns]
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


def _arguments(
    connection: AsyncConnection, wishes: Sequence[tuple[int, str, str, int | None]], beyond: int
) -> dict[str, object]:
    """Write wishes `(place, tenant, user, version)` as the statements' parameters."""
    if connection.dialect.name != "postgresql":
        return {"wishes": json.dumps(wishes, ensure_ascii=False), "beyond": beyond}
    place, tenant, user, version = map(list, zip(*wishes, strict=True))
    return {"place": place, "tenant": tenant, "user_id": user, "version": version, "beyond": beyond}
