"""SQL that everything about deliveries shares: which recipient's item a delivery looks at, and what it says.

The words `'queued'` and `'sending'` are written into the statements instead of being bound: only then does the
planner see that a partial index applies, even in a plan made without looking at parameters. The same goes for
`position`, which tells the deliveries of shared audiences from direct ones: each kind has its own index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Integer,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    true,
    tuple_,
)

from hub.core.model import Channel, DeliveryState, ItemState, Priority, Rung
from hub.ports import Lane
from hub.store.tables import deliveries, inbox_heads, inbox_items, notifications, shared_items, shared_log

LANES = tuple(
    Lane(channel, priority, shared) for shared in (False, True) for channel in Channel for priority in Priority
)

queue: FromClause = deliveries.alias("queue")
"""Deliveries, named apart from the `deliveries` that an enclosing UPDATE changes."""


def in_state(table: FromClause, state: DeliveryState) -> ColumnElement[bool]:
    """Compare a delivery's state with a word that stands in the statement itself."""
    return table.c.state == literal_column(f"'{state.value}'")


def of_kind(table: FromClause, *, shared: bool) -> ColumnElement[bool]:
    """Pick the deliveries of shared audiences, or the direct ones."""
    return table.c.position.is_not(None) if shared else table.c.position.is_(None)


def queued_in(table: FromClause, lane: Lane) -> ColumnElement[bool]:
    """Pick what waits in a lane that stands in the statement itself."""
    return and_(
        table.c.channel == literal_column(f"'{lane.channel.value}'"),
        table.c.priority == number(lane.priority),
        of_kind(table, shared=lane.shared),
        in_state(table, DeliveryState.QUEUED),
    )


def in_lane(table: FromClause, *, shared: bool) -> ColumnElement[bool]:
    """Pick what waits in a lane whose channel and priority are parameters (`in_channel`, `in_priority`)."""
    return and_(
        table.c.channel == bindparam("in_channel"),
        table.c.priority == bindparam("in_priority"),
        of_kind(table, shared=shared),
        in_state(table, DeliveryState.QUEUED),
    )


def number(value: int) -> ColumnElement[int]:
    """Write a number into the statement itself."""
    return literal_column(str(int(value)), Integer)


@dataclass(frozen=True, slots=True)
class Standing:
    """How to read in SQL how far a delivery's recipient has got with its notification."""

    joins: Sequence[tuple[FromClause, ColumnElement[bool]]]
    """What is joined, beside the notification, to tell."""
    rung: ColumnElement[int]
    has_item: ColumnElement[bool]
    """Whether the delivery answers to an item; addresses and notifications without inbox do not."""
    gone: ColumnElement[bool]
    """Whether what the delivery is about is no more: it was recalled, or the item or the notification is gone."""

    def source(self, table: FromClause = queue) -> FromClause:
        """Join deliveries (as `queue`) to their notifications, and to what says how far their recipients have got."""
        joined = table.outerjoin(
            notifications,
            and_(notifications.c.tenant == queue.c.tenant, notifications.c.id == queue.c.notification_id),
        )
        for other, condition in self.joins:
            joined = joined.outerjoin(other, condition)
        return joined

    @property
    def reached(self) -> ColumnElement[bool]:
        """Whether the recipient has got as far as the step's `unless`."""
        return and_(self.has_item, queue.c.unless > number(Rung.NONE), self.rung >= queue.c.unless)


def _rung(read: ColumnElement[bool], seen: ColumnElement[bool], delivered: ColumnElement[bool]) -> ColumnElement[int]:
    return case(
        (read, number(Rung.READ)),
        (seen, number(Rung.SEEN)),
        (delivered, number(Rung.DELIVERED)),
        else_=number(Rung.NONE),
    )


_recalled = or_(notifications.c.id.is_(None), notifications.c.recalled_at.is_not(None))
_direct_item = and_(queue.c.user_id.is_not(None), notifications.c.inbox.is_(True))

DIRECT = Standing(
    joins=[
        (
            inbox_items,
            and_(
                inbox_items.c.tenant == queue.c.tenant,
                inbox_items.c.user_id == queue.c.user_id,
                inbox_items.c.notification_id == queue.c.notification_id,
            ),
        )
    ],
    rung=_rung(
        inbox_items.c.read_at.is_not(None), inbox_items.c.seen_at.is_not(None), inbox_items.c.delivered_at.is_not(None)
    ),
    has_item=_direct_item,
    gone=or_(
        _recalled,
        and_(_direct_item, func.coalesce(inbox_items.c.state, number(ItemState.GONE)) == number(ItemState.GONE)),
    ),
)
"""By the recipient's own item."""


def _marked(position: ColumnElement[int], at: Column[int | None], mark: Column[int]) -> ColumnElement[bool]:
    """Tell whether an item of the shared log has a time: its row says so, and where there is none, the user's mark."""
    return or_(at.is_not(None), and_(shared_items.c.position.is_(None), position <= mark))


def shared_rung(position: ColumnElement[int]) -> ColumnElement[int]:
    """Tell how far a user has got with the item at a position, by their `shared_items` row and their `inbox_heads`."""
    item, head = shared_items.c, inbox_heads.c
    return _rung(
        _marked(position, item.read_at, head.read_mark),
        _marked(position, item.seen_at, head.seen_mark),
        item.delivered_at.is_not(None),
    )


SHARED = Standing(
    joins=[
        (shared_log, and_(shared_log.c.tenant == queue.c.tenant, shared_log.c.position == queue.c.position)),
        (inbox_heads, and_(inbox_heads.c.tenant == queue.c.tenant, inbox_heads.c.user_id == queue.c.user_id)),
        (
            shared_items,
            and_(
                shared_items.c.tenant == queue.c.tenant,
                shared_items.c.user_id == queue.c.user_id,
                shared_items.c.position == queue.c.position,
            ),
        ),
    ],
    rung=shared_rung(queue.c.position),
    has_item=true(),
    gone=or_(
        _recalled,
        inbox_heads.c.user_id.is_(None),
        shared_log.c.position.is_(None),
        shared_log.c.gone_at_position.is_not(None),
    ),
)
"""By the shared log, and the recipient's row of the item if they have touched it, or else their marks."""


def expired(now: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the notification's time has passed."""
    return and_(notifications.c.expires_at.is_not(None), notifications.c.expires_at <= now)


def same_row(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Join two views of deliveries on their key."""
    return and_(left.c.tenant == right.c.tenant, left.c.id == right.c.id)


def keyed(table: FromClause, keys: Any) -> ColumnElement[bool]:
    """Pick the deliveries with these `(tenant, id)` keys: a sequence, or a parameter that expands to one."""
    return tuple_(table.c.tenant, table.c.id).in_(keys)
