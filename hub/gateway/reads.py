"""Reading inboxes for connections that have a gap, or have just come: together, whoever asks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice

import structlog

from hub.core.cursor import Cursor
from hub.core.model import Changes, InboxKey
from hub.gateway.connection import Connection
from hub.gateway.metrics import GatewayMetrics
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.gateway.topics import Topics
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
    users' changes are heard here, and is done once their topics are.
    """

    def __init__(self, hub: Hub, registry: Registry, topics: Topics, tasks: Tasks, metrics: GatewayMetrics) -> None:
        self._hub = hub
        self._metrics = metrics
        self._registry = registry
        self._topics = topics
        self._tasks = tasks
        self._waiting: _Wishes = {}
        self._running = 0
        self._room = asyncio.Event()
        self._room.set()

    def ask(self, key: InboxKey, after: Cursor | None, connection: Connection) -> None:
        """Have `resumed` or `resume_failed` called on the connection later."""
        wish = (key, after)
        asking = self._waiting.get(wish)
        if asking is not None:
            asking.append(connection)
            return
        self._waiting[wish] = [connection]
        if len(self._waiting) >= BATCH:
            self._room.clear()
        self._start()

    async def has_room(self) -> None:
        """Return when less than a batch waits."""
        await self._room.wait()

    def _start(self) -> None:
        if self._waiting and self._running < AT_ONCE:
            self._running += 1
            self._tasks.spawn(self._read(), "read")

    def _take(self) -> _Wishes:
        if len(self._waiting) <= BATCH:
            batch, self._waiting = self._waiting, {}
            return batch
        return {wish: self._waiting.pop(wish) for wish in list(islice(self._waiting, BATCH))}

    async def _read(self) -> None:
        """Read one batch: whatever waits when the loop gets here."""
        batch = self._take()
        if len(self._waiting) < BATCH:
            self._room.set()
        wishes = list(batch)
        self._metrics.resumed(len(wishes))
        answers: Sequence[Changes | None] = [None] * len(wishes)
        try:
            await self._registry.subscribe([key for key, _ in wishes])
            found = await self._hub.inbox.catch_up(wishes)
            await self._topics.follow({key: changes.head for (key, _), changes in zip(wishes, found, strict=True)})
            answers = found
            await self._registry.unsubscribe()  # who has left while the bus was asked
            await self._topics.unsubscribe()
        finally:
            self._running -= 1
            self._start()
            for wish, changes in zip(wishes, answers, strict=True):
                for connection in batch[wish]:
                    _answer(connection, changes, self._topics.reach(wish[0]))


def _answer(connection: Connection, changes: Changes | None, reach: int) -> None:
    """Pass an answer on; the batch goes on whatever comes of it, or the rest would wait for ever."""
    try:
        if changes is None:
            connection.resume_failed()
        else:
            connection.resumed(changes)
            connection.log_moved(reach)
    except Exception:
        log.exception("resume_failed", connection=connection.session.connection)
        connection.cut("internal")
