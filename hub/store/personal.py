"""`PersonalData` on SQLAlchemy. What each transaction does is in the modules that this one calls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from hub.core.model import InboxKey, Person, PersonalNotification, Schedule
from hub.store import erasure, export, schedule_recipients
from hub.store.engine import Database


class SqlPersonalData:
    """What is held about a user, in PostgreSQL or SQLite; see `hub.ports.PersonalData` for what is promised."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def person(self, key: InboxKey) -> Person:
        """Read what is known of a user beside their notifications."""
        return await self._database.read(partial(export.person, key=key, cluster=self._database.cluster))

    async def notifications(self, key: InboxKey, after: UUID | None, limit: int) -> Sequence[PersonalNotification]:
        """Read a page of the user's notifications."""
        return await self._database.read(partial(export.notifications, key=key, after=after, limit=limit))

    async def schedules(self, key: InboxKey, after: UUID | None, limit: int) -> Sequence[Schedule]:
        """Read a page of the schedules that name the user."""
        return await self._database.read(partial(schedule_recipients.naming, key=key, after=after, limit=limit))

    async def erase_some(self, key: InboxKey) -> bool:
        """Erase a part of what is held about a user."""
        # Safe to repeat after an unknown COMMIT: what is gone is not found again.
        return await self._database.write(partial(erasure.erase_some, key=key))
