"""`Retention` on SQLAlchemy. What each transaction does is in the modules that this one calls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from hub.core.model import Candidate, Digests, Dropped, Lines, Part, Trim, Untold
from hub.store import partitions, retention_drops, retention_reads, retention_trim
from hub.store.engine import Database


class SqlRetention:
    """What has served its time, in PostgreSQL or SQLite; see `hub.ports.Retention` for what is promised."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep_room(self, now: int) -> None:
        """Make partitions for the months to come, and drop empty ones of the past."""
        await partitions.keep(self._database, now)

    async def tenants(self) -> Sequence[str]:
        """Read the tenants."""
        return await self._database.read(retention_reads.tenants)

    async def candidates(self, tenant: str, before: UUID, after: UUID | None, limit: int) -> Sequence[Candidate]:
        """Read a page of old notifications."""
        return await self._database.read(
            partial(retention_reads.candidates, tenant=tenant, before=before, after=after, limit=limit)
        )

    async def retire(self, tenant: str, notification: UUID, now: int) -> Sequence[Untold] | None:
        """Have a shared notification leave all inboxes."""
        # Safe to repeat after an unknown COMMIT: it then changes nothing more, and the wake-up row tells the rest.
        retire = partial(retention_drops.retire, tenant=tenant, notification=notification, now=now)
        return await self._database.write(partial(retire, cluster=self._database.cluster))

    async def next_members(self, tenant: str, notification: UUID, after: str, limit: int) -> str | None:
        """Find where the next part of a shared notification's members ends."""
        return await self._database.read(
            partial(retention_reads.next_members, tenant=tenant, notification=notification, after=after, limit=limit)
        )

    async def read(self, part: Part) -> Lines:
        """Read the rows of a part."""
        return await self._database.read(partial(retention_reads.read, part=part))

    async def drop(self, part: Part, digests: Digests, now: int) -> Dropped:
        """Drop the rows of a part."""
        # Safe to repeat after an unknown COMMIT: what is gone is not found again, and only not counted.
        drop = partial(retention_drops.drop, part=part, digests=digests, now=now)
        return await self._database.write(partial(drop, cluster=self._database.cluster))

    async def trimmable(self, tenant: str) -> Trim | None:
        """Tell how much of a log nobody needs any more."""
        return await self._database.read(partial(retention_trim.trimmable, tenant=tenant))

    async def pass_inboxes(self, tenant: str, position: int, after: str, limit: int) -> str | None:
        """Let inboxes do without the log up to a position."""
        return await self._database.write(
            partial(retention_trim.pass_inboxes, tenant=tenant, position=position, after=after, limit=limit)
        )

    async def trim(self, tenant: str, position: int, limit: int) -> int:
        """Delete rows of the log."""
        return await self._database.write(partial(retention_trim.trim, tenant=tenant, position=position, limit=limit))
