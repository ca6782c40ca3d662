"""Head rows: locked in one order, changed together with their items, and told of by a wake-up row."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import epoch_of
from hub.core.ids import uuid7
from hub.core.model import Counts, Head, InboxKey, SharedWakeup
from hub.store.bulk import Bulk, Derived
from hub.store.failures import Conflict
from hub.store.keyed import KeyedQuery
from hub.store.rows import Row, Values, head_of
from hub.store.shared_heads import NO_LOG, due, log_views, settle
from hub.store.shared_sql import LogView, log_view
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
    """A head row that this transaction holds; `save_heads` writes it back.

    `unread` and `unseen` are of the user's own items, `shared_…` see `shared_sql`. `log` is as of right after the lock.
    """

    key: InboxKey
    epoch: str
    version: int
    floor: int
    unread: int
    unseen: int
    shared_unread: int = 0
    shared_unseen: int = 0
    log: LogView | None = None
    """None in a tenant without a shared log."""

    def add_shared(self, tally: Tally, times: int = 1) -> None:
        """Count a shared item in (or out): by how much it differs from what the log counts it for."""
        self.shared_unread += tally.unread * times
        self.shared_unseen += tally.unseen * times

    def add(self, tally: Tally, times: int = 1) -> None:
        """Count an item in (or out, with a negative number)."""
        self.unread += tally.unread * times
        self.unseen += tally.unseen * times

    def head(self, cluster: str) -> Head:
        """Return it as the use cases know it."""
        log = self.log or NO_LOG
        counts = Counts(self.unread + self.shared_unread + log.unread, self.unseen + self.shared_unseen + log.unseen)
        return Head(epoch_of(cluster, self.epoch), self.version, self.floor, counts, log.position)


Heads = dict[InboxKey, LockedHead]

_EPOCH_BYTES = 8

_COLUMNS = ", ".join(f"inbox_heads.{column.name}" for column in inbox_heads.c)
_HERE = "inbox_heads WHERE inbox_heads.tenant = wanted.tenant AND inbox_heads.user_id = wanted.user_id"
_KEY = {"tenant": "text", "user_id": "text"}
_READ = KeyedQuery(f"{_COLUMNS}, {log_view('inbox_heads')} AS log", _HERE, _KEY)
_HAS_LOG = "EXISTS (SELECT 1 FROM shared_logs WHERE shared_logs.tenant = inbox_heads.tenant) AS has_log"
_LOCK = KeyedQuery(f"{_COLUMNS}, {_HAS_LOG}", _HERE, _KEY, lock=True)


async def read_heads(connection: AsyncConnection, keys: Collection[InboxKey], cluster: str) -> dict[InboxKey, Head]:
    """Read heads without locking them; users without a row are left out."""
    rows = await _READ.rows(connection, sorted(keys))
    return {InboxKey(row.tenant, row.user_id): head_of(row, cluster) for row in rows}


class KnownHeads:
    """Inboxes that have a head row, as far as this process remembers: to lock these, nothing need be inserted first.

    Only a shortcut. What is forgotten costs an INSERT that finds its row taken; what is wrong, because the user was
    erased or the transaction rolled back, a `Conflict`.
    """

    def __init__(self, most: int = 20_000) -> None:
        """`most`: at some 200 bytes each."""
        self._keys: set[InboxKey] = set()
        self._most = most

    def all_of(self, keys: Collection[InboxKey]) -> bool:
        """Tell whether all of these are known."""
        return self._keys.issuperset(keys)

    def add(self, keys: Collection[InboxKey]) -> None:
        """Remember these; once it is too many, forget all others."""
        if len(self._keys) + len(keys) > self._most:
            self._keys.clear()
        self._keys.update(keys)

    def forget(self, keys: Collection[InboxKey]) -> None:
        """Remember these no more."""
        self._keys.difference_update(keys)


async def lock_heads(
    connection: AsyncConnection,
    keys: Collection[InboxKey],
    now: int,
    bulk: Bulk,
    known: KnownHeads | None = None,
) -> Heads:
    """Lock head rows in bytewise order, making those that are missing; returns them in that order.

    Locked by SELECT … FOR UPDATE, key after key: an UPDATE of many rows locks in no order, and deadlocks. What is
    inserted is in order too, and before anything is locked, so inserting and locking can't wait for each other.
    A single head, by far the most frequent, is locked right away: there is no other lock to wait for. So are those that
    are all `known` to be there.

    If a statement is needed before the locks, it makes the writes of `bulk` too; otherwise they are still to be made.

    Raises:
        Conflict: a user was erased between the two looks; run the transaction again.

    """
    wanted = sorted(set(keys))  # by code point, which is the order of the UTF-8 bytes
    all_known = known is not None and known.all_of(wanted)
    if len(wanted) == 1 or all_known:
        locked = await _lock(connection, wanted)
        if len(locked) == len(wanted):
            return locked
        if known is not None and all_known:
            known.forget(wanted)
        if len(wanted) > 1:
            raise Conflict("an inbox was erased since it was last seen")
    bulk.insert_where_free(inbox_heads, _new_heads(wanted, now), _JOINED)
    await bulk.write()
    locked = await _lock(connection, wanted)
    if len(locked) < len(wanted):
        raise Conflict("an inbox was erased between the look whether it is there and its lock")
    if known is not None:
        known.add(wanted)
    return locked


async def _lock(connection: AsyncConnection, keys: Sequence[InboxKey]) -> Heads:
    locked, in_log = {}, []
    for row in await _LOCK.rows(connection, keys):
        key = InboxKey(row.tenant, row.user_id)
        locked[key] = LockedHead(key, row.epoch, row.version, row.floor, row.unread_count, row.unseen_count)
        if row.has_log:
            locked[key].shared_unread, locked[key].shared_unseen = row.shared_unread, row.shared_unseen
            in_log.append(key)
    # Another statement, so that it sees what was committed while this one waited for the locks.
    views = await log_views(connection, in_log)
    for key, log in views.items():
        locked[key].log = log
    await settle_locked(connection, [locked[key] for key, log in views.items() if due(log)])
    return locked


async def settle_locked(connection: AsyncConnection, heads: Sequence[LockedHead]) -> dict[InboxKey, int]:
    """Settle heads; returns up to which position each is now. What they count for together stays the same."""
    done = await settle(connection, [head.key for head in heads])
    for head in heads:
        if head.key in done:
            head.shared_unread, head.shared_unseen, _ = done[head.key]
    views = await log_views(connection, list(done))
    for head in heads:
        head.log = views.get(head.key, head.log)
    return {key: settled for key, (_, _, settled) in done.items()}


async def make_heads(connection: AsyncConnection, keys: Collection[InboxKey], now: int) -> None:
    """Make the head rows that are missing, in the order in which `lock_heads` would; none is locked."""
    bulk = Bulk(connection)
    bulk.insert_where_free(inbox_heads, _new_heads(sorted(set(keys)), now), _JOINED)
    await bulk.write()


async def settle_heads(connection: AsyncConnection, keys: Collection[InboxKey]) -> None:
    """Settle what went from the shared log of these users: locking does it where it is time."""
    await _lock(connection, sorted(keys))


_JOINED = Derived("joined", "tenant", "coalesce((SELECT position FROM shared_logs WHERE tenant = {}), 0)")
"""A new user sees the broadcasts that come after this moment."""


def _new_heads(keys: Sequence[InboxKey], now: int) -> list[Values]:
    epochs = secrets.token_hex(_EPOCH_BYTES * len(keys))  # one call of the system for all
    return [
        {
            "tenant": key.tenant,
            "user_id": key.user,
            "epoch": epochs[at : at + 2 * _EPOCH_BYTES],
            "version": 0,
            "floor": 0,
            "unread_count": 0,
            "unseen_count": 0,
            "created_at": now,
        }
        for key, at in zip(keys, range(0, len(epochs), 2 * _EPOCH_BYTES), strict=True)
    ]


def save_heads(bulk: Bulk, heads: Iterable[LockedHead]) -> None:
    """Write locked heads back."""
    bulk.update(
        inbox_heads,
        [
            {
                "tenant": head.key.tenant,
                "user_id": head.key.user,
                "version": head.version,
                "floor": head.floor,
                "unread_count": head.unread,
                "unseen_count": head.unseen,
                "shared_unread": head.shared_unread,
                "shared_unseen": head.shared_unseen,
            }
            for head in heads
        ],
    )


def leave_wakeups(
    bulk: Bulk, heads: Iterable[LockedHead], callers: Mapping[str, int], now: int
) -> dict[str, SharedWakeup]:
    """Leave a row for each tenant that says whose heads moved, and to which version, until they have been told.

    `callers`: how many, by tenant, are going to tell of them.
    """
    moved: dict[str, list[tuple[str, int]]] = {}
    for head in heads:
        moved.setdefault(head.key.tenant, []).append((head.key.user, head.version))
    shared = {tenant: SharedWakeup(uuid7(now), callers[tenant]) for tenant in moved}
    bulk.insert(
        wakeups,
        [
            {"id": shared[tenant].id, "tenant": tenant, "heads": json.dumps(those), "created_at": now}
            for tenant, those in moved.items()
        ],
    )
    return shared
