"""The statement that reads a page of an inbox: the head, the counts, the user's own items and shared ones.

It is one statement, as that is a snapshot by itself, and a single journey to the database. Only what is on the page is
looked up in full: of both sources the newest places are merged first.

Of the shared log it reads by position, newest first: among shared items that is the order of (appeared_at, id), as no
two have the same time. What a query asks of untouched items is a range of positions between marks, so items outside of
it are looked for among the touched ones only.
"""

from __future__ import annotations

from functools import cache, reduce
from typing import NamedTuple

from hub.core.model import InboxQuery, ItemState
from hub.store.shared_sql import (
    TOP,
    each,
    fill,
    larger,
    log_view,
    only,
    smaller,
    span_stretch,
    state_by_column,
)
from hub.store.sql import unseen
from hub.store.tables import notifications


class Shape(NamedTuple):
    """What the text depends on; everything else is a parameter."""

    unread: bool | None
    unseen: bool | None
    archived: bool
    snoozed: bool
    category: bool
    after: bool

    @classmethod
    def of(cls, query: InboxQuery) -> Shape:
        """Return the shape of a query."""
        narrowed, follows = query.category is not None, query.after is not None
        return cls(query.unread, query.unseen, query.archived, query.snoozed, narrowed, follows)


_PAGE = """
WITH inbox AS MATERIALIZED (
  SELECT head.epoch, head.version, head.floor, head.unread_count, head.unseen_count, head.shared_unread,
  head.shared_unseen, $log AS log,
  head.tenant, head.user_id, head.joined, head.seen_mark, head.read_mark, head.archived_mark,
  $before AS before, $lower AS lower, $upper AS upper, $first AS first_touched, $last AS last_touched
  FROM inbox_heads AS head WHERE head.tenant = $tenant AND head.user_id = $user
),
bound AS MATERIALIZED (
  SELECT inbox.joined, inbox.before, inbox.lower, $no_less AS upper, $below AS below, $within AS within,
  coalesce(inbox.first_touched, 0) AS first_touched, coalesce(inbox.last_touched, 0) AS last_touched FROM inbox
),
place AS MATERIALIZED (
  SELECT * FROM ($own) AS own
  UNION ALL
  SELECT * FROM ($shared) AS shared
  ORDER BY appeared_at DESC, notification_id DESC LIMIT $limit
)
SELECT inbox.epoch, inbox.version AS head_version, inbox.floor, inbox.unread_count, inbox.unseen_count,
inbox.shared_unread, inbox.shared_unseen, inbox.log,
$content, place.position AS log_position, $live AS state, place.since, place.appeared_at, $state
FROM inbox LEFT JOIN place ON true
$notification
$touched
ORDER BY place.appeared_at DESC, place.notification_id DESC"""

_OWN = """
SELECT item.notification_id, item.appeared_at, 0 AS position, item.since, item.version,
item.seen_at, item.read_at, item.archived_at, item.snoozed_until
FROM inbox_items AS item
WHERE item.tenant = $tenant AND item.user_id = $user AND item.state = $live AND $filters
ORDER BY item.appeared_at DESC, item.notification_id DESC LIMIT $limit"""

_SHARED = """
SELECT log.notification_id, log.appeared_at, found.position, 0 AS since, $none
FROM (
  SELECT candidate.value AS position FROM bound CROSS JOIN $spans AS span $untouched
  UNION ALL
  SELECT above.position FROM (
    $those AND state.position > (SELECT bound.upper FROM bound) AND state.position <= (SELECT bound.before FROM bound)
    ORDER BY state.position DESC LIMIT $limit
  ) AS above
  UNION ALL
  SELECT below.position FROM (
    $those AND state.position <= (SELECT bound.below FROM bound)
    ORDER BY state.position DESC LIMIT $limit
  ) AS below
  ORDER BY position DESC LIMIT $limit
) AS found
$log"""

_SPANS = """
(SELECT '' AS topic, (SELECT bound.joined FROM bound) AS joined, CAST(NULL AS BIGINT) AS left_at
UNION ALL
SELECT member.topic, member.joined, member.left_at FROM memberships AS member
WHERE member.tenant = $tenant AND member.user_id = $user)"""

_UNTOUCHED = """
SELECT log.position AS value FROM shared_log AS log
WHERE log.tenant = $tenant AND $stretch AND log.kind = 0 AND log.gone_at_position IS NULL AND log.position > 0
AND (log.position > bound.last_touched OR log.position < bound.first_touched OR coalesce((
  SELECT $filters FROM shared_items AS state
  WHERE state.tenant = $tenant AND state.user_id = $user AND state.position = log.position
), true))
ORDER BY $category log.topic DESC, log.position DESC LIMIT $limit"""
"""With the touched ones in between that meet the query."""

_TOUCHED = """
SELECT state.position FROM shared_items AS state $log
WHERE state.tenant = $tenant AND state.user_id = $user AND log.gone_at_position IS NULL AND $category AND $filters"""

_END = """(
  SELECT outermost.position FROM shared_items AS outermost
  WHERE outermost.tenant = $tenant AND outermost.user_id = $user ORDER BY outermost.position $direction LIMIT 1
)"""
"""Above the newest item that the user has touched, and below the oldest, there are no states to look up."""

_BEFORE = """coalesce((
  SELECT log.position FROM shared_log AS log
  WHERE log.tenant = $tenant AND log.appeared_at <= $after_time
  AND (log.appeared_at < $after_time OR log.notification_id < $after_id)
  ORDER BY log.appeared_at DESC LIMIT 1
), 0)"""
"""Up to which position there is what follows an item in a list."""

_LIVE = str(int(ItemState.LIVE))
_STATE_COLUMNS = ("version", "seen_at", "read_at", "archived_at", "snoozed_until")

_PARAMETERS = {
    "tenant": "TEXT",
    "user": "TEXT",
    "limit": "BIGINT",
    "category": "TEXT",
    "after_time": "BIGINT",
    "after_id": "UUID",
}
"""With PostgreSQL's types."""

_UNSEEN = {name: unseen(name, kind) for name, kind in _PARAMETERS.items()}
_SEEN = {name: f":{name}" for name in _PARAMETERS}
"""SQLite makes a plan once anyway. Without reading rows, by an index, it compares with plain parameters only."""


@cache
def page_of(dialect: str, shape: Shape) -> str:
    """Return the statement, with `:names` where parameters go: one for each of the few shapes.

    Its first columns are those of the head, which all rows repeat; without items there is one row, without a head none.
    """
    given = _UNSEEN if dialect == "postgresql" else _SEEN
    lower, upper = _range(shape)
    no_less = larger("inbox.lower", "inbox.upper")
    of_content = fill("content.tenant = $tenant AND content.id = place.notification_id", **given)
    of_state = fill("state.tenant = $tenant AND state.user_id = $user AND state.position = place.position", **given)
    return fill(
        _PAGE,
        **given,
        log=log_view("head"),
        before=fill(_BEFORE, **given) if shape.after else f"CAST({TOP} AS BIGINT)",
        lower=lower,
        upper=upper,
        first=fill(_END, **given, direction="ASC"),
        last=fill(_END, **given, direction="DESC"),
        no_less=no_less,
        below=smaller("inbox.lower", "inbox.before"),
        within=smaller(no_less, "inbox.before"),
        own=_own(shape, given),
        shared=_shared(dialect, shape, given),
        content=", ".join(f"content.{column.name}" for column in notifications.c),
        state=_state(),
        live=_LIVE,
        notification=only(dialect, "notifications", "content", of_content, join="LEFT JOIN"),
        touched=only(dialect, "shared_items", "state", of_state, join="LEFT JOIN"),
    )


def _range(shape: Shape) -> tuple[str, str]:
    """Return between which positions untouched items meet the query: above the first, up to the second."""
    if shape.snoozed:
        return str(TOP), str(TOP)  # none is
    wanted = [("head.archived_mark", not shape.archived)]
    if shape.unread is not None:
        wanted.append(("head.read_mark", shape.unread))
    if shape.unseen is not None:
        wanted.append(("head.seen_mark", shape.unseen))
    lower = reduce(larger, [mark for mark, above in wanted if above] or ["0"])
    upper = reduce(smaller, [mark for mark, above in wanted if not above] or [str(TOP)])
    return lower, upper


def _own(shape: Shape, given: dict[str, str]) -> str:
    filters = [_meets("item", shape)]
    if shape.category:
        filters.append("item.category = $category")
    if shape.after:
        filters.append("(item.appeared_at, item.notification_id) < ($after_time, $after_id)")
    meets = fill(" AND ".join(filters), **given)
    return fill(_OWN, **given, live=_LIVE, filters=meets)


def _shared(dialect: str, shape: Shape, given: dict[str, str]) -> str:
    meets = _meets("state", shape)
    category = given["category"] if shape.category else None
    untouched = fill(
        _UNTOUCHED,
        **given | {"category": "log.category DESC," if shape.category else ""},
        stretch=span_stretch("log", "bound.lower", "bound.within", category=category),
        filters=meets,
    )
    those = fill(
        _TOUCHED,
        **given | {"category": f"log.category = {category}" if shape.category else "true"},
        log=only(dialect, "shared_log", "log", "log.tenant = state.tenant AND log.position = state.position"),
        filters=meets,
    )
    of_log = fill("log.tenant = $tenant AND log.position = found.position", **given)
    return fill(
        _SHARED,
        **given,
        none=", ".join(f"CAST(NULL AS BIGINT) AS {name}" for name in _STATE_COLUMNS),
        spans=fill(_SPANS, **given),
        untouched=each(dialect, untouched, "candidate"),
        those=those,
        log=only(dialect, "shared_log", "log", of_log),
    )


def _state() -> str:
    """Return an item's state as columns; an own one has it with its place."""
    shared = state_by_column("inbox.tenant", "inbox.user_id", "place.position", head="inbox")
    return ", ".join(
        f"CASE WHEN place.position = 0 THEN place.{name} ELSE {shared[name]} END AS {name}" for name in _STATE_COLUMNS
    )


def _meets(row: str, shape: Shape) -> str:
    """Test what a query asks of an item's own state; archived ones are listed as such whether snoozed or not."""
    filters = [_is_set(row, "archived_at", shape.archived)]
    if shape.snoozed or not shape.archived:
        filters.append(_is_set(row, "snoozed_until", shape.snoozed))
    if shape.unread is not None:
        filters.append(_is_set(row, "read_at", not shape.unread))
    if shape.unseen is not None:
        filters.append(_is_set(row, "seen_at", not shape.unseen))
    return " AND ".join(filters)


def _is_set(row: str, column: str, wanted: bool) -> str:  # noqa: FBT001 - reads as a sentence
    return f"{row}.{column} IS NOT NULL" if wanted else f"{row}.{column} IS NULL"
