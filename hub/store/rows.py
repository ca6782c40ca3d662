"""Rows to models and back, in one place. Each `…_of` reads columns by the names that `tables` gives them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import sqlalchemy as sa

from hub.core.cursor import epoch_of
from hub.core.model import (
    Attempt,
    Channel,
    Contact,
    Content,
    Counts,
    Delivery,
    DeliveryState,
    Device,
    Head,
    Item,
    ItemState,
    NewDelivery,
    Priority,
    Rung,
    Step,
    When,
)
from hub.store.shared_sql import LogView
from hub.store.tables import inbox_items, notifications

M = TypeVar("M")
E = TypeVar("E", bound=Enum)

Row = sa.Row[Any]
Values = dict[str, Any]

ITEM_COLUMNS = (
    inbox_items.c.user_id,
    inbox_items.c.version,
    inbox_items.c.since,
    inbox_items.c.state,
    inbox_items.c.appeared_at,
    inbox_items.c.delivered_at,
    inbox_items.c.seen_at,
    inbox_items.c.read_at,
    inbox_items.c.archived_at,
    inbox_items.c.snoozed_until,
)
"""What an item adds to its notification's columns; their names do not collide."""

items_with_content = inbox_items.join(
    notifications,
    sa.and_(notifications.c.tenant == inbox_items.c.tenant, notifications.c.id == inbox_items.c.notification_id),
)


class HeadRow(NamedTuple):
    """What `head_of` reads, where it comes with columns of others."""

    epoch: str
    version: int
    floor: int
    unread_count: int
    unseen_count: int
    shared_unread: int
    shared_unseen: int
    log: str


def id_of(value: Any) -> UUID:
    """Read an id, however the driver gives it."""
    return value if isinstance(value, UUID) else UUID(value)


class Reader(Generic[M]):
    """Makes models of rows whose columns are called like the model's fields, or as `named` says.

    The columns' places are looked up once for all rows of a result: to find a value by its column's name takes longer
    than all else that is done with it here.
    """

    def __init__(
        self,
        model: Callable[..., M],
        *,
        named: Mapping[str, str] | None = None,
        reads: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        """Name the columns, and by `reads` how a field's value is made of its column's, where it is another."""
        names = list(inspect.signature(model).parameters)
        self._model = model
        self._columns = [(named or {}).get(name, name) for name in names]
        self._reads = [(names.index(name), read) for name, read in (reads or {}).items()]
        self._picks: dict[tuple[str, ...], Callable[[Row], tuple[Any, ...]]] = {}

    def __call__(self, row: Row) -> M:
        """Read one row."""
        return self.all([row])[0]

    def all(self, rows: Sequence[Row]) -> list[M]:
        """Read rows, all of one result."""
        if not rows:
            return []
        pick = self._pick(rows[0]._fields)
        return [self._made(list(pick(row))) for row in rows]

    def _pick(self, columns: tuple[str, ...]) -> Callable[[Row], tuple[Any, ...]]:
        if columns not in self._picks:
            self._picks[columns] = itemgetter(*map(columns.index, self._columns))
        return self._picks[columns]

    def _made(self, values: list[Any]) -> M:
        for place, read in self._reads:
            values[place] = read(values[place])
        return self._model(*values)


def member_of(of: type[E]) -> Callable[[Any], E]:
    """Return what finds an enumeration's member by its value, sooner than the enumeration itself does."""
    return {member.value: member for member in of}.__getitem__


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


@lru_cache(maxsize=1_000)
def plan_of(text: str) -> tuple[Step, ...]:
    """Read what `plan_text` wrote."""
    return tuple(
        Step(Channel(channel), after, Rung(unless), When(when)) for channel, after, unless, when in json.loads(text)
    )


content_of = Reader(
    Content,
    reads={
        "id": id_of,
        "data": _encoded,
        "actor": _encoded,
        "priority": member_of(Priority),
        "inbox": bool,
        "plan": plan_of,
    },
)
"""Reads `notifications`, with SQLAlchemy's types or as the driver gives it."""
contact_of = Reader(Contact, named={"user": "user_id"})
"""Reads `users`."""
device_of = Reader(Device, named={"user": "user_id"})
attempt_of = Reader(Attempt, named={"delivery": "delivery_id"})
delivery_of = Reader(
    Delivery,
    named={"notification": "notification_id", "user": "user_id"},
    reads={
        "channel": member_of(Channel),
        "priority": member_of(Priority),
        "unless": member_of(Rung),
        "when": member_of(When),
        "state": member_of(DeliveryState),
    },
)


def content_values(content: Content, audience: str | None) -> Values:
    """Write a row of `notifications`; `audience` is that of its `Publication`."""
    return {
        "tenant": content.tenant,
        "id": content.id,
        "category": content.category,
        "title": content.title,
        "body": content.body,
        "action_url": content.action_url,
        "data": None if content.data is None else content.data.decode(),
        "actor": None if content.actor is None else content.actor.decode(),
        "priority": int(content.priority),
        "inbox": content.inbox,
        "plan": plan_text(content.plan),
        "audience": int(audience is not None),
        "topic": audience,
        "collapse_key": content.collapse_key,
        "created_at": content.created_at,
        "deliver_at": content.deliver_at,
        "expires_at": content.expires_at,
    }


_NO_PLAN = "[]"


def plan_text(plan: tuple[Step, ...]) -> str:
    """Write a plan as JSON: `[[channel, after, unless, when], …]`."""
    if not plan:
        return _NO_PLAN
    return json.dumps([[step.channel.value, step.after, int(step.unless), step.when.value] for step in plan])


def item_of(row: Row, position: int = 0) -> Item:
    """Read a row with the columns of `notifications` and `ITEM_COLUMNS`; `position`: a shared item's."""
    return Item(
        content=content_of(row),
        version=row.version,
        since=row.since,
        state=ItemState(row.state),
        appeared_at=row.appeared_at,
        seen_at=row.seen_at,
        read_at=row.read_at,
        archived_at=row.archived_at,
        snoozed_until=row.snoozed_until,
        position=position,
    )


def head_of(row: Row | HeadRow, cluster: str) -> Head:
    """Read a row of `inbox_heads`, with its `log_view` as `log`, of the database with this identity."""
    log = LogView.parse(row.log)
    return Head(
        epoch=epoch_of(cluster, row.epoch),
        version=row.version,
        floor=row.floor,
        counts=Counts(
            row.unread_count + row.shared_unread + log.unread, row.unseen_count + row.shared_unseen + log.unseen
        ),
        position=log.position,
    )


def delivery_values(delivery: NewDelivery, content: Content) -> Values:
    """Write a row of `deliveries` as it is first stored."""
    return {
        "tenant": content.tenant,
        "id": delivery.id,
        "notification_id": content.id,
        "user_id": delivery.user,
        "address": delivery.address,
        "step": delivery.step,
        "channel": delivery.channel.value,
        "priority": int(content.priority),
        "unless": int(delivery.unless),
        "when": delivery.when.value,
        "state": DeliveryState.QUEUED.value,
        "due_at": delivery.due_at,
        "created_at": content.created_at,
    }
