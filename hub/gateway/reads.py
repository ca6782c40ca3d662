"""Reading inboxes for connections that have a gap, or have just come: together, whoever asks meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from hub.core.cursor import Cursor
from hub.core.model import Changes, InboxKey
from hub.gateway.connection import Connection
from hub.gateway.metrics import GatewayMetrics
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.service import Hub

log = structlog.get_logger(__name__)

BATCH = 200
"""Inboxes read at once: the round trips are shared by many, and the loop is not held up for long."""

AT_ONCE = 2
"""Batches under way at the same time: one that waits for the bus or the database does not hold up the others."""

_Wishes = dict[tuple[InboxKey, Cursor | None], list[Connection]]


class Reads:
    """Batched over connections, and single-flight per user and cursor.

    What gathers while batches are under way shares the next one: no timer, no wait when idle. Whoever asks joins a
    batch only while it has not started, so that it sees all that was heard before asking. A batch reads once its
    users' changes are heard here.
    """

    def __init__(self, hub: Hub, registry: Registry, tasks: Tasks, metrics: GatewayMetrics) -> None:
        self._hub = hub
        self._metrics = metrics
        self._registry = registry
        self._tasks = tasks
        self._waiting: _Wishes = {}
        self._running = 0

    def ask(self, key: InboxKey, after: Cursor | None, connection: Connection) -> None:
        """Have `resumed` or `resume_failed` called on the connection later."""
        wish = (key, after)
        asking = self._waiting.get(wish)
        if asking is not None:
            asking.append(connection)
            return
        self._waiting[wish] = [connection]
        self._start()

    def _start(self) -> None:
        if self._waiting and self._running < AT_ONCE:
            self._running += 1
            self._tasks.spawn(self._read(), "read")

    def _take(self) -> _Wishes:
        if len(self._waiting) <= BATCH:
            batch, self._waiting = self._waiting, {}
            return batch
        batch = {}
        for wish in list(self._waiting)[:BATCH]:
            batch[wish] = self._waiting.pop(wish)
        return batch

    async def _read(self) -> None:
        """Read one batch: whatever waits when the loop gets here."""
        batch = self._take()
        wishes = list(batch)
        self._metrics.resumed(len(wishes))
        answers: Sequence[Changes | None] = [None] * len(wishes)
        try:
            await self._registry.subscribe([key for key, _ in wishes])
            answers = await self._hub.inbox.catch_up(wishes)
            await self._registry.unsubscribe()  # who has left while the bus was asked
        finally:
            self._running -= 1
            self._start()
            for wish, changes in zip(wishes, answers, strict=True):
                for connection in batch[wish]:
                    _answer(connection, changes)


def _answer(connection: Connection, changes: Changes | None) -> None:
    """Pass an answer on; the batch goes on whatever comes of it, or the rest would wait for ever."""
    try:
        if changes is None:
            connection.resume_failed()
        else:
            connection.resumed(changes)
    except Exception:
        log.exception("resume_failed", connection=connection.session.connection)
        connection.cut("internal")
