"""Returning what vanished workers held, and tidying away what nobody may send any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BindParameter,
    Text,
    Update,
    bindparam,
    case,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.ids import uuid7
from hub.core.model import Channel, DeliveryState, FailureKind, Rung
from hub.core.model.queues import EventKind
from hub.ports import Lane, Settlement
from hub.store.delivery_settle import settle
from hub.store.delivery_sql import (
    DIRECT,
    LANES,
    SHARED,
    Standing,
    expired,
    in_lane,
    in_state,
    queue,
    queued_in,
    same_row,
)
from hub.store.queue_pauses import lane_values, waiting
from hub.store.sql import insert_many
from hub.store.tables import deliveries
from hub.store.tables_queue import delivery_events

_now: BindParameter[int] = bindparam("now")

VANISHED = "The worker that held it did not come back in time; it may have been sent."


def _spent(table: Any) -> list[Any]:
    return [in_state(table, DeliveryState.SENDING), table.c.lease_until <= _now]


_returnable = (
    select(queue.c.tenant, queue.c.id)
    .where(*_spent(queue), queue.c.claims < bindparam("max_claims"))
    .order_by(queue.c.lease_until)
    .limit(bindparam("limit"))
    .with_for_update(of=queue, skip_locked=True)
    .cte("returnable")
)
return_due = (
    update(deliveries)
    .where(same_row(deliveries, _returnable))
    .values(state=DeliveryState.QUEUED.value, lease_until=null())
    .returning(deliveries.c.tenant, deliveries.c.id)
)

_exhausted = (
    select(deliveries.c.tenant, deliveries.c.id, deliveries.c.fence, deliveries.c.claims)
    .where(*_spent(deliveries), deliveries.c.claims >= bindparam("max_claims"))
    .order_by(deliveries.c.lease_until)
    .limit(bindparam("limit"))
)


def _head_of(lane: Lane) -> Any:
    """Select the first due rows of one lane, so that a long queue behind them costs nothing."""
    head = (
        select(deliveries.c.tenant, deliveries.c.id)
        .where(queued_in(deliveries, lane), deliveries.c.due_at <= _now)
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("limit"))
        .subquery()
    )
    return select(head.c.tenant, head.c.id)


def _word(text: str) -> Any:
    return literal_column(f"'{text}'", Text)


def _heads(*, shared: bool) -> Any:
    """Select the first due rows of every lane of a kind."""
    return union_all(*(_head_of(lane) for lane in LANES if lane.shared is shared)).cte("heads")


def _heads_of_tenant(*, shared: bool) -> Any:
    """Select the first due rows that one tenant has in one lane."""
    return (
        select(deliveries.c.tenant, deliveries.c.id)
        .where(
            in_lane(deliveries, shared=shared),
            deliveries.c.tenant == bindparam("of_tenant"),
            deliveries.c.due_at <= _now,
        )
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("limit"))
        .cte("heads")
    )


def _tidying(standing: Standing, heads: Any) -> Update:
    """Make the tidying of some due rows."""
    due = expired(_now)
    doomed = (
        select(
            queue.c.tenant,
            queue.c.id,
            case(
                (standing.reached, _word(DeliveryState.CANCELLED.value)),
                (due, _word(DeliveryState.EXPIRED.value)),
                else_=_word(DeliveryState.CANCELLED.value),
            ).label("ending"),
            case(
                (
                    standing.reached,
                    case(
                        (standing.rung == int(Rung.READ), _word("Read before it was sent.")),
                        (standing.rung == int(Rung.SEEN), _word("Seen before it was sent.")),
                        else_=_word("Arrived in the app before it was sent."),
                    ),
                ),
                (due, _word("The notification expired before this step was sent.")),
                else_=_word("The notification was withdrawn."),
            ).label("because"),
        )
        .select_from(standing.source(queue.join(heads, same_row(queue, heads))))
        .where(in_state(queue, DeliveryState.QUEUED), or_(standing.reached, standing.gone, due))
        .order_by(queue.c.tenant, queue.c.id)
        .limit(bindparam("limit"))
        .with_for_update(of=queue, skip_locked=True)
        .cte("doomed")
    )
    return (
        update(deliveries)
        .where(same_row(deliveries, doomed))
        .values(state=doomed.c.ending, reason=doomed.c.because, finished_at=_now)
    )


tidy_direct = _tidying(DIRECT, _heads(shared=False))
tidy_shared = _tidying(SHARED, _heads(shared=True))
tidy_direct_of_tenant = _tidying(DIRECT, _heads_of_tenant(shared=False))
tidy_shared_of_tenant = _tidying(SHARED, _heads_of_tenant(shared=True))


async def return_spent(connection: AsyncConnection, now: int, max_claims: int, limit: int) -> int:
    """Return deliveries whose lease ended to the queue, due when they were; returns how many.

    Whoever held one still has its old fence, but the delivery is not `sending` any more: nothing they settle is
    written, then or after the next claim.
    """
    rows = await connection.execute(return_due, {"now": now, "max_claims": max_claims, "limit": limit})
    events = [
        {
            "tenant": row.tenant,
            "delivery_id": row.id,
            "id": uuid7(now),
            "at": now,
            "kind": EventKind.RESCUED.value,
            "before": DeliveryState.SENDING.value,
            "after": DeliveryState.QUEUED.value,
            "reason": VANISHED,
        }
        for row in rows
    ]
    await insert_many(connection, delivery_events, events)
    return len(events)


async def fail_exhausted(connection: AsyncConnection, now: int, max_claims: int, limit: int) -> int:
    """Fail deliveries that outlived `max_claims` workers, and let the next step have its turn; returns how many."""
    rows = await connection.execute(_exhausted, {"now": now, "max_claims": max_claims, "limit": limit})
    settlements = [
        Settlement(
            delivery=row.id,
            tenant=row.tenant,
            fence=row.fence,
            state=DeliveryState.FAILED,
            reason=f"Given up: {row.claims} workers in a row vanished while sending it.",
            pull_next=True,
            failure=FailureKind.CRASHED,
        )
        for row in rows
    ]
    return len(await settle(connection, settlements, now, spent=True))


async def tidy(connection: AsyncConnection, now: int, limit: int) -> None:
    """End due deliveries that no claim will ever take: cancelled by their rung, withdrawn, or expired.

    Looks at the first `limit` due rows of each lane: rows further back hold nobody up.
    """
    for tidying in (tidy_direct, tidy_shared):
        await connection.execute(tidying, {"now": now, "limit": limit})


async def tidy_by_tenant(connection: AsyncConnection, now: int, limit: int, channels: Collection[Channel]) -> None:
    """Do the same for those who share these channels with a tenant that has paused: its rows may fill the heads."""
    for lane in LANES:
        if lane.channel in channels:
            tidying = tidy_shared_of_tenant if lane.shared else tidy_direct_of_tenant
            for tenant, due_at in await waiting(connection, lane):
                if due_at <= now:
                    values = {**lane_values(lane), "of_tenant": tenant, "now": now, "limit": limit}
                    await connection.execute(tidying, values)
