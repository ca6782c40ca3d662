"""SQL that everything about deliveries shares: which recipient's item a delivery looks at, and what it says.

The words `'queued'` and `'sending'` are written into the statements instead of being bound: only then does the
planner see that a partial index applies, even in a plan made without looking at parameters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    and_,
    case,
    func,
    literal_column,
    or_,
    tuple_,
)

from hub.core.model import DeliveryState, ItemState, Rung
from hub.store.tables import deliveries, inbox_items, notifications

queue: FromClause = deliveries.alias("queue")
"""Deliveries, named apart from the `deliveries` that an enclosing UPDATE changes."""


def in_state(table: FromClause, state: DeliveryState) -> ColumnElement[bool]:
    """Compare a delivery's state with a word that stands in the statement itself."""
    return table.c.state == literal_column(f"'{state.value}'")


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(int(value)), Integer)


rung: ColumnElement[int] = case(
    (inbox_items.c.read_at.is_not(None), _number(Rung.READ)),
    (inbox_items.c.seen_at.is_not(None), _number(Rung.SEEN)),
    (inbox_items.c.delivered_at.is_not(None), _number(Rung.DELIVERED)),
    else_=_number(Rung.NONE),
)
"""How far the recipient has got, by their item."""

has_item: ColumnElement[bool] = and_(queue.c.user_id.is_not(None), notifications.c.inbox.is_(True))
"""Whether the delivery answers to an item; addresses and notifications without inbox do not."""

reached: ColumnElement[bool] = and_(has_item, queue.c.unless > _number(Rung.NONE), rung >= queue.c.unless)
"""Whether the recipient has got as far as the step's `unless`."""

gone: ColumnElement[bool] = or_(
    notifications.c.id.is_(None),
    notifications.c.recalled_at.is_not(None),
    and_(has_item, func.coalesce(inbox_items.c.state, _number(ItemState.GONE)) == _number(ItemState.GONE)),
)
"""Whether what the delivery is about is no more: recalled, the item a tombstone, or it or the notification erased."""


def with_item(table: FromClause = queue) -> FromClause:
    """Join deliveries (as `queue`) to their notifications and to their recipients' items, where they have them."""
    return table.outerjoin(
        notifications,
        and_(
            notifications.c.tenant == queue.c.tenant,
            notifications.c.id == queue.c.notification_id,
        ),
    ).outerjoin(
        inbox_items,
        and_(
            inbox_items.c.tenant == queue.c.tenant,
            inbox_items.c.user_id == queue.c.user_id,
            inbox_items.c.notification_id == queue.c.notification_id,
        ),
    )


def expired(now: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the notification's time has passed."""
    return and_(notifications.c.expires_at.is_not(None), notifications.c.expires_at <= now)


def same_row(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Join two views of deliveries on their key."""
    return and_(left.c.tenant == right.c.tenant, left.c.id == right.c.id)


def keyed(table: FromClause, keys: Any) -> ColumnElement[bool]:
    """Pick the deliveries with these `(tenant, id)` keys: a sequence, or a parameter that expands to one."""
    return tuple_(table.c.tenant, table.c.id).in_(keys)
