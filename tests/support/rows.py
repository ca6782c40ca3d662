"""Rows written straight into the tables: states that the use cases reach only by a detour, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.ids import uuid7
from hub.core.model import Attempt, Channel, DeliveryState, ItemState, Priority, Rung, Step, When
from hub.store.engine import Database
from hub.store.rows import plan_text
from hub.store.tables import attempts, deliveries, inbox_items, metadata, notifications
from tests.support.clock import START


class Rows:
    """A builder of rows, and a look at them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def notification(
        self,
        *,
        tenant: str = "default",
        users: Sequence[str] = ("ada",),
        plan: Sequence[Step] = (),
        priority: Priority = Priority.NORMAL,
        inbox: bool = True,
        expires_at: int | None = None,
        state: ItemState = ItemState.LIVE,
        at: int = START,
        identifier: UUID | None = None,
    ) -> UUID:
        """Write a notification with its users' items (without heads) and every step of the plan for each of them."""
        notification = identifier or uuid7(at)
        await self._write(
            insert(notifications).values(
                tenant=tenant,
                id=notification,
                category="order.shipped",
                title="Shipped",
                body="",
                priority=int(priority),
                inbox=inbox,
                plan=plan_text(tuple(plan)),
                created_at=at,
                expires_at=expires_at,
            )
        )
        if inbox:
            for user in users:
                await self._item(tenant, user, notification, state, at)
        for user in users:
            for number, step in enumerate(plan):
                await self.delivery(
                    notification,
                    tenant=tenant,
                    user=user,
                    step=number,
                    channel=step.channel,
                    priority=priority,
                    due_at=at + step.after,
                    unless=step.unless,
                    when=step.when,
                )
        return notification

    async def _item(self, tenant: str, user: str, notification: UUID, state: ItemState, at: int) -> None:
        await self._write(
            insert(inbox_items).values(
                tenant=tenant,
                user_id=user,
                notification_id=notification,
                state=int(state),
                version=1,
                since=1,
                appeared_at=at,
                category="order.shipped",
            )
        )

    async def delivery(
        self,
        notification: UUID,
        *,
        tenant: str = "default",
        user: str | None = "ada",
        address: str | None = None,
        step: int = 0,
        channel: Channel = Channel.EMAIL,
        priority: Priority = Priority.NORMAL,
        due_at: int = START,
        unless: Rung = Rung.SEEN,
        when: When = When.ALWAYS,
        identifier: UUID | None = None,
    ) -> UUID:
        """Write one queued delivery."""
        delivery = identifier or uuid7(due_at)
        await self._write(
            insert(deliveries).values(
                tenant=tenant,
                id=delivery,
                notification_id=notification,
                user_id=user if address is None else None,
                address=address,
                step=step,
                channel=channel.value,
                priority=int(priority),
                unless=int(unless),
                when=when.value,
                state=DeliveryState.QUEUED.value,
                due_at=due_at,
                created_at=START,
            )
        )
        return delivery

    async def end(self, delivery: UUID, state: DeliveryState = DeliveryState.FAILED, **columns: Any) -> UUID:
        """Write an end into a delivery's row, as if it had been claimed once."""
        ending = {"state": state.value, "reason": "it was so", "finished_at": START, "fence": 1} | columns
        await self._write(update(deliveries).where(deliveries.c.id == delivery).values(ending))
        return delivery

    async def dead(self, number: int, at: int, **columns: Any) -> list[UUID]:
        """Write dead deliveries of as many users, each of which failed a second after the one before."""
        notification = await self.notification(users=[f"user-{index}" for index in range(number)])
        made = [await self.delivery(notification, user=f"user-{index}") for index in range(number)]
        return [await self.end(each, finished_at=at + index * 1000, **columns) for index, each in enumerate(made)]

    async def touch(self, notification: UUID, *, tenant: str = "default", user: str = "ada", **columns: Any) -> None:
        """Change an item as if the user had done something, without cancelling anything."""
        await self._write(
            update(inbox_items)
            .where(
                inbox_items.c.tenant == tenant,
                inbox_items.c.user_id == user,
                inbox_items.c.notification_id == notification,
            )
            .values(**columns)
        )

    async def erase(self, table: str, **columns: Any) -> None:
        """Delete the rows of a table that have these values."""
        target = metadata.tables[table]
        await self._write(target.delete().where(*(target.c[name] == value for name, value in columns.items())))

    async def state(self, delivery: UUID, tenant: str = "default") -> Row[Any]:
        """Read a delivery's row."""
        async with self.database.reader() as connection:
            found = await connection.execute(
                select(deliveries).where(deliveries.c.tenant == tenant, deliveries.c.id == delivery)
            )
            return found.one()

    async def steps(self, notification: UUID, *, tenant: str = "default", user: str = "ada") -> list[UUID]:
        """Read the ids of a user's deliveries, in the order of the plan."""
        async with self.database.reader() as connection:
            found = await connection.scalars(
                select(deliveries.c.id)
                .where(
                    deliveries.c.tenant == tenant,
                    deliveries.c.notification_id == notification,
                    deliveries.c.user_id == user,
                )
                .order_by(deliveries.c.step)
            )
            return list(found)

    async def attempts(self, delivery: UUID, tenant: str = "default") -> list[Row[Any]]:
        """Read a delivery's attempts, in the order of their numbers."""
        async with self.database.reader() as connection:
            found = await connection.execute(
                select(attempts)
                .where(attempts.c.tenant == tenant, attempts.c.delivery_id == delivery)
                .order_by(attempts.c.number, attempts.c.endpoint)
            )
            return list(found)

    async def _write(self, statement: Any) -> None:
        async def execute(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self.database.write(execute)


def attempt(delivery: UUID, endpoint: str = "device-1", outcome: str = "ok", detail: str | None = None) -> Attempt:
    """Make one provider call's record; its number is the store's to give."""
    return Attempt(
        delivery=delivery,
        number=0,
        provider="console",
        endpoint=endpoint,
        started_at=START,
        finished_at=START + 5,
        outcome=outcome,
        detail=detail,
    )
