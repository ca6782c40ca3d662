"""Reading inboxes for connections that have a gap, or have just come: once for all that ask for the same."""

from __future__ import annotations

import asyncio

from hub.core.cursor import Cursor
from hub.core.model import InboxKey
from hub.gateway.connection import Connection
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.service import Hub

READS_AT_ONCE = 16
"""How many inboxes are read at the same time: after a gap in the bus everybody asks together."""


class Reads:
    """Single-flight per user and cursor.

    Whoever asks joins a read only while it has not started, so that it sees all that was heard before asking.
    A read starts once the user's changes are heard here.
    """

    def __init__(self, hub: Hub, registry: Registry, tasks: Tasks) -> None:
        self._hub = hub
        self._registry = registry
        self._tasks = tasks
        self._waiting: dict[tuple[InboxKey, Cursor | None], list[Connection]] = {}
        self._slots = asyncio.Semaphore(READS_AT_ONCE)

    def ask(self, key: InboxKey, after: Cursor | None, connection: Connection) -> None:
        """Have `resumed` or `resume_failed` called on the connection later."""
        waiting = self._waiting.setdefault((key, after), [])
        waiting.append(connection)
        if len(waiting) == 1:
            self._tasks.spawn(self._read(key, after), "read")

    async def _read(self, key: InboxKey, after: Cursor | None) -> None:
        changes = None
        asking: list[Connection] = []
        try:
            await self._registry.settle(key)
            async with self._slots:
                asking = self._waiting.pop((key, after))
                changes = await self._hub.resume(key, after)
        finally:
            for connection in asking or self._waiting.pop((key, after), []):
                if changes is None:
                    connection.resume_failed()
                else:
                    connection.resumed(changes)
