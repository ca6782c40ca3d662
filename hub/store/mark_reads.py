"""What a group of marks is about: which items, and which deliveries they make needless.

By ids, as nearly all are, one query answers for the whole group; a mark of all items asks for itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState, Head, InboxKey, ItemState, LogKind, MarkAction, Rung
from hub.store.keyed import KeyedQuery
from hub.store.marks import HeldItem, Mark
from hub.store.rows import Row, id_of, plan_of
from hub.store.shared_items import live_between
from hub.store.tables import deliveries, inbox_items, shared_log

_KEY = {"tenant": "text", "user_id": "text", "id": "uuid"}
_ITEM_IS_WANTED = (
    "inbox_items.tenant = wanted.tenant AND inbox_items.user_id = wanted.user_id "
    f"AND inbox_items.notification_id = wanted.id AND inbox_items.state = {int(ItemState.LIVE)}"
)
_HELD: list[sa.Column[Any]] = [
    inbox_items.c.tenant,
    inbox_items.c.user_id,
    inbox_items.c.notification_id,
    *(inbox_items.c[name] for name in HeldItem.COLUMNS),
]
_ITEMS = KeyedQuery(
    ", ".join(f"inbox_items.{column.name}" for column in _HELD), f"inbox_items WHERE {_ITEM_IS_WANTED}", _KEY
)
_UNDELIVERED = KeyedQuery(
    "wanted.number, notifications.id, notifications.plan",
    f"inbox_items CROSS JOIN notifications WHERE {_ITEM_IS_WANTED} AND inbox_items.delivered_at IS NULL "
    "AND notifications.tenant = wanted.tenant AND notifications.id = wanted.id AND notifications.plan <> '[]'",
    {**_KEY, "number": "integer"},
)
_SHARED_IS_WANTED = (
    "shared_log.tenant = wanted.tenant AND shared_log.notification_id = wanted.id "
    f"AND shared_log.kind = {int(LogKind.ITEM)} AND shared_log.gone_at_position IS NULL"
)
_UNDELIVERED_SHARED = KeyedQuery(
    "wanted.number, notifications.id, notifications.plan",
    f"shared_log CROSS JOIN notifications WHERE {_SHARED_IS_WANTED} "
    "AND notifications.tenant = wanted.tenant AND notifications.id = wanted.id AND notifications.plan <> '[]'",
    {**_KEY, "number": "integer"},
)
_PLANS = KeyedQuery(
    "notifications.id, notifications.plan",
    "notifications WHERE notifications.tenant = wanted.tenant AND notifications.id = wanted.id "
    "AND notifications.plan <> '[]'",
    {"tenant": "text", "id": "uuid"},
)
_NEEDLESS = KeyedQuery(
    "wanted.number, deliveries.tenant, deliveries.id",
    # 'queued' stands in the text, so that the partial index applies. That a shared item is theirs, the delivery says.
    "deliveries WHERE deliveries.tenant = wanted.tenant "  # noqa: S608 - all of it our own
    "AND deliveries.user_id = wanted.user_id AND deliveries.notification_id = wanted.id "
    f"AND deliveries.state = 'queued' AND deliveries.unless BETWEEN {int(Rung.DELIVERED)} AND wanted.rung "
    f"AND (EXISTS (SELECT 1 FROM inbox_items WHERE {_ITEM_IS_WANTED}) "
    f"OR EXISTS (SELECT 1 FROM shared_log WHERE {_SHARED_IS_WANTED}))",
    {**_KEY, "rung": "smallint", "number": "integer"},
)
_LOCK = KeyedQuery(
    "deliveries.tenant, deliveries.id, deliveries.state",
    # The state is looked at afterwards: with it here, another index would do for a planner without statistics.
    "deliveries WHERE deliveries.tenant = wanted.tenant AND deliveries.id = wanted.id",
    {"tenant": "text", "id": "uuid"},
    lock=True,
)

DeliveryKey = tuple[str, UUID]


@dataclass(slots=True)
class Aim:
    """A mark, and the items that it is about."""

    mark: Mark
    ids: Sequence[UUID] | None
    upto: int
    """Without `ids`: all items that appeared with this version or an earlier one."""
    position: int
    """The same for shared items."""

    @classmethod
    def of(cls, mark: Mark, head: Head | None) -> Aim:
        """Aim a mark, by the head as it was before anything was locked.

        All there is: as of then, not as of when the head gets locked. What appears in between is left alone, with its
        deliveries, which were not there to be locked.
        """
        if not mark.selection.all:
            return cls(mark, mark.selection.ids, 0, 0)
        through = mark.selection.through
        if head is None or (through is not None and through.epoch != head.epoch):
            return cls(mark, None, 0, 0)
        if through is None:
            return cls(mark, None, head.version, head.position)
        return cls(mark, None, min(head.version, through.version), min(head.position, through.position))

    def meant(self, items: Mapping[UUID, HeldItem]) -> Iterator[HeldItem]:
        """Pick its items from those of its inbox."""
        if self.ids is None:
            yield from (item for item in items.values() if item.since <= self.upto)
        else:
            yield from (items[identifier] for identifier in self.ids if identifier in items)

    def covered(self) -> sa.ColumnElement[bool]:
        """Test whether an item is meant by one that is about all."""
        return sa.and_(
            inbox_items.c.tenant == self.mark.key.tenant,
            inbox_items.c.user_id == self.mark.key.user,
            inbox_items.c.state == int(ItemState.LIVE),
            inbox_items.c.since <= self.upto,
        )

    def differs(self) -> sa.ColumnElement[bool]:
        """Test whether the mark changes an item."""
        if self.mark.action is MarkAction.SNOOZE:
            return inbox_items.c.snoozed_until.is_distinct_from(self.mark.until)
        return sa.or_(
            *(inbox_items.c[name].is_(None) for name in self.mark.effect.once),
            *(inbox_items.c[name].is_not(None) for name in self.mark.effect.clear),
        )


def _keys(aims: Sequence[Aim]) -> Iterator[tuple[str, str, UUID, Mark, int]]:
    """List the items that are aimed at by id, with the mark and the number of the aim."""
    for number, aim in enumerate(aims):
        for identifier in aim.ids or ():
            yield (*aim.mark.key, identifier, aim.mark, number)


async def narrow_delivered(connection: AsyncConnection, aims: Sequence[Aim]) -> None:
    """Narrow aims of DELIVERED to the items where it is worth storing: a step of theirs is cancelled by it."""
    tracking = [aim for aim in aims if aim.mark.action is MarkAction.DELIVERED]
    found: defaultdict[int, list[UUID]] = defaultdict(list)
    keys = [(tenant, user, identifier, number) for tenant, user, identifier, _, number in _keys(tracking)]
    for query in (_UNDELIVERED, _UNDELIVERED_SHARED):
        for row in await query.rows(connection, keys):
            if _tracks_delivered(row.plan):
                found[row.number].append(id_of(row.id))
    for number, aim in enumerate(tracking):
        if aim.ids is None:
            found[number] = await _tracked_of_all(connection, aim)
        aim.ids = found[number]


async def _tracked_of_all(connection: AsyncConnection, aim: Aim) -> list[UUID]:
    """Find the same of all items, own and shared."""
    own = sa.select(inbox_items.c.notification_id).where(aim.covered(), aim.differs())
    ids = list((await connection.execute(own)).scalars())
    if aim.position:
        shared = await live_between(connection, aim.mark.key, 0, aim.position)
        ids += [row.notification_id for row in shared]
    rows = await _PLANS.rows(connection, [(aim.mark.key.tenant, identifier) for identifier in ids])
    return [id_of(row.id) for row in rows if _tracks_delivered(row.plan)]


def _tracks_delivered(plan: str) -> bool:
    return any(step.unless is Rung.DELIVERED for step in plan_of(plan))


async def lock_needless(connection: AsyncConnection, aims: Sequence[Aim]) -> Mapping[DeliveryKey, Mark]:
    """Lock the queued deliveries that marks make needless, in order; returns for each the first mark that does."""
    climbing = [aim for aim in aims if aim.mark.effect.rung is not Rung.NONE]
    keys = [(*key, int(mark.effect.rung), number) for *key, mark, number in _keys(climbing)]
    found = [(row.number, (row.tenant, id_of(row.id))) for row in await _NEEDLESS.rows(connection, keys)]
    for number, aim in enumerate(climbing):
        if aim.ids is None:
            found += [(number, (row.tenant, row.id)) for row in await connection.execute(_needless_of_all(aim))]
    first = {key: climbing[number].mark for number, key in sorted(found, reverse=True)}
    locked = await _LOCK.rows(connection, sorted(first))
    queued = [(row.tenant, id_of(row.id)) for row in locked if row.state == DeliveryState.QUEUED.value]
    return {key: first[key] for key in queued}


def _needless_of_all(aim: Aim) -> sa.Select[tuple[str, UUID]]:
    item_of_delivery = sa.and_(
        inbox_items.c.tenant == deliveries.c.tenant,
        inbox_items.c.user_id == deliveries.c.user_id,
        inbox_items.c.notification_id == deliveries.c.notification_id,
    )
    shared_of_delivery = sa.and_(
        shared_log.c.tenant == deliveries.c.tenant,
        shared_log.c.notification_id == deliveries.c.notification_id,
        shared_log.c.kind == int(LogKind.ITEM),
        shared_log.c.position <= aim.position,
    )
    return sa.select(deliveries.c.tenant, deliveries.c.id).where(
        deliveries.c.tenant == aim.mark.key.tenant,
        deliveries.c.user_id == aim.mark.key.user,
        deliveries.c.state == sa.literal_column("'queued'"),  # in the text, so that the partial index applies
        deliveries.c.unless.between(int(Rung.DELIVERED), int(aim.mark.effect.rung)),
        sa.or_(
            _looked_up(inbox_items.c.version, item_of_delivery, aim.covered()),
            _looked_up(shared_log.c.position, shared_of_delivery),
        ),
    )


def _looked_up(column: sa.Column[int], *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Test whether there is a row; one after the other, where PostgreSQL would read a whole log for an EXISTS."""
    return sa.select(column).where(*conditions).limit(1).scalar_subquery().is_not(None)


async def held_items(
    connection: AsyncConnection, aims: Sequence[Aim], is_shared: Callable[[InboxKey, UUID], bool]
) -> Mapping[InboxKey, dict[UUID, HeldItem]]:
    """Read the own items that marks may change, of inboxes whose heads are locked.

    For a mark of all that leaves out what it would not change: unless another mark aims at it too, it stays so.
    """
    keys = {(tenant, user, identifier) for tenant, user, identifier, _, _ in _keys(aims)}
    own = [key for key in keys if not is_shared(InboxKey(*key[:2]), key[2])]
    rows: list[Row] = list(await _ITEMS.rows(connection, sorted(own)))
    for aim in aims:
        if aim.ids is None:
            rows += (await connection.execute(sa.select(*_HELD).where(aim.covered(), aim.differs()))).all()
    held: defaultdict[InboxKey, dict[UUID, HeldItem]] = defaultdict(dict)
    for row in rows:
        identifier = id_of(row.notification_id)
        state = (getattr(row, name) for name in HeldItem.COLUMNS)
        held[InboxKey(row.tenant, row.user_id)].setdefault(identifier, HeldItem(identifier, *state))
    return held
