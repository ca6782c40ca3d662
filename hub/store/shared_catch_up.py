"""What many clients missed of the shared log: where it is first, then the items; two statements for all of them.

A client holds everything of its topics up to the cursor's position, as of the cursor's version. It is told

* what has happened in its topics since that position: items that appeared, items that went (also of those that
  appeared after it: it may have been told of them at once, without the cursor's moving);
* the touched items that changed since that version;
* the untouched items that marks have passed since that version.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, Item, MarkLevel
from hub.store.rows import Row
from hub.store.shared_read import Place, items_at
from hub.store.shared_sql import TOP, each, fill, span_covers, span_stretch, spans, stretch
from hub.store.sql import unseen


class Lag(NamedTuple):
    """A wish that may need shared items: its place among the wishes, from where on, and the head's row."""

    place: int
    key: InboxKey
    version: int
    position: int
    head: Row


_COLUMNS = {
    "number": "INTEGER",
    "tenant": "TEXT",
    "user_id": "TEXT",
    "version": "BIGINT",
    "position": "BIGINT",
    "joined": "BIGINT",
    "seen_mark": "BIGINT",
    "read_mark": "BIGINT",
    "archived_mark": "BIGINT",
}

_HAPPENED = """
SELECT happened.value FROM $spans AS span $events"""

_EVENTS = """
SELECT coalesce(event.of_position, event.position) AS value FROM shared_log AS event
WHERE event.tenant = wish.tenant AND $stretch AND $covered
AND (event.kind = 1 OR event.gone_at_position IS NULL)
ORDER BY event.topic, event.position LIMIT $beyond"""

_TOUCHED = """
SELECT changed.value FROM (
  SELECT state.position AS value FROM shared_items AS state
  WHERE state.tenant = wish.tenant AND state.user_id = wish.user_id AND state.version > wish.version
  AND (
    SELECT log.gone_at_position FROM shared_log AS log WHERE log.tenant = state.tenant AND log.position = state.position
  ) IS NULL
  ORDER BY state.version LIMIT $beyond
) AS changed"""

_PASSED = """
SELECT passed.value FROM $spans AS span $items"""

_ITEMS = """
SELECT item.position AS value FROM shared_log AS item
WHERE item.tenant = wish.tenant AND $stretch AND item.kind = 0 AND item.gone_at_position IS NULL AND (
  SELECT state.position FROM shared_items AS state
  WHERE state.tenant = wish.tenant AND state.user_id = wish.user_id AND state.position = item.position
) IS NULL
ORDER BY item.topic, item.position LIMIT $beyond"""

_MARK_THEN = """coalesce((
  SELECT mark.position FROM shared_marks AS mark
  WHERE mark.tenant = wish.tenant AND mark.user_id = wish.user_id AND mark.level = $level
  AND mark.version <= wish.version ORDER BY mark.position DESC LIMIT 1
), 0)"""

_TOLD = """
SELECT wish.number, told.value AS position FROM $wishes
$told"""


async def missed(
    connection: AsyncConnection, lagging: Sequence[Lag], limit: int, most: int
) -> Mapping[int, Sequence[Item] | None]:
    """Read what wishes missed, by place and in the order of positions; None where it is more than `limit`.

    All together it is at most `most`: those who missed most get None.
    """
    if not lagging:
        return {}
    dialect = connection.dialect.name
    rows = await connection.execute(_told(dialect), {"beyond": limit + 1, **_values(dialect, lagging)})
    positions: defaultdict[int, list[int]] = defaultdict(list)
    for row in rows:
        positions[row.number].append(row.position)
    answers: dict[int, list[Item] | None] = {}
    places: list[Place] = []
    for lag in sorted(lagging, key=lambda lag: len(positions[lag.place])):
        mine = positions[lag.place]
        answers[lag.place] = [] if len(mine) <= limit and len(places) + len(mine) <= most else None
        if answers[lag.place] is not None:
            places += [Place(lag.place, lag.key, position) for position in mine]
    for place, item in await items_at(connection, places):
        told = answers[place]
        assert told is not None  # noqa: S101 - only such places were asked for
        told.append(item)
    return answers


@cache
def _told(dialect: str) -> sa.TextClause:
    mine, beyond = spans("wish"), unseen("beyond", "BIGINT") if dialect == "postgresql" else ":beyond"
    events = fill(
        _EVENTS,
        beyond=beyond,
        stretch=stretch("event", "span.topic", "wish.position", str(TOP)),
        covered=span_covers("coalesce(event.of_position, event.position)"),
    )
    parts = [fill(_HAPPENED, spans=mine, events=each(dialect, events, "happened")), fill(_TOUCHED, beyond=beyond)]
    for level in MarkLevel:
        then, now = fill(_MARK_THEN, level=str(int(level))), f"wish.{level.name.lower()}_mark"
        items = fill(_ITEMS, stretch=span_stretch("item", then, now), beyond=beyond)
        parts.append(fill(_PASSED, spans=mine, items=each(dialect, items, "passed")))
    told = "SELECT anything.value FROM (" + " UNION ".join(parts) + f") AS anything LIMIT {beyond}"  # noqa: S608 - no values
    return sa.text(fill(_TOLD, wishes=_wishes(dialect), told=each(dialect, told, "told")))


def _wishes(dialect: str) -> str:
    if dialect == "postgresql":
        arrays = ", ".join(unseen(name, f"{kind}[]") for name, kind in _COLUMNS.items())
        return f"unnest({arrays}) AS wish ({', '.join(_COLUMNS)})"
    columns = ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(_COLUMNS))
    return f"(SELECT {columns} FROM json_each(:wishes)) AS wish"  # noqa: S608 - no values


def _values(dialect: str, lagging: Sequence[Lag]) -> dict[str, object]:
    rows = [
        (
            lag.place,
            *lag.key,
            lag.version,
            lag.position,
            lag.head.joined,
            lag.head.seen_mark,
            lag.head.read_mark,
            lag.head.archived_mark,
        )
        for lag in lagging
    ]
    if dialect != "postgresql":
        return {"wishes": json.dumps(rows, ensure_ascii=False)}
    return dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
