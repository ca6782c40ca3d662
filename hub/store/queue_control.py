"""`QueueControl` in SQL. What each transaction does is in the modules that this one calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel, Contact, Delivery, Device
from hub.core.model.queues import (
    Change,
    DeliveryEvent,
    DeliveryFilter,
    DeliveryHistory,
    DeliveryPage,
    EventKind,
    Place,
    QueueKey,
    QueueState,
    Replayed,
)
from hub.core.model.terms import DeliveryState
from hub.store import queue_acts, queue_depths, queue_find, queue_pauses
from hub.store.delivery_claims import load_contacts, load_devices
from hub.store.engine import Database
from hub.store.rows import attempt_of, delivery_of
from hub.store.tables import attempts, deliveries
from hub.store.tables_queue import delivery_events


class SqlQueueControl:
    """A tenant's queues and deliveries, in PostgreSQL or SQLite; see the port for what is promised."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, tenant: str, channels: Sequence[Channel], now: int) -> Sequence[QueueState]:
        """Read queues, in one snapshot."""
        return await self._database.read(partial(queue_depths.states, tenant=tenant, channels=channels, now=now))

    async def pause(self, key: QueueKey, now: int) -> None:
        """Stop claiming and expanding."""
        await self._database.write(partial(queue_pauses.pause, key=key, now=now))

    async def resume(self, key: QueueKey) -> None:
        """Go on."""
        await self._database.write(partial(queue_pauses.resume, key=key))

    async def empty(self, key: QueueKey, now: int, limit: int) -> int:
        """Cancel some of what waits."""
        # Repeated after an unknown COMMIT it may tell of fewer than were cancelled, never of more.
        return await self._database.write(partial(queue_acts.empty, key=key, now=now, limit=limit))

    async def find(self, tenant: str, wanted: DeliveryFilter, after: Place | None, limit: int) -> DeliveryPage:
        """Read a page of deliveries."""
        return await self._database.read(
            partial(queue_find.find, tenant=tenant, wanted=wanted, after=after, limit=limit)
        )

    async def history(self, tenant: str, delivery: UUID) -> DeliveryHistory | None:
        """Read a delivery with what is known of its past."""

        def of(table: sa.Table) -> sa.ColumnElement[bool]:
            return sa.and_(table.c.tenant == tenant, table.c.delivery_id == delivery)

        async def read(connection: AsyncConnection) -> DeliveryHistory | None:
            here = sa.and_(deliveries.c.tenant == tenant, deliveries.c.id == delivery)
            row = (await connection.execute(sa.select(deliveries).where(here))).first()
            if row is None:
                return None
            calls = sa.select(attempts).where(of(attempts)).order_by(attempts.c.number, attempts.c.endpoint)
            events = sa.select(delivery_events).where(of(delivery_events)).order_by(delivery_events.c.id)
            return DeliveryHistory(
                delivery_of(row),
                [attempt_of(each) for each in await connection.execute(calls)],
                [_event_of(each) for each in await connection.execute(events)],
            )

        return await self._database.read(read)

    async def act(
        self, tenant: str, delivery: UUID, kind: EventKind, now: int, change: Change | None = None
    ) -> Delivery | None:
        """Retry, promote, cancel or change a delivery."""
        return await self._database.write(
            partial(queue_acts.act, tenant=tenant, delivery=delivery, kind=kind, now=now, change=change or Change())
        )

    async def replay(
        self, tenant: str, wanted: DeliveryFilter, after: Place | None, limit: int, now: int, *, dry_run: bool
    ) -> Replayed:
        """Retry some of what is dead."""
        run = self._database.read if dry_run else self._database.write
        return await run(
            partial(queue_acts.replay, tenant=tenant, wanted=wanted, after=after, limit=limit, now=now, dry_run=dry_run)
        )

    async def reach(self, tenant: str, users: Sequence[str]) -> Mapping[str, tuple[Contact | None, Sequence[Device]]]:
        """Read by what users can be reached."""
        people = [(tenant, user) for user in users]

        async def read(connection: AsyncConnection) -> dict[str, tuple[Contact | None, Sequence[Device]]]:
            contacts = await load_contacts(connection, people)
            owned = await load_devices(connection, people)
            return {user: (contacts.get((tenant, user)), owned.get((tenant, user), ())) for user in users}

        return await self._database.read(read)


def _event_of(row: sa.Row[tuple[object, ...]]) -> DeliveryEvent:
    return DeliveryEvent(
        at=row.at,
        kind=EventKind(row.kind),
        before=DeliveryState(row.before),
        after=DeliveryState(row.after),
        reason=row.reason,
        ended_at=row.ended_at,
    )
