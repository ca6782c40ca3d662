"""Head rows: locked in one order, changed together with their items, and told of by a wake-up row."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import epoch_of
from hub.core.ids import uuid7
from hub.core.model import Counts, Head, InboxKey
from hub.store.rows import Row, Values
from hub.store.sql import among, insert_missing
from hub.store.tables import inbox_heads, wakeups


@dataclass(frozen=True, slots=True)
class Tally:
    """What one item adds to its user's counts."""

    unread: int
    unseen: int

    @classmethod
    def of(
        cls, *, seen_at: int | None, read_at: int | None, archived_at: int | None, snoozed_until: int | None
    ) -> Self:
        """Count a LIVE item: neither archived nor snoozed, and without the time in question."""
        listed = archived_at is None and snoozed_until is None
        return cls(int(listed and read_at is None), int(listed and seen_at is None))

    @classmethod
    def of_row(cls, row: Row) -> Self:
        """Count a LIVE item by its row."""
        return cls.of(
            seen_at=row.seen_at, read_at=row.read_at, archived_at=row.archived_at, snoozed_until=row.snoozed_until
        )


@dataclass(slots=True)
class LockedHead:
    """A head row that this transaction holds; `save_heads` writes it back."""

    user: str
    epoch: str
    version: int
    floor: int
    unread: int
    unseen: int

    def add(self, tally: Tally, times: int = 1) -> None:
        """Count an item in (or out, with a negative number)."""
        self.unread += tally.unread * times
        self.unseen += tally.unseen * times

    def head(self, cluster: str) -> Head:
        """Return it as the use cases know it."""
        counts = Counts(self.unread, self.unseen)
        return Head(epoch_of(cluster, self.epoch), self.version, self.floor, counts)


async def lock_heads(
    connection: AsyncConnection, tenant: str, users: Collection[str], now: int
) -> dict[str, LockedHead]:
    """Lock the users' head rows in bytewise order, making those that are missing.

    Locked by SELECT … ORDER BY … FOR UPDATE: an UPDATE of many rows locks in no order, and deadlocks. What is
    inserted is in order too, and before anything is locked, so inserting and locking can't wait for each other.
    A single user, by far the most frequent, is locked right away: there is no other lock to wait for.
    """
    here = sa.and_(inbox_heads.c.tenant == tenant, among(connection, inbox_heads.c.user_id, users))
    if len(users) == 1 and (locked := await _lock(connection, here)):
        return locked
    known = set((await connection.execute(sa.select(inbox_heads.c.user_id).where(here))).scalars())
    missing = sorted(set(users) - known)  # by code point, which is the order of the UTF-8 bytes
    if missing:
        await insert_missing(connection, inbox_heads, [_new_head(tenant, user, now) for user in missing])
    return await _lock(connection, here)


async def _lock(connection: AsyncConnection, here: sa.ColumnElement[bool]) -> dict[str, LockedHead]:
    rows = await connection.execute(
        sa.select(inbox_heads).where(here).order_by(inbox_heads.c.user_id).with_for_update()
    )
    return {
        row.user_id: LockedHead(row.user_id, row.epoch, row.version, row.floor, row.unread_count, row.unseen_count)
        for row in rows
    }


async def make_heads(connection: AsyncConnection, keys: Collection[InboxKey], now: int) -> None:
    """Make the head rows that are missing, in the order in which `lock_heads` would; none is locked."""
    rows = [_new_head(tenant, user, now) for tenant, user in sorted(set(keys))]
    await insert_missing(connection, inbox_heads, rows)


def _new_head(tenant: str, user: str, now: int) -> dict[str, object]:
    return {
        "tenant": tenant,
        "user_id": user,
        "epoch": secrets.token_hex(8),
        "version": 0,
        "floor": 0,
        "unread_count": 0,
        "unseen_count": 0,
        "created_at": now,
    }


SAVE_HEAD = (
    sa.update(inbox_heads)
    .where(inbox_heads.c.tenant == sa.bindparam("of_tenant"), inbox_heads.c.user_id == sa.bindparam("of_user"))
    .values(
        version=sa.bindparam("new_version"),
        unread_count=sa.bindparam("new_unread"),
        unseen_count=sa.bindparam("new_unseen"),
    )
)


async def save_heads(connection: AsyncConnection, tenant: str, heads: Iterable[LockedHead]) -> None:
    """Write locked heads back."""
    await connection.execute(SAVE_HEAD, [saved_values(tenant, head) for head in heads])


def saved_values(tenant: str, head: LockedHead) -> Values:
    """Return the parameters of `SAVE_HEAD`."""
    return {
        "of_tenant": tenant,
        "of_user": head.user,
        "new_version": head.version,
        "new_unread": head.unread,
        "new_unseen": head.unseen,
    }


async def leave_wakeup(connection: AsyncConnection, tenant: str, heads: Mapping[str, int], now: int) -> UUID:
    """Leave a row that says whose heads moved, and to which version, until somebody has told them."""
    identifier = uuid7(now)
    await connection.execute(sa.insert(wakeups), wakeup_values(identifier, tenant, heads, now))
    return identifier


def wakeup_values(identifier: UUID, tenant: str, heads: Mapping[str, int], now: int) -> Values:
    """Return a wake-up row."""
    moved = json.dumps([[user, heads[user]] for user in heads])
    return {"id": identifier, "tenant": tenant, "heads": moved, "created_at": now}
