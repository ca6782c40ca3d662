"""Looking deliveries up: always along an index, and never at more than a bounded number of them.

A *walk* is an order that an index has, with the part of it that the question leaves. What the question says beyond
that is tested on the first `LOOKED_AT` deliveries of the walk: a page may come out short, and tells where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import InvalidRequest
from hub.core.model import Channel, DeliveryState
from hub.core.model.queues import DeliveryFilter, DeliveryPage, Place
from hub.store.delivery_sql import LANES, in_state, number, queued_in
from hub.store.rows import Row, delivery_of
from hub.store.tables import deliveries

LOOKED_AT = 2_000
"""Deliveries that one page looks at."""

_Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Branch:
    """A part of a walk that has an index to itself."""

    conditions: Sequence[_Condition]
    keys: Sequence[sa.Column[Any]]
    """What the index has its rows ordered by, after what `conditions` hold fixed."""
    rank: int = 0
    """Branches of a lower rank come first as a whole; those of one rank are merged."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Branches in one order, and the conditions that no index helps with."""

    name: str
    branches: Sequence[Branch]
    wanted: DeliveryFilter
    """What is left of the question: no index helps with it."""
    descending: bool = False

    def rest(self, rows: sa.FromClause) -> list[_Condition]:
        """Ask of selected rows what the walk does not see to by itself."""
        wanted, of = self.wanted, rows.c
        equal = (
            (of.state, wanted.state and wanted.state.value),
            (of.channel, wanted.channel and wanted.channel.value),
            (of.notification_id, wanted.notification),
            (of.provider, wanted.provider),
        )
        conditions = [column == value for column, value in equal if value is not None]
        if wanted.reason is not None:
            conditions.append(of.reason.icontains(wanted.reason, autoescape=True))
        conditions += _between(of.created_at, wanted.created_after, wanted.created_before)
        return conditions + _between(of.finished_at, wanted.ended_after, wanted.ended_before)

    def rows(self, after: Place | None, limit: int) -> sa.Subquery:
        """Select the first deliveries of the walk, with their keys as `rank`, `key_0` and so on."""
        steps = [step for branch in self.branches if (step := self._step(branch, after, limit)) is not None]
        order = self._order([sa.column("rank"), *(sa.column(f"key_{i}") for i, _ in enumerate(self.branches[0].keys))])
        return sa.union_all(*steps).order_by(*order).limit(limit).subquery("walk")

    def order(self, rows: sa.Subquery) -> list[sa.ColumnElement[Any]]:
        """Return what puts selected rows into the walk's order."""
        return self._order([column for column in rows.c if column.name == "rank" or column.name.startswith("key_")])

    def place(self, row: Row) -> Place:
        """Return where a row stands in the walk."""
        keys = [getattr(row, f"key_{i}") for i, _ in enumerate(self.branches[0].keys)]
        return (self.name, row.rank, *(key.hex if isinstance(key, UUID) else key for key in keys))

    def _step(self, branch: Branch, after: Place | None, limit: int) -> Any:
        conditions = list(branch.conditions)
        if after is not None:
            rank, *values = _checked(self, after)
            if branch.rank < rank:
                return None
            if branch.rank == rank:
                conditions.append(self._beyond(branch, values))
        labelled = [key.label(f"key_{i}") for i, key in enumerate(branch.keys)]
        order = self._order(list(branch.keys))
        step = sa.select(deliveries, number(branch.rank).label("rank"), *labelled).where(*conditions)
        return sa.select(step.order_by(*order).limit(limit).subquery())

    def _beyond(self, branch: Branch, values: Sequence[Any]) -> _Condition:
        keys = sa.tuple_(*branch.keys)
        place = sa.tuple_(*(sa.literal(value, key.type) for value, key in zip(values, branch.keys, strict=True)))
        return keys < place if self.descending else keys > place

    def _order(self, columns: Sequence[sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
        return [column.desc() if self.descending else column.asc() for column in columns]


def _checked(walk: Walk, after: Place) -> list[Any]:
    """Read a place of this walk.

    Raises:
        InvalidRequest: it is of another walk, or of none.

    """
    name, *values = after
    kinds = [int, *(key.type.python_type for key in walk.branches[0].keys)]
    if name != walk.name or len(values) != len(kinds):
        raise InvalidRequest("is the `next` of another search", pointer="after")
    try:
        return [_key(kind, value) for kind, value in zip(kinds, values, strict=True)]
    except ValueError:
        raise InvalidRequest("is the `next` of another search", pointer="after") from None


def _key(kind: type, value: int | str) -> int | str | UUID:
    if kind is UUID:
        return UUID(hex=str(value))
    if type(value) is not kind or (isinstance(value, int) and not 0 <= value < 2**53):
        raise ValueError
    return value


def walk_of(tenant: str, wanted: DeliveryFilter, *, oldest_first: bool = False) -> Walk:
    """Choose the walk that leaves least to be looked at.

    * of a user, or of a notification: theirs;
    * `queued` and `sending`: in the order in which they are due;
    * `failed`: the latest first (or, for a replay, the oldest);
    * anything else: all deliveries of the tenant, the newest first.
    """
    if wanted.user is not None:
        return _of_user(tenant, wanted, wanted.user)
    if wanted.notification is not None:
        return _of_notification(tenant, wanted, wanted.notification)
    match wanted.state:
        case DeliveryState.QUEUED:
            return _queued(tenant, wanted)
        case DeliveryState.SENDING:
            here = (deliveries.c.tenant == tenant, in_state(deliveries, DeliveryState.SENDING))
            keys = (deliveries.c.due_at, deliveries.c.id)
            return Walk("sending", [Branch(here, keys)], replace(wanted, state=None))
        case DeliveryState.FAILED:
            return _dead(tenant, wanted, oldest_first=oldest_first)
        case _:
            return _all(tenant, wanted)


def _of_user(tenant: str, wanted: DeliveryFilter, user: str) -> Walk:
    here = [deliveries.c.tenant == tenant, deliveries.c.user_id == user]
    if wanted.notification is not None:
        here.append(deliveries.c.notification_id == wanted.notification)
    branch = Branch(here, (deliveries.c.notification_id, deliveries.c.id))
    return Walk("user", [branch], replace(wanted, notification=None), descending=True)


def _of_notification(tenant: str, wanted: DeliveryFilter, notification: UUID) -> Walk:
    """Walk along the recipients: each kind of them has an index of its own, and a shared one has millions."""
    here = (deliveries.c.tenant == tenant, deliveries.c.notification_id == notification)
    kinds = (deliveries.c.user_id, deliveries.c.address)
    branches = [
        Branch((*here, recipient.is_not(None)), (recipient, deliveries.c.step), rank)
        for rank, recipient in enumerate(kinds)
    ]
    return Walk("notification", branches, replace(wanted, notification=None))


def _queued(tenant: str, wanted: DeliveryFilter) -> Walk:
    lanes = [lane for lane in LANES if wanted.channel in {None, lane.channel}]
    keys = (deliveries.c.due_at, deliveries.c.id)
    branches = [Branch((queued_in(deliveries, lane), deliveries.c.tenant == tenant), keys) for lane in lanes]
    return Walk("queued", branches, replace(wanted, state=None, channel=None))


def _dead(tenant: str, wanted: DeliveryFilter, *, oldest_first: bool) -> Walk:
    channels = [channel for channel in Channel if wanted.channel in {None, channel}]
    ended = _between(deliveries.c.finished_at, wanted.ended_after, wanted.ended_before)
    branches = [
        Branch(
            (
                in_state(deliveries, DeliveryState.FAILED),
                deliveries.c.channel == sa.literal_column(f"'{channel.value}'"),
                deliveries.c.tenant == tenant,
                *ended,
            ),
            (deliveries.c.finished_at, deliveries.c.id),
        )
        for channel in channels
    ]
    name = "dead, oldest first" if oldest_first else "dead"
    rest = replace(wanted, state=None, channel=None, ended_after=None, ended_before=None)
    return Walk(name, branches, rest, descending=not oldest_first)


def _all(tenant: str, wanted: DeliveryFilter) -> Walk:
    """Walk along the ids, which begin with the time when they were made."""
    here = [deliveries.c.tenant == tenant]
    if wanted.created_after is not None:
        here.append(deliveries.c.id >= UUID(int=wanted.created_after << 80))
    if wanted.created_before is not None:
        here.append(deliveries.c.id < UUID(int=wanted.created_before << 80))
    return Walk("all", [Branch(here, (deliveries.c.id,))], wanted, descending=True)


def _between(column: sa.ColumnElement[Any], start: int | None, end: int | None) -> list[_Condition]:
    conditions: list[_Condition] = [] if start is None else [column >= start]
    return conditions if end is None else [*conditions, column < end]


async def find(
    connection: AsyncConnection, tenant: str, wanted: DeliveryFilter, after: Place | None, limit: int
) -> DeliveryPage:
    """Read a page; see `QueueControl.find`."""
    walk = walk_of(tenant, wanted)
    looked_at = LOOKED_AT if walk.rest(deliveries) else limit + 1
    rows = walk.rows(after, looked_at)
    page = sa.select(rows).where(*walk.rest(rows)).order_by(*walk.order(rows)).limit(limit + 1)
    found = (await connection.execute(page)).all()
    made = [delivery_of(row) for row in found[:limit]]
    if len(found) > limit:
        return DeliveryPage(made, walk.place(found[limit - 1]))
    if looked_at == limit + 1:
        return DeliveryPage(made, None)
    last = sa.select(rows).order_by(*walk.order(rows)).offset(looked_at - 1).limit(1)
    end = (await connection.execute(last)).first()
    return DeliveryPage(made, None if end is None else walk.place(end))
