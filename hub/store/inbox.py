"""`InboxStore` on SQLAlchemy. What each transaction does is in the modules that this one calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor
from hub.core.model import (
    Changes,
    Head,
    InboxKey,
    InboxPage,
    InboxQuery,
    Item,
    MarkAction,
    Marked,
    NotificationState,
    Publication,
    Published,
    Selection,
    SharedEvent,
    TopicKey,
    Wakeup,
)
from hub.store import (
    idempotency_keys,
    inbox_catch_up,
    inbox_mark,
    inbox_page,
    inbox_publish,
    inbox_read,
    timers,
    withdrawal,
)
from hub.store.committer import Committer
from hub.store.engine import Database, Transaction
from hub.store.failures import Conflict
from hub.store.heads import KnownHeads, make_heads, settle_heads
from hub.store.inbox_publish import Publish
from hub.store.marks import Mark
from hub.store.recipients import Applied
from hub.store.tables import idempotency, tickets, wakeups

T = TypeVar("T")

_MOST_ROWS = 2_000
"""Rows that publications may share a transaction with; what is larger by itself has one of its own."""
_MOST_PUBLICATIONS = 1_000
_AT_ONCE = 2
"""Transactions of publications on PostgreSQL: while one is on its way, the next is put together."""
_MOST_MARKED = 100
"""Marks that share a transaction, and items that they may be about; publishing waits for no more than that."""
_ALONE = 10
"""Times as many while nobody publishes: a storm of acknowledgements costs a third less."""

_LOOKS = 5
"""Looks at an inbox that has to be made first; the second finds it, unless its user is being erased right now."""

IDEMPOTENCY_KEPT = 7 * 24 * 3600 * 1000
"""Milliseconds for which an idempotency key is remembered."""


class SqlInboxStore:
    """Inboxes in PostgreSQL or SQLite; see `hub.ports.InboxStore` for what every method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = KnownHeads()
        # SQLite has one writer. On PostgreSQL the two lanes go side by side.
        committer = Committer(database.start, writers=1 if database.dialect == "sqlite" else _AT_ONCE + 1)
        self._publishing = committer.lane(
            self._publish, attrgetter("rows"), most_weight=_MOST_ROWS, most_works=_MOST_PUBLICATIONS, at_once=_AT_ONCE
        )
        self._marking = committer.lane(
            self._mark, attrgetter("rows"), most_weight=_MOST_MARKED, most_works=_MOST_MARKED, times_alone=_ALONE
        )

    async def publish(self, publication: Publication, now: int) -> Published:
        """Store a publication whole, in one transaction with others that come meanwhile."""
        return await self._publishing.submit(Publish(publication, now))

    async def publish_all(self, publications: Sequence[Publication], now: int) -> Sequence[Published | Exception]:
        """Store publications like so many callers at once."""
        answers = [self._publishing.submit(Publish(publication, now)) for publication in publications]
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        return [_answer(outcome) for outcome in outcomes]

    async def _publish(self, group: Sequence[Publish]) -> Sequence[Published | Exception]:
        cluster = self._database.cluster
        return await self._database.commit(
            partial(inbox_publish.store, group=group, cluster=cluster, known=self._known),
            lookup=partial(inbox_publish.find_or_store, group=group, cluster=cluster),
        )

    async def answered(self, tenant: str, operation: str, key: str, body_hash: bytes) -> bytes | None:
        """Return the answer that was given under an idempotency key to a request with this hash."""
        return await self._database.read(
            partial(idempotency_keys.answered, tenant=tenant, operation=operation, key=key, body_hash=body_hash)
        )

    async def mark(
        self, key: InboxKey, action: MarkAction, selection: Selection, now: int, *, until: int | None = None
    ) -> Marked:
        """Apply an action to the selected LIVE items, in one transaction with other calls that come meanwhile."""
        return await self._marking.submit(Mark(key, action, selection, now, until))

    async def _mark(self, group: Sequence[Mark]) -> Sequence[Marked]:
        # Safe to repeat after an unknown COMMIT: it then changes nothing more, and the wake-up row tells the rest.
        return await self._database.commit(partial(inbox_mark.store, group=group, cluster=self._database.cluster))

    async def page(self, key: InboxKey, query: InboxQuery) -> InboxPage:
        """Read one page with its head."""
        return await self._of(key, partial(inbox_page.page, key=key, query=query, cluster=self._database.cluster))

    async def head(self, key: InboxKey) -> Head:
        """Read a head, making the row of a user never heard of."""
        return await self._of(key, partial(inbox_read.head, key=key, cluster=self._database.cluster))

    async def catch_up(self, wanted: Sequence[tuple[InboxKey, Cursor | None]], limit: int) -> Sequence[Changes]:
        """Read what many clients missed, in one snapshot."""
        if not wanted:
            return []
        unsettled: set[InboxKey] = set()
        read = partial(
            inbox_catch_up.catch_up, wanted=wanted, limit=limit, cluster=self._database.cluster, unsettled=unsettled
        )
        for _ in range(_LOOKS):
            found = await self._database.read(read)
            missing = [key for (key, _), changes in zip(wanted, found, strict=True) if changes is None]
            if not missing:
                break
            # All of them again: what was read together must not be mixed with what is read next.
            await self._database.write(partial(make_heads, keys=missing, now=0))
        else:
            raise Conflict("inboxes are erased as fast as they are made")
        if unsettled:
            # Locking them does it: what has gone since long is counted once, not with every read.
            await self._database.write(partial(settle_heads, keys=unsettled))
        return [changes for changes in found if changes is not None]

    async def _of(self, key: InboxKey, read: Transaction[T | None]) -> T:
        """Read what needs a head row; a user never heard of gets one first, which fixes the epoch."""
        for _ in range(_LOOKS):
            found = await self._database.read(read)
            if found is not None:
                return found
            await self._database.write(partial(make_heads, keys=[key], now=0))
        raise Conflict("the inbox is erased as fast as it is made")

    async def item(self, key: InboxKey, notification: UUID) -> Item | None:
        """Read one LIVE item."""
        return await self._database.read(partial(inbox_read.item, key=key, notification=notification))

    async def versions(self, keys: Sequence[InboxKey]) -> dict[InboxKey, Cursor]:
        """Read many heads' cursors at once."""
        read = partial(inbox_read.versions, keys=keys, cluster=self._database.cluster)
        return dict(await self._database.read(read))

    async def notification(self, tenant: str, notification: UUID) -> NotificationState | None:
        """Read a notification with what became of it."""
        return await self._database.read(partial(inbox_read.notification, tenant=tenant, identifier=notification))

    async def apply_timers(self, now: int, limit: int) -> Applied:
        """Apply up to `limit` due timers, in as many transactions as it takes: one may concern 1,000 inboxes."""
        told: Applied = []
        left = limit
        while left > 0:
            due = await self.next_timer()  # a look costs SQLite's only writer nothing
            if due is None or due > now:
                break
            count, applied = await self._database.write(
                partial(timers.apply_next, now=now, limit=left, cluster=self._database.cluster)
            )
            if count == 0:
                break  # others hold what is left
            left -= count
            told += applied
        return told

    async def recall(self, tenant: str, notification: UUID, now: int) -> Applied | None:
        """Take a notification back from everybody, in one transaction: it has at most 1,000 recipients."""
        # Safe to repeat after an unknown COMMIT: it then changes nothing more, and the wake-up row tells the rest.
        of = withdrawal.Of(tenant, notification)
        return await self._database.write(partial(withdrawal.recall, of=of, now=now, cluster=self._database.cluster))

    async def next_timer(self) -> int | None:
        """Return when the earliest timer is due."""
        return await self._database.read(timers.next_due)

    async def leftover_wakeups(self, before: int, limit: int) -> Sequence[Wakeup]:
        """Read wake-up rows that nobody has settled, the oldest first."""
        oldest = sa.select(wakeups).where(wakeups.c.created_at < before).order_by(wakeups.c.created_at, wakeups.c.id)

        async def read(connection: AsyncConnection) -> list[Wakeup]:
            rows = await connection.execute(oldest.limit(limit))
            return [_wakeup(row) for row in rows]

        return await self._database.read(read)

    async def settle_wakeups(self, ids: Sequence[UUID]) -> None:
        """Delete wake-up rows; those that another process is deleting are left to it."""
        if not ids:
            return
        mine = sa.select(wakeups.c.id).where(wakeups.c.id.in_(ids)).with_for_update(skip_locked=True)

        async def delete(connection: AsyncConnection) -> None:
            await connection.execute(sa.delete(wakeups).where(wakeups.c.id.in_(mine)))

        await self._database.write(delete)

    async def forget_before(self, now: int) -> None:
        """Drop idempotency records after 7 days, and spent tickets."""

        async def delete(connection: AsyncConnection) -> None:
            old = idempotency.c.created_at < now - IDEMPOTENCY_KEPT
            await connection.execute(sa.delete(idempotency).where(old))
            await connection.execute(sa.delete(tickets).where(tickets.c.expires_at < now))

        await self._database.write(delete)


def _answer(outcome: Published | BaseException) -> Published | Exception:
    if isinstance(outcome, Published | Exception):
        return outcome
    raise outcome  # the process ends


def _wakeup(row: sa.Row[Any]) -> Wakeup:
    return Wakeup(
        row.id,
        heads=[(InboxKey(row.tenant, user), version) for user, version in json.loads(row.heads)],
        shared=[
            SharedEvent(TopicKey(row.tenant, topic), position, previous)
            for topic, position, previous in json.loads(row.shared or "[]")
        ],
    )
