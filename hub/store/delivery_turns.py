"""The next step's turn: what a delivery that cannot be sent pulls forward.

A direct recipient has a row for every step; one of a shared audience has rows only of the steps that were
expanded already. A step that comes next and has no row yet gets it now, and its expansion later finds it there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.expansion import following, passed_over
from hub.core.ids import uuid7
from hub.core.model import DeliveryState, InboxKey, LogKind, Rung, Step
from hub.store.bulk import Bulk
from hub.store.delivery_sql import SHARED, in_state, keyed, of_kind, queue
from hub.store.keyed import KeyedQuery
from hub.store.rows import Values, id_of, plan_of
from hub.store.tables import deliveries, notifications

_READ = "The user read it before it was due."

Key = tuple[str, UUID]
"""Tenant and id of a delivery."""

_mine = deliveries.alias("mine")
_other = deliveries.alias("other")


def _steps_of_recipient(column: str) -> Any:
    """Select every step of the recipients of some deliveries; one query a kind of recipient, so an index fits."""
    return (
        select(
            _mine.c.id.label("settled"),
            _mine.c.step.label("settled_step"),
            _mine.c.position,
            _other.c.tenant,
            _other.c.id,
            _other.c.step,
            _other.c.state,
            notifications.c.plan,
        )
        .select_from(_mine)
        .join(
            _other,
            and_(
                _other.c.tenant == _mine.c.tenant,
                _other.c.notification_id == _mine.c.notification_id,
                _other.c[column] == _mine.c[column],
            ),
        )
        .join(
            notifications,
            and_(
                notifications.c.tenant == _mine.c.tenant,
                notifications.c.id == _mine.c.notification_id,
            ),
        )
        .where(keyed(_mine, bindparam("keys", expanding=True)))
    )


recipients_steps = union_all(_steps_of_recipient("user_id"), _steps_of_recipient("address"))

members = (
    select(
        queue.c.tenant,
        queue.c.id,
        queue.c.notification_id,
        queue.c.user_id,
        queue.c.position,
        queue.c.priority,
        SHARED.rung.label("rung"),
    )
    .select_from(SHARED.source())
    .where(keyed(queue, bindparam("keys", expanding=True)), of_kind(queue, shared=True), ~SHARED.gone)
)

_pull = (
    update(deliveries)
    .where(
        deliveries.c.tenant == bindparam("in_tenant"),
        deliveries.c.id == bindparam("pulled"),
        in_state(deliveries, DeliveryState.QUEUED),
        deliveries.c.fence == 0,  # never claimed: a retry keeps its time
        deliveries.c.due_at > bindparam("now"),
    )
    .values(due_at=bindparam("now"))
)


@dataclass(slots=True)
class _Case:
    """A delivery that pulls, with what is known of its recipient's steps."""

    step: int
    """That of the delivery itself."""
    plan: Sequence[Step]
    rows: dict[int, Key] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    shared: bool = False
    member: SharedRecipient | None = None
    """Of a shared audience, unless the notification is gone."""
    rung: Rung = Rung.NONE
    """The member's."""

    def turn(self) -> Sequence[int]:
        """Return the steps whose turn comes next.

        Cancelled ones are passed over, and so is what would be cancelled if it were there. A next step that has
        begun ends the search (it keeps its time, see `_pull`): if it fails, it pulls its own successor.
        """
        missing = {number for number in range(len(self.plan)) if number not in self.rows}
        if self.member is not None:
            missing = {number for number in missing if passed_over(self.plan[number], self.rung)}
        return following(self.plan, self.step, frozenset(self.cancelled | missing))


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes next for one recipient: deliveries to be pulled forward, and those to be made."""

    pulled: Sequence[Key]
    made: Sequence[Values]


async def next_turns(connection: AsyncConnection, keys: Collection[Key], now: int) -> Mapping[Key, Turn]:
    """Work out whose turn comes after each of these deliveries (read without locks)."""
    if not keys:
        return {}
    cases: dict[Key, _Case] = {}
    for row in await connection.execute(recipients_steps, {"keys": sorted(keys)}):
        plan = plan_of(row.plan)
        if max(row.step, row.settled_step) >= len(plan):
            continue  # an address without a plan of its own: one delivery at once, and nothing after it
        case = cases.setdefault((row.tenant, row.settled), _Case(row.settled_step, plan))
        case.shared = row.position is not None
        case.rows[row.step] = (row.tenant, row.id)
        if row.state == DeliveryState.CANCELLED.value:
            case.cancelled.add(row.step)
    shared = sorted(key for key, case in cases.items() if case.shared)
    if shared:
        for row in await connection.execute(members, {"keys": shared}):
            case = cases[row.tenant, row.id]
            case.rung = Rung(row.rung)
            case.member = SharedRecipient(row.tenant, row.notification_id, row.position, row.user_id, row.priority)
    return {key: _turn(case, now) for key, case in cases.items()}


def _turn(case: _Case, now: int) -> Turn:
    steps = case.turn()
    return Turn(
        pulled=[case.rows[number] for number in steps if number in case.rows],
        made=[
            shared_delivery(case.member, case.plan, number, now)
            for number in steps
            if case.member is not None and number not in case.rows
        ],
    )


class SharedRecipient(NamedTuple):
    """One of a shared audience."""

    tenant: str
    notification: UUID
    position: int
    """Of the notification's item in the tenant's log."""
    user: str
    priority: int


def shared_delivery(recipient: SharedRecipient, plan: Sequence[Step], number: int, now: int) -> Values:
    """Write a delivery of a step for one of a shared audience, due now."""
    step = plan[number]
    return {
        "tenant": recipient.tenant,
        "id": uuid7(now),
        "notification_id": recipient.notification,
        "user_id": recipient.user,
        "position": recipient.position,
        "step": number,
        "channel": step.channel.value,
        "priority": int(recipient.priority),
        "unless": int(step.unless),
        "when": step.when.value,
        "state": DeliveryState.QUEUED.value,
        "due_at": now,
        "created_at": now,
    }


async def make_shared(connection: AsyncConnection, rows: Iterable[Values]) -> None:
    """Insert deliveries of shared audiences, where the member has none of that step.

    In the order of their unique key: whoever else is inserting some of them is waited for, never in a circle.
    """
    ordered = sorted(rows, key=lambda row: (row["tenant"], row["notification_id"], row["user_id"], row["step"]))
    bulk = Bulk(connection)
    bulk.insert_where_free(deliveries, ordered)
    await bulk.write()


async def take_turns(connection: AsyncConnection, turns: Sequence[Turn], now: int) -> None:
    """Pull the next steps forward, and make those that are not there yet; their rows must be locked."""
    pulled = sorted({key for turn in turns for key in turn.pulled})
    if pulled:
        values = [{"in_tenant": tenant, "pulled": delivery, "now": now} for tenant, delivery in pulled]
        await connection.execute(_pull, values)
    await make_shared(connection, [row for turn in turns for row in turn.made])


_PLANS = KeyedQuery(
    "notifications.id, notifications.plan, notifications.priority, shared_log.position",
    "notifications CROSS JOIN shared_log WHERE notifications.tenant = wanted.tenant AND notifications.id = wanted.id "
    "AND shared_log.tenant = wanted.tenant AND shared_log.notification_id = wanted.id "
    f"AND shared_log.kind = {int(LogKind.ITEM)}",
    {"tenant": "text", "id": "uuid"},
)


async def stay_cancelled(connection: AsyncConnection, key: InboxKey, unread: Collection[UUID], now: int) -> None:
    """Keep the steps cancelled that somebody had read a shared notification in time for, though it is unread now.

    A direct delivery was cancelled as it was read. One that was not made yet is stored as cancelled, so that its
    expansion finds it there. Only what is unread again needs it: no other rung is ever lost.
    """
    rows = await _PLANS.rows(connection, sorted((key.tenant, notification) for notification in unread))
    await make_shared(
        connection,
        [
            shared_delivery(
                SharedRecipient(key.tenant, id_of(row.id), row.position, key.user, row.priority),
                plan_of(row.plan),
                step,
                now,
            )
            | {"state": DeliveryState.CANCELLED.value, "reason": _READ, "finished_at": now}
            for row in rows
            for step, each in enumerate(plan_of(row.plan))
            if each.unless is Rung.READ
        ],
    )
