"""The fallback queue as rows beside the inbox, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, literal_column, select, tuple_, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel, DeliveryState, Priority, Rung
from hub.ports import Claim, Lane, Settlement
from hub.store import committer, delivery_claims, delivery_rescue, delivery_settle
from hub.store.delivery_rungs import Held, rungs
from hub.store.delivery_sql import (
    LANES,
    in_state,
    number,
    queue,
    queued_in,
    same_row,
)
from hub.store.engine import Database
from hub.store.prepared import Prepared
from hub.store.queue_pauses import paused_channels, waiting
from hub.store.tables import deliveries


def _earliest(lane: Lane) -> Any:
    """Select the earliest queued row of one lane: one probe of the queue's index."""
    first = (
        select(
            literal_column(f"'{lane.channel.value}'", Text).label("channel"),
            number(lane.priority).label("priority"),
            number(lane.shared).label("shared"),
            deliveries.c.due_at,
        )
        .where(queued_in(deliveries, lane))
        .order_by(deliveries.c.due_at)
        .limit(number(1))
        .subquery()
    )
    return select(first.c.channel, first.c.priority, first.c.shared, first.c.due_at)


next_due = union_all(*map(_earliest, LANES))
"""One statement of a probe a lane: its cost does not grow with the queue, as a GROUP BY over it would."""


_next_due = Prepared(next_due)

_still_ours = (
    select(queue.c.tenant, queue.c.id)
    .where(
        in_state(queue, DeliveryState.SENDING),
        tuple_(queue.c.id, queue.c.fence).in_(bindparam("held", expanding=True)),
    )
    .order_by(queue.c.tenant, queue.c.id)
    .with_for_update(of=queue)
    .cte("still_ours")
)
renewal = (
    update(deliveries)
    .where(same_row(deliveries, _still_ours))
    .values(lease_until=bindparam("leased_until"))
    .returning(deliveries.c.id)
)
"""Extend leases. Finds them among the rows being sent (a small index), as their tenants are not at hand."""


_READERS = 2
_MOST_READ = 500
"""Reads of rungs at a time, and claims that one of them is for."""


class SqlDeliveryQueue:
    """`DeliveryQueue` in SQL. See `docs/notification-lifecycle.md` for what locks what, and in which order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Reads are grouped like commits: whoever asks while one is on its way shares the next. One at a time for each
        # delivery took three quarters of what a delivery cost.
        self._rungs: committer.Lane[Held, Rung | None] = committer.Committer(database.start, writers=_READERS).lane(
            self._read_rungs, lambda _: 1, most_weight=_MOST_READ, most_works=_MOST_READ, at_once=_READERS
        )
        self._paused: frozenset[Channel] = frozenset()
        """The channels that somebody had paused at the last look: how they are claimed from, not whether."""

    async def claim(self, lane: Lane, now: int, lease: int, limit: int) -> Sequence[Claim]:
        """Claim due deliveries of a lane; see the port."""
        by_tenant = lane.channel in self._paused
        return await self._database.write(
            partial(delivery_claims.claim, lane=lane, now=now, lease=lease, limit=limit, by_tenant=by_tenant)
        )

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        """Read the item's rung right before sending; None if the claim is no longer ours or the item is gone."""
        return await self._rungs.submit(Held(tenant, delivery, fence))

    async def _read_rungs(self, group: Sequence[Held]) -> Sequence[Rung | None]:
        return await self._database.read(partial(rungs, group=group))

    async def renew(self, claims: Sequence[tuple[UUID, int]], now: int, lease: int) -> Sequence[UUID]:
        """Extend leases; returns the deliveries that are still ours."""
        if not claims:
            return []

        async def extend(connection: AsyncConnection) -> list[UUID]:
            found = await connection.scalars(renewal, {"held": list(claims), "leased_until": now + lease})
            return list(found)

        ours = set(await self._database.write(extend))
        return [delivery for delivery, _ in claims if delivery in ours]

    async def settle(self, settlements: Sequence[Settlement], now: int) -> Sequence[UUID]:
        """End claims in one transaction; returns the deliveries that were still ours."""
        return await self._database.write(partial(delivery_settle.settle, settlements=settlements, now=now))

    async def rescue(self, now: int, max_claims: int, limit: int) -> int:
        """Return or fail deliveries with a spent lease, and tidy the queue; at most `limit` rows of each kind.

        Three transactions, so that none of them holds rows locked while it waits for others.
        """
        write = self._database.write
        failed = await write(partial(delivery_rescue.fail_exhausted, now=now, max_claims=max_claims, limit=limit))
        returned = await write(partial(delivery_rescue.return_spent, now=now, max_claims=max_claims, limit=limit))
        await write(partial(delivery_rescue.tidy, now=now, limit=limit))
        if self._paused:
            await write(partial(delivery_rescue.tidy_by_tenant, now=now, limit=limit, channels=self._paused))
        return failed + returned

    async def next_due(self) -> Mapping[Lane, int]:
        """Return when the earliest queued delivery of each lane is due, those of paused queues left out."""

        async def read(connection: AsyncConnection) -> tuple[frozenset[Channel], dict[Lane, int]]:
            rows = await _next_due.rows(connection, {})
            due = {Lane(Channel(row.channel), Priority(row.priority), bool(row.shared)): row.due_at for row in rows}
            paused = await paused_channels(connection)
            for lane in [lane for lane in due if lane.channel in paused]:
                del due[lane]
                if others := await waiting(connection, lane):
                    due[lane] = others[0].due_at
            return paused, due

        self._paused, due = await self._database.read(read)
        return due
