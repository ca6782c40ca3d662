"""Ending claims: the delivery's new state, its attempts, the recipient's next step, and devices that are gone.

Rows are locked in the order of their keys before anything is written, the next steps together with the
deliveries themselves, so that settlements never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Row, bindparam, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState
from hub.core.transitions import Actor, may
from hub.ports import Settlement
from hub.store.delivery_sql import keyed
from hub.store.delivery_turns import Key, next_turns, take_turns
from hub.store.sql import insert_many
from hub.store.tables import attempts, deliveries, devices

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

_forget_device = delete(devices).where(devices.c.tenant == bindparam("in_tenant"), devices.c.id == bindparam("device"))


async def settle(
    connection: AsyncConnection, settlements: Sequence[Settlement], now: int, *, spent: bool = False
) -> list[UUID]:
    """Write the settlements whose delivery is still theirs, and return those deliveries.

    `spent`: only those whose lease has ended by `now` (for the rescuer, which settles for a vanished worker).
    """
    wanted: dict[Key, Settlement] = {}
    for settlement in settlements:
        _check(settlement, Actor.RESCUER if spent else Actor.WORKER)
        wanted.setdefault((settlement.tenant, settlement.delivery), settlement)
    if not wanted:
        return []
    turns = await next_turns(connection, [key for key, settlement in wanted.items() if settlement.pull_next], now)
    pulled = {key for turn in turns.values() for key in turn.pulled}
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
        await take_turns(connection, [turns[key] for key in ours if key in turns], now)
        await _forget_devices(connection, ours.values())
    return [delivery for _, delivery in ours]


def _check(settlement: Settlement, actor: Actor) -> None:
    if not may(actor, DeliveryState.SENDING, settlement.state):
        raise ValueError(f"a {actor.value} cannot end a claim as `{settlement.state.value}`")
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


async def _write(connection: AsyncConnection, ours: Mapping[Key, Settlement], now: int) -> None:
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
    connection: AsyncConnection, ours: Mapping[Key, Settlement], numbers: Mapping[Key, int]
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
