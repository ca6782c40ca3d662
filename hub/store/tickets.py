"""Single-use tickets, on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey
from hub.store.engine import Database
from hub.store.sql import inserted
from hub.store.tables import tickets


class SqlTicketStore:
    """`TicketStore` in SQL. Spent tickets that nobody took are dropped by `InboxStore.forget_before`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_ticket(self, digest: bytes, key: InboxKey, expires_at: int) -> None:
        """Store a ticket by the hash of its secret."""
        ticket = {"digest": digest, "tenant": key.tenant, "user_id": key.user, "expires_at": expires_at}

        async def store(connection: AsyncConnection) -> None:
            # Where it is there already, this is the repetition of a write whose COMMIT was lost sight of.
            await inserted(connection, tickets, ticket)

        await self._database.write(store)

    async def take_ticket(self, digest: bytes, now: int) -> InboxKey | None:
        """Take a ticket out; of callers at once, one gets it.

        The row is deleted by the statement that reads it. Should the connection be lost while that commits, the
        ticket is spent without having been used: the client asks for another.
        """
        taking = (
            delete(tickets)
            .where(tickets.c.digest == digest)
            .returning(tickets.c.tenant, tickets.c.user_id, tickets.c.expires_at)
        )

        async def take(connection: AsyncConnection) -> InboxKey | None:
            row = (await connection.execute(taking)).one_or_none()
            return None if row is None or row.expires_at <= now else InboxKey(row.tenant, row.user_id)

        return await self._database.write(take)
