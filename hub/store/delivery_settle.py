"""Ending claims: the delivery's new state, its attempts, the recipient's next step, and devices that are gone.

Rows are locked in the order of their keys before anything is written, the next steps together with the
deliveries themselves, so that settlements never wait for each other in a circle. The counts for alerts come last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import AlertGroup, Channel, DeliveryState, FailureKind
from hub.core.transitions import Actor, may
from hub.ports import Settlement
from hub.store.alerts import Failed, count_failures
from hub.store.bulk import Bulk
from hub.store.delivery_turns import Key, next_turns, take_turns
from hub.store.keyed import ByKeys
from hub.store.rows import Values
from hub.store.tables import attempts, deliveries, devices


class _Held(NamedTuple):
    """A delivery as it is found, locked."""

    tenant: str
    id: UUID
    state: str
    fence: int
    lease_until: int | None
    due_at: int
    claims: int
    attempts: int
    channel: str
    provider: str | None
    provider_message_id: str | None


_held = ByKeys(
    select(*(deliveries.c[name] for name in _Held._fields)),
    deliveries.c.tenant,
    deliveries.c.id,
    lock=True,
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
    locked = await _held.rows(connection, sorted({*wanted, *pulled}))
    held = {(row.tenant, row.id): row for row in map(_Held._make, locked)}
    ours = {
        key: settlement
        for key, settlement in wanted.items()
        if key in held and _is_ours(held[key], settlement, now, spent=spent)
    }
    if ours:
        bulk = Bulk(connection)
        bulk.update(deliveries, [_settled(held[key], settlement, now) for key, settlement in ours.items()])
        bulk.insert(attempts, [row for key, each in ours.items() for row in _attempts(held[key], each)])
        await bulk.write()
        await take_turns(connection, [turns[key] for key in ours if key in turns], now)
        await _forget_devices(connection, ours.values())
        await count_failures(connection, (_failed(held[key], each) for key, each in ours.items() if each.failure), now)
    return [delivery for _, delivery in ours]


def _check(settlement: Settlement, actor: Actor) -> None:
    if not may(actor, DeliveryState.SENDING, settlement.state):
        raise ValueError(f"a {actor.value} cannot end a claim as `{settlement.state.value}`")
    if settlement.state is DeliveryState.QUEUED and settlement.due_at is None:
        raise ValueError("a delivery that goes back to the queue needs `due_at`")
    if settlement.attempts and settlement.provider_calls < 1:
        raise ValueError("attempts are numbered by `provider_calls`; there is at least one")
    if (settlement.failure is not None) != (settlement.state is DeliveryState.FAILED):
        raise ValueError("a delivery that fails says of what kind the failure is; others have none")


def _failed(row: _Held, settlement: Settlement) -> Failed:
    kind = settlement.failure or FailureKind.EXHAUSTED
    provider = settlement.provider or row.provider or ""
    return Failed(AlertGroup(settlement.tenant, Channel(row.channel), provider, kind), settlement.delivery)


def _is_ours(row: _Held, settlement: Settlement, now: int, *, spent: bool) -> bool:
    return (
        row.state == DeliveryState.SENDING.value
        and row.fence == settlement.fence
        and (not spent or (row.lease_until is not None and row.lease_until <= now))
    )


def _settled(held: _Held, settlement: Settlement, now: int) -> Values:
    """Write what a delivery is once its claim has ended."""
    returned = settlement.state is DeliveryState.QUEUED
    message_id = _storable(settlement.provider_message_id)
    return {
        "tenant": held.tenant,
        "id": held.id,
        "state": settlement.state.value,
        "reason": _storable(settlement.reason),
        "lease_until": None,
        "due_at": settlement.due_at if returned else held.due_at,
        "provider": held.provider if settlement.provider is None else settlement.provider,
        "provider_message_id": held.provider_message_id if message_id is None else message_id,
        "attempts": held.attempts + settlement.provider_calls,
        # Whoever settles has not crashed. What is left to count are workers that vanish one after the other.
        "claims": 0 if returned else held.claims,
        "finished_at": None if returned else now,
    }


def _attempts(held: _Held, settlement: Settlement) -> Iterator[Values]:
    """Write attempts. Those of one settlement are one round and share its number, told apart by their endpoints."""
    for attempt in settlement.attempts:
        yield {
            "tenant": held.tenant,
            "delivery_id": held.id,
            "number": held.attempts + 1,
            "endpoint": _storable(attempt.endpoint),
            "provider": attempt.provider,
            "outcome": attempt.outcome,
            "detail": _storable(attempt.detail),
            "provider_message_id": _storable(attempt.provider_message_id),
            "started_at": attempt.started_at,
            "finished_at": attempt.finished_at,
        }


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
