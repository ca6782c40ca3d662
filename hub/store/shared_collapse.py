"""What a collapse key replaced in the shared log: ending what is left of its plan.

The item itself goes as the newer one is appended, see `shared_append`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import DeliveryState, ExpansionState
from hub.store.collapse import REPLACED
from hub.store.delivery_sql import in_state, number, of_kind
from hub.store.expansion_chunk import waiting
from hub.store.sql import among
from hub.store.tables import deliveries, expansions

_AT_ONCE = 1_000
"""Queued deliveries that end in the publishing transaction, which holds up everything shared; the rescuer ends more."""


async def end_replaced(connection: AsyncConnection, replaced: Iterable[tuple[str, UUID]], now: int) -> None:
    """Cancel what is left of the plans of notifications, by tenant and id, that have been replaced.

    The log and heads are locked already, so whatever somebody holds is passed over. That needs no cancelling: no claim
    takes a delivery whose item is gone, and right before a send that is looked at once more; the next chunk of an
    expansion finds the item gone, and ends it.
    """
    by_tenant: defaultdict[str, list[UUID]] = defaultdict(list)
    for tenant, notification in replaced:
        by_tenant[tenant].append(notification)
    for tenant, notifications in by_tenant.items():
        await _end_steps(connection, tenant, notifications, now)
        found = await connection.execute(queued_for(connection, tenant, notifications))
        if ids := found.scalars().all():
            await connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.tenant == tenant, among(connection, deliveries.c.id, ids))
                .values(state=DeliveryState.CANCELLED.value, reason=REPLACED, finished_at=now)
            )


async def _end_steps(connection: AsyncConnection, tenant: str, notifications: Sequence[UUID], now: int) -> None:
    key = (expansions.c.notification_id, expansions.c.step)
    here = (expansions.c.tenant == tenant, among(connection, expansions.c.notification_id, notifications), waiting)
    steps = (await connection.execute(sa.select(*key).where(*here).with_for_update(skip_locked=True))).all()
    if steps:
        await connection.execute(
            sa.update(expansions)
            .where(expansions.c.tenant == tenant, sa.tuple_(*key).in_([tuple(step) for step in steps]))
            .values(state=ExpansionState.CANCELLED.value, reason=REPLACED, after_user="", finished_at=now)
        )


def queued_for(connection: AsyncConnection, tenant: str, notifications: Sequence[UUID]) -> sa.Select[Any]:
    """Select the queued deliveries of shared notifications that nobody holds, and lock them."""
    return (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.tenant == tenant,
            among(connection, deliveries.c.notification_id, notifications),
            of_kind(deliveries, shared=True),
            in_state(deliveries, DeliveryState.QUEUED),
            deliveries.c.finished_at.is_(None),  # which goes without saying, but not for the index of what is open
        )
        .limit(number(_AT_ONCE))
        .with_for_update(skip_locked=True)
    )
