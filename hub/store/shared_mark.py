"""Marking shared items, as part of a group of marks: rows for what is named or touched, marks for what is not.

The users' heads must be locked: nobody else then changes their rows or marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, MarkAction, MarkLevel
from hub.store.bulk import Bulk
from hub.store.delivery_turns import stay_cancelled
from hub.store.heads import LockedHead, settle_locked
from hub.store.mark_reads import Aim
from hub.store.marks import HeldShared, Mark
from hub.store.rows import Row, Values
from hub.store.shared_heads import log_views
from hub.store.shared_items import Held, held_at, held_by_ids, live_between, save_items
from hub.store.shared_sql import SPANS_OF_ONE, fill, items_between, only, span_covers, with_topics
from hub.store.tables import inbox_heads, shared_marks

_LEVELS = {
    MarkAction.SEEN: MarkLevel.SEEN,
    MarkAction.READ: MarkLevel.READ,
    MarkAction.ARCHIVE: MarkLevel.ARCHIVED,
}


class Passed(NamedTuple):
    """Untouched items that marks have passed: how many, and which (at most the limit, and one more)."""

    total: int = 0
    ids: Sequence[UUID] = ()


class SharedMoves:
    """Shared items of locked heads, as mark after mark moves them."""

    def __init__(self, connection: AsyncConnection, held: Held) -> None:
        self._connection = connection
        self._held = dict(held)
        self._stale: set[InboxKey] = set()
        """Those of whom all were marked: what was read of them before is not true any more."""
        self._changed: dict[tuple[InboxKey, int], HeldShared] = {}

    @classmethod
    async def read(cls, connection: AsyncConnection, aims: Iterable[Aim]) -> SharedMoves:
        """Read what is aimed at by id, for all at once."""
        keys = [(*aim.mark.key, identifier) for aim in aims for identifier in aim.ids or ()]
        return cls(connection, await held_by_ids(connection, keys))

    def has(self, key: InboxKey, notification: UUID) -> bool:
        """Tell whether an item that is aimed at by id is a shared one of the user's."""
        return notification in self._held.get(key, ())

    async def apply(self, aim: Aim, head: LockedHead, limit: int) -> tuple[list[HeldShared], Passed]:
        """Apply a mark with the head's next version (`DELIVERED` takes none); returns what it changed."""
        mark = aim.mark
        if aim.ids is not None:
            return await self._changed_alike(mark, await self._by_ids(mark.key, aim.ids), head), Passed()
        if not aim.position:
            return [], Passed()
        await self._flush(mark.key, head)
        self._stale.add(mark.key)
        level = _LEVELS.get(mark.action)
        if level is None:
            rows = await live_between(self._connection, mark.key, 0, aim.position)
            items = await held_at(self._connection, mark.key, [row.position for row in rows])
            return await self._changed_alike(mark, items, head), Passed()
        items = await held_at(self._connection, mark.key, await self._touched(aim))
        changed = self._change(mark, items, head)
        await self._flush(mark.key, head)
        return changed, await self._pass(aim, level, head, limit)

    def write(self, bulk: Bulk) -> None:
        """Write the items that changed since the last time."""
        save_items(bulk, [(key, item) for (key, _), item in self._changed.items()])
        self._changed.clear()

    async def _by_ids(self, key: InboxKey, ids: Sequence[UUID]) -> Sequence[HeldShared]:
        if key in self._stale:
            bulk = Bulk(self._connection)
            self.write(bulk)
            await bulk.write()
            self._held[key] = (await held_by_ids(self._connection, [(*key, each) for each in ids])).get(key, {})
        held = self._held.get(key, {})
        return [held[each] for each in ids if each in held]

    def _change(self, mark: Mark, items: Iterable[HeldShared], head: LockedHead) -> list[HeldShared]:
        changed = []
        for item in items:
            before = item.tally
            if not mark.change(item):
                continue
            head.add_shared(before, -1)
            head.add_shared(item.tally)
            if mark.action is not MarkAction.DELIVERED:
                item.version = head.version + 1
            self._changed[mark.key, item.position] = item
            changed.append(item)
        return changed

    async def _changed_alike(self, mark: Mark, items: Iterable[HeldShared], head: LockedHead) -> list[HeldShared]:
        """Change items; a step that had become needless stays so where they are unread again."""
        changed = self._change(mark, items, head)
        if mark.action is MarkAction.UNREAD and changed:
            await self._flush(mark.key, head)
            await stay_cancelled(self._connection, mark.key, [item.notification for item in changed], mark.now)
        return changed

    async def _flush(self, key: InboxKey, head: LockedHead) -> None:
        """Write what SQL is going to look at."""
        bulk = Bulk(self._connection)
        self.write(bulk)
        bulk.update(
            inbox_heads,
            [_head_values(key, shared_unread=head.shared_unread, shared_unseen=head.shared_unseen)],
        )
        await bulk.write()

    async def _touched(self, aim: Aim) -> Sequence[int]:
        """Find the touched items, of those meant, that lack a time."""
        lacking = " OR ".join(f"state.{name} IS NULL" for name in aim.mark.effect.once)
        log = only(
            self._connection.dialect.name,
            "shared_log",
            "log",
            "log.tenant = state.tenant AND log.position = state.position",
        )
        rows = await self._connection.execute(
            sa.text(fill(_LACKING, log=log, lacking=lacking)),
            {"tenant": aim.mark.key.tenant, "user": aim.mark.key.user, "upto": aim.position},
        )
        return rows.scalars().all()

    async def _pass(self, aim: Aim, level: MarkLevel, head: LockedHead, limit: int) -> Passed:
        """Move marks over the untouched items, if there are any between them and the position."""
        mark = aim.mark
        await settle_locked(self._connection, [head])  # so that it is known which of those that went the head counts
        here = sa.and_(inbox_heads.c.tenant == mark.key.tenant, inbox_heads.c.user_id == mark.key.user)
        row = (await self._connection.execute(sa.select(inbox_heads).where(here))).one()
        marks = {MarkLevel.SEEN: row.seen_mark, MarkLevel.READ: row.read_mark, MarkLevel.ARCHIVED: row.archived_mark}
        untouched = await _between(self._connection, row, marks[level], aim.position)
        if not untouched.live:
            return Passed()
        named = await live_between(self._connection, mark.key, marks[level], aim.position, limit + 1, untouched=True)
        moved = [implied for implied in marks if implied <= level and marks[implied] < aim.position]
        if MarkLevel.SEEN in moved:
            head.shared_unseen += (await _between(self._connection, row, row.seen_mark, aim.position)).counted
        if MarkLevel.READ in moved:
            head.shared_unread += (await _between(self._connection, row, row.read_mark, aim.position)).counted
        bulk = Bulk(self._connection)
        bulk.update(
            inbox_heads,
            [_head_values(mark.key, **{f"{each.name.lower()}_mark": aim.position for each in moved})],
        )
        bulk.insert(shared_marks, [_mark_values(aim, each, head.version + 1) for each in moved])
        await bulk.write()
        head.log = (await log_views(self._connection, [mark.key]))[mark.key]
        return Passed(untouched.live, [each.notification_id for each in named])


def _head_values(key: InboxKey, **columns: int) -> Values:
    return {"tenant": key.tenant, "user_id": key.user, **columns}


def _mark_values(aim: Aim, level: MarkLevel, version: int) -> Values:
    return {
        "tenant": aim.mark.key.tenant,
        "user_id": aim.mark.key.user,
        "level": int(level),
        "position": aim.position,
        "version": version,
        "marked_at": aim.mark.now,
    }


_LACKING = """
SELECT state.position FROM shared_items AS state $log
WHERE state.tenant = :tenant AND state.user_id = :user AND state.position <= :upto AND ($lacking)
AND log.gone_at_position IS NULL"""


class _Between(NamedTuple):
    """What lies between two positions."""

    items: int
    touched: int
    gone: int
    """Untouched, and gone."""
    settled: int
    """Of these, those that are counted in the head."""

    @property
    def live(self) -> int:
        return self.items - self.touched - self.gone

    @property
    def counted(self) -> int:
        """By how much the head's numbers grow as a mark passes them: the log no longer counts these."""
        return self.touched + self.settled


_BETWEEN = """
SELECT
(SELECT coalesce(sum($items), 0) FROM $spans AS span),
(SELECT count(*) FROM shared_items AS touched WHERE touched.tenant = :tenant AND touched.user_id = :user
 AND touched.position > :lower AND touched.position <= :upper),
$gone,
$gone_until"""

_GONE = """(SELECT coalesce(sum((
  SELECT count(*) FROM shared_log AS gone LEFT JOIN shared_items AS touched
  ON touched.tenant = :tenant AND touched.user_id = :user AND touched.position = gone.position
  WHERE gone.tenant = :tenant AND gone.topic = span.topic AND gone.gone_at_position IS NOT NULL
  AND gone.position > :lower AND gone.position <= :upper AND $covered AND touched.position IS NULL $until
)), 0) FROM $spans AS span)"""


@cache
def _between_statement() -> sa.TextClause:
    gone = {"spans": SPANS_OF_ONE, "covered": span_covers("gone.position")}
    return sa.text(
        fill(
            _BETWEEN,
            items=items_between(":tenant", ":lower", ":upper"),
            spans=with_topics(SPANS_OF_ONE, ":tenant"),
            gone=fill(_GONE, until="", **gone),
            gone_until=fill(_GONE, until="AND gone.gone_at_position <= :settled", **gone),
        )
    )


async def _between(connection: AsyncConnection, head: Row, lower: int, upper: int) -> _Between:
    """Count what lies above one position, up to another."""
    if lower >= upper:
        return _Between(0, 0, 0, 0)
    values = {
        "tenant": head.tenant,
        "user": head.user_id,
        "joined": head.joined,
        "lower": lower,
        "upper": upper,
        "settled": head.settled,
    }
    return _Between(*map(int, (await connection.execute(_between_statement(), values)).one()))
