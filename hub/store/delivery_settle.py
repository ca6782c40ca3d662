"""Ending claims: the delivery's new state, its attempts, the recipient's next step, and devices that are gone.

Rows are locked in the order of their keys before anything is written, the next steps together with the
deliveries themselves, so that settlements never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, Row, and_, bindparam, case, delete, func, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState
from hub.ports import Settlement
from hub.store.delivery_sql import in_state, keyed
from hub.store.rows import plan_of
from hub.store.sql import insert_many
from hub.store.tables import attempts, deliveries, devices, notifications

_Key = tuple[str, UUID]

_held = (
    select(
        deliveries.c.tenant,
        deliveries.c.id,
        deliveries.c.state,
        deliveries.c.fence,
        deliveries.c.lease_until,
        deliveries.c.attempts,
    )
    .where(keyed(deliveries, bindparam("keys", expanding=True)))
    .order_by(deliveries.c.tenant, deliveries.c.id)
    .with_for_update()
)

_mine = deliveries.alias("mine")
_other = deliveries.alias("other")


def _steps_of_recipient(column: str) -> Any:
    """Select every step of the recipients of some deliveries; one query a kind of recipient, so an index fits."""
    return (
        select(
            _mine.c.id.label("settled"),
            _mine.c.step.label("settled_step"),
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

_settle = (
    update(deliveries)
    .where(deliveries.c.tenant == bindparam("in_tenant"), deliveries.c.id == bindparam("settled"))
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        lease_until=None,
        due_at=func.coalesce(bindparam("new_due_at"), deliveries.c.due_at),
        provider=func.coalesce(bindparam("new_provider"), deliveries.c.provider),
        provider_message_id=func.coalesce(bindparam("new_message_id"), deliveries.c.provider_message_id),
        attempts=deliveries.c.attempts + bindparam("calls"),
        # Whoever settles has not crashed. What is left to count are workers that vanish one after the other.
        claims=case((bindparam("returned", type_=Boolean), 0), else_=deliveries.c.claims),
        finished_at=bindparam("ended_at"),
    )
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

_forget_device = delete(devices).where(devices.c.tenant == bindparam("in_tenant"), devices.c.id == bindparam("device"))


async def settle(
    connection: AsyncConnection, settlements: Sequence[Settlement], now: int, *, spent: bool = False
) -> list[UUID]:
    """Write the settlements whose delivery is still theirs, and return those deliveries.

    `spent`: only those whose lease has ended by `now` (for the rescuer, which settles for a vanished worker).
    """
    wanted: dict[_Key, Settlement] = {}
    for settlement in settlements:
        _check(settlement)
        wanted.setdefault((settlement.tenant, settlement.delivery), settlement)
    if not wanted:
        return []
    following = await _following(connection, [key for key, settlement in wanted.items() if settlement.pull_next])
    pulled = {key for keys in following.values() for key in keys}
    locked = await connection.execute(_held, {"keys": sorted({*wanted, *pulled})})
    held = {(row.tenant, row.id): row for row in locked}
    ours = {
        key: settlement
        for key, settlement in wanted.items()
        if key in held and _is_ours(held[key], settlement, now, spent=spent)
    }
    if ours:
        await _write(connection, ours, now)
        await _record_attempts(connection, ours, {key: held[key].attempts + 1 for key in ours})
        await _pull_forward(connection, (key for own in ours for key in following.get(own, ())), now)
        await _forget_devices(connection, ours.values())
    return [delivery for _, delivery in ours]


def _check(settlement: Settlement) -> None:
    if settlement.state is DeliveryState.SENDING:
        raise ValueError("a settlement ends a claim; it cannot leave the delivery `sending`")
    if settlement.state is DeliveryState.QUEUED and settlement.due_at is None:
        raise ValueError("a delivery that goes back to the queue needs `due_at`")
    if settlement.attempts and settlement.provider_calls < 1:
        raise ValueError("attempts are numbered by `provider_calls`; there is at least one")


def _is_ours(row: Row[*tuple[Any, ...]], settlement: Settlement, now: int, *, spent: bool) -> bool:
    return (
        row.state == DeliveryState.SENDING.value
        and row.fence == settlement.fence
        and (not spent or row.lease_until <= now)
    )


class _Step(NamedTuple):
    """Another step of the same notification for the same recipient."""

    key: _Key
    after: int
    """Milliseconds from publish, by the plan: `due_at` moves with retries, this does not."""
    cancelled: bool


async def _following(connection: AsyncConnection, keys: Sequence[_Key]) -> Mapping[_Key, Sequence[_Key]]:
    """Work out which deliveries each of these would pull forward (read without locks)."""
    if not keys:
        return {}
    own: dict[_Key, int] = {}
    steps: dict[_Key, list[_Step]] = {}
    for row in await connection.execute(recipients_steps, {"keys": sorted(keys)}):
        settled = (row.tenant, row.settled)
        plan = plan_of(row.plan)
        if max(row.step, row.settled_step) >= len(plan):
            continue  # an address without a plan of its own: one delivery at once, and nothing after it
        own[settled] = plan[row.settled_step].after
        steps.setdefault(settled, []).append(
            _Step((row.tenant, row.id), plan[row.step].after, row.state == DeliveryState.CANCELLED.value)
        )
    return {settled: _next(own[settled], found) for settled, found in steps.items()}


def _next(after: int, steps: Sequence[_Step]) -> list[_Key]:
    """Pick the steps whose turn comes next: side by side if their `after` is equal.

    Cancelled steps are passed over. A next step that has begun already ends the search (it keeps its time, see
    `_pull`): if it fails, it pulls its own successor.
    """
    later = [step for step in steps if step.after > after and not step.cancelled]
    if not later:
        return []
    turn = min(step.after for step in later)
    return [step.key for step in later if step.after == turn]


async def _write(connection: AsyncConnection, ours: Mapping[_Key, Settlement], now: int) -> None:
    await connection.execute(
        _settle,
        [
            {
                "in_tenant": tenant,
                "settled": delivery,
                "new_state": settlement.state.value,
                "new_reason": _storable(settlement.reason),
                "new_due_at": settlement.due_at if settlement.state is DeliveryState.QUEUED else None,
                "new_provider": settlement.provider,
                "new_message_id": _storable(settlement.provider_message_id),
                "calls": settlement.provider_calls,
                "returned": settlement.state is DeliveryState.QUEUED,
                "ended_at": None if settlement.state is DeliveryState.QUEUED else now,
            }
            for (tenant, delivery), settlement in ours.items()
        ],
    )


async def _record_attempts(
    connection: AsyncConnection, ours: Mapping[_Key, Settlement], numbers: Mapping[_Key, int]
) -> None:
    """Store attempts. Those of one settlement are one round and share its number, told apart by their endpoints."""
    await insert_many(
        connection,
        attempts,
        [
            {
                "tenant": tenant,
                "delivery_id": delivery,
                "number": numbers[tenant, delivery],
                "endpoint": _storable(attempt.endpoint),
                "provider": attempt.provider,
                "outcome": attempt.outcome,
                "detail": _storable(attempt.detail),
                "provider_message_id": _storable(attempt.provider_message_id),
                "started_at": attempt.started_at,
                "finished_at": attempt.finished_at,
            }
            for (tenant, delivery), settlement in ours.items()
            for attempt in settlement.attempts
        ],
    )


async def _pull_forward(connection: AsyncConnection, keys: Iterable[_Key], now: int) -> None:
    pulled = [{"in_tenant": tenant, "pulled": delivery, "now": now} for tenant, delivery in sorted(set(keys))]
    if pulled:
        await connection.execute(_pull, pulled)


async def _forget_devices(connection: AsyncConnection, settlements: Iterable[Settlement]) -> None:
    """Delete devices in the order of their keys; a device is only ever deleted in the settlement's own tenant."""
    gone = sorted({(settlement.tenant, device) for settlement in settlements for device in settlement.gone_devices})
    if gone:
        await connection.execute(_forget_device, [{"in_tenant": tenant, "device": device} for tenant, device in gone])


def _storable(text: str | None) -> str | None:
    """Make a provider's words storable: PostgreSQL refuses NUL and lone surrogates, and with them the whole batch."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
