"""Revoked tokens, on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey
from hub.ports import Revocation
from hub.store.engine import Database
from hub.store.sql import insert_on_conflict
from hub.store.tables import revocations


class SqlRevocations:
    """`Revocations` in SQL: one row a user, and one for everybody of a tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revoke(self, key: InboxKey, issued_before: int, now: int) -> None:
        """Store a revocation; safe to repeat after a COMMIT that was lost sight of."""
        adding = insert_on_conflict(self._database.dialect, revocations).values(
            tenant=key.tenant, user_id=key.user, issued_before=issued_before, made_at=now
        )
        later = sa.case(
            (adding.excluded.issued_before > revocations.c.issued_before, adding.excluded.issued_before),
            else_=revocations.c.issued_before,
        )
        statement = adding.on_conflict_do_update(
            index_elements=[revocations.c.tenant, revocations.c.user_id],
            set_={"issued_before": later, "made_at": adding.excluded.made_at},
        )

        async def store(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(store)

    async def since(self, made_at: int) -> list[Revocation]:
        """Read what was revoked from `made_at` on."""
        recent = sa.select(revocations.c.tenant, revocations.c.user_id, revocations.c.issued_before).where(
            revocations.c.made_at >= made_at
        )

        async def read(connection: AsyncConnection) -> list[Revocation]:
            rows = await connection.execute(recent)
            return [Revocation(InboxKey(tenant, user), issued_before) for tenant, user, issued_before in rows]

        return await self._database.read(read)
