"""Shared audiences written straight into the tables: memberships, marks and log rows as a test wants them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.ids import uuid7
from hub.core.model import Channel, Contact, Content, Device, LogKind, Priority, Step
from hub.ports import ExpansionKey
from hub.store.directory import SqlDirectory
from hub.store.engine import Database
from hub.store.expansions import expansion_rows
from hub.store.rows import content_values
from hub.store.tables import (
    deliveries,
    expansions,
    inbox_heads,
    memberships,
    notifications,
    shared_items,
    shared_log,
)
from tests.support.clock import START

TOPIC = "news"
POSITION = 10
"""Where a shared notification stands in the log, unless a test says otherwise."""

ENDPOINTS: dict[Channel, dict[str, str]] = {
    Channel.EMAIL: {"email": "a@b.example"},
    Channel.SMS: {"phone": "+15550100"},
}
EVERY_ENDPOINT = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


class SharedRows:
    """A builder of shared audiences and what was published to them, and a look at what came of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._directory = SqlDirectory(database)

    async def user(
        self,
        user: str,
        *,
        tenant: str = "default",
        reachable: Sequence[Channel] = EVERY_ENDPOINT,
        since: int = 0,
        **marks: int,
    ) -> None:
        """Write a user who can be reached by these channels, and whose inbox was made at a position of the log."""
        head = {"version": 0, "floor": 0, "unread_count": 0, "unseen_count": 0, "epoch": "e", "created_at": START}
        await self._write(insert(inbox_heads).values(tenant=tenant, user_id=user, joined=since, **head, **marks))
        await self.endpoints(user, *reachable, tenant=tenant)

    async def endpoints(self, user: str, *channels: Channel, tenant: str = "default") -> None:
        """Give a user an endpoint for each of these channels, and for the others none (but devices stay)."""
        fields = {name: value for channel in channels for name, value in ENDPOINTS.get(channel, {}).items()}
        await self._directory.put_contact(tenant, Contact(user, **fields), START)
        if Channel.PUSH in channels:
            device = Device(uuid7(START), user, "fcm_token", f"token of {user}", START)
            await self._directory.add_device(tenant, device)

    async def mark(self, user: str, *, tenant: str = "default", **marks: int) -> None:
        """Move marks of a user, if any."""
        if not marks:
            return
        mine = (inbox_heads.c.tenant == tenant, inbox_heads.c.user_id == user)
        await self._write(update(inbox_heads).where(*mine).values(**marks))

    async def join(
        self, user: str, *, tenant: str = "default", topic: str = TOPIC, joined: int = 0, left_at: int | None = None
    ) -> None:
        """Write an interval of a user's membership."""
        await self._write(
            insert(memberships).values(tenant=tenant, user_id=user, topic=topic, joined=joined, left_at=left_at)
        )

    async def members(self, *names: str, **user: Any) -> None:
        """Write users who are members of the topic from the beginning."""
        for name in names:
            await self.user(name, **user)
            await self.join(name)

    async def publish(
        self,
        plan: Sequence[Step],
        *,
        tenant: str = "default",
        topic: str = TOPIC,
        position: int | None = POSITION,
        priority: Priority = Priority.NORMAL,
        expires_at: int | None = None,
        deliver_at: int | None = None,
        at: int = START,
        identifier: UUID | None = None,
    ) -> UUID:
        """Write a shared notification with its expansions; without a position it has not appeared yet."""
        content = Content(
            id=identifier or uuid7(at),
            tenant=tenant,
            category="news.today",
            title="News",
            body="",
            action_url=None,
            data=None,
            actor=None,
            priority=priority,
            inbox=True,
            collapse_key=None,
            created_at=at,
            deliver_at=deliver_at,
            expires_at=expires_at,
            plan=tuple(plan),
        )

        async def store(connection: AsyncConnection) -> None:
            values = content_values(content, topic)
            await connection.execute(insert(notifications).values(values))
            if content.plan:
                await connection.execute(insert(expansions), expansion_rows(content))

        await self.database.write(store)
        if position is not None:
            await self.appear(content.id, tenant=tenant, topic=topic, position=position)
        return content.id

    async def appear(
        self, notification: UUID, *, tenant: str = "default", topic: str = TOPIC, position: int = POSITION
    ) -> None:
        """Write the log row with which a notification appears."""
        await self._write(
            insert(shared_log).values(
                tenant=tenant,
                position=position,
                kind=int(LogKind.ITEM),
                topic=topic,
                previous=0,
                notification_id=notification,
                ordinal=0,
                appeared_at=START,
                category="news.today",
            )
        )

    async def withdraw(self, notification: UUID, *, tenant: str = "default") -> None:
        """Say in the log that a notification is gone, without ending anything else."""
        log = shared_log.c
        here = (log.tenant == tenant, log.notification_id == notification)
        await self._write(update(shared_log).where(*here).values(gone_at_position=POSITION + 1))

    async def touch(
        self, notification: UUID, user: str, *, tenant: str = "default", position: int = POSITION, **columns: int
    ) -> None:
        """Write the row that a user's own action on the item leaves."""
        await self._write(
            insert(shared_items).values(
                {"tenant": tenant, "user_id": user, "position": position, "notification_id": notification, "version": 1}
                | columns
            )
        )

    async def deliveries(self, notification: UUID, *, tenant: str = "default") -> list[Row[Any]]:
        """Read a notification's deliveries, by user and step."""
        return await self._read(
            select(deliveries)
            .where(deliveries.c.tenant == tenant, deliveries.c.notification_id == notification)
            .order_by(deliveries.c.user_id, deliveries.c.step)
        )

    async def recipients(self, notification: UUID, step: int = 0, *, tenant: str = "default") -> list[str]:
        """Read who has a delivery of a step."""
        return [row.user_id for row in await self.deliveries(notification, tenant=tenant) if row.step == step]

    async def states(self, notification: UUID, *, tenant: str = "default") -> dict[str, int]:
        """Count a notification's deliveries by their states."""
        return Counter(row.state for row in await self.deliveries(notification, tenant=tenant))

    async def expansion(self, expansion: ExpansionKey) -> Row[Any]:
        """Read an expansion's row."""
        [row] = await self._read(
            select(expansions).where(
                expansions.c.tenant == expansion.tenant,
                expansions.c.notification_id == expansion.notification,
                expansions.c.step == expansion.step,
            )
        )
        return row

    async def counts(self, expansion: ExpansionKey) -> tuple[str, int, int, int, int]:
        """Read an expansion's state, and how many members have been looked at, have one, need none, get none."""
        row = await self.expansion(expansion)
        return (row.state, row.members, row.deliveries, row.reached, row.unreachable)

    async def _read(self, statement: Any) -> list[Row[Any]]:
        async with self.database.reader() as connection:
            return list(await connection.execute(statement))

    async def _write(self, statement: Any) -> None:
        async def execute(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self.database.write(execute)
