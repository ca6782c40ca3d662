"""Dropping what has been written to an archive, or is wanted in none: only rows that are still what was written.

All that a part is made of is locked first, in the one order that there is, and read once more under these locks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core import archives
from hub.core.model import (
    DeliveryState,
    Digests,
    Dropped,
    InboxChange,
    InboxKey,
    ItemState,
    LogKind,
    MarksPart,
    MembersPart,
    OwnPart,
    Part,
    SharedPart,
    Untold,
)
from hub.store.bulk import Bulk
from hub.store.heads import LockedHead, Tally, leave_wakeups, lock_heads, save_heads
from hub.store.retention_reads import OF_DELIVERIES, ids_of, members_of, read, rows_of, users_of, wanted
from hub.store.rows import Row
from hub.store.shared_heads import settle
from hub.store.sql import among
from hub.store.tables import (
    deliveries,
    expansions,
    inbox_heads,
    inbox_items,
    notifications,
    shared_items,
    shared_log,
    shared_logs,
    shared_marks,
    timers,
    topics,
)
from hub.store.withdrawal import Of, withdraw

IDS_AT_ONCE = 50
"""Items that one version of an inbox removes: so many ids fit into what is told, and nobody has to read them."""

_RETIRED = "The notification was archived."
_NOTHING = Dropped(frozenset())


async def retire(
    connection: AsyncConnection, tenant: str, notification: UUID, now: int, cluster: str
) -> list[Untold] | None:
    """Withdraw a shared notification, unless it is wanted. Locks: the notification, then as `withdraw`."""
    if not await _lock_notifications(connection, tenant, [notification]) or await wanted(
        connection, tenant, [notification]
    ):
        return None
    of = Of(tenant, notification)
    return await withdraw(connection, of, now, cluster, ending=DeliveryState.CANCELLED, reason=_RETIRED)


async def drop(connection: AsyncConnection, part: Part, digests: Digests, now: int, cluster: str) -> Dropped:
    """Drop the rows of a part that are still what they were."""
    match part:
        case OwnPart():
            return await _drop_own(connection, part, digests, now, cluster)
        case MembersPart():
            return await _drop_members(connection, part, digests)
        case SharedPart():
            return await _drop_shared(connection, part, digests)
        case MarksPart():
            return await _drop_marks(connection, part, digests)


async def _drop_own(connection: AsyncConnection, part: OwnPart, digests: Digests, now: int, cluster: str) -> Dropped:
    """Locks: notifications, deliveries, heads, (deletes items)."""
    ids = await _lock_notifications(connection, part.tenant, part.notifications)
    await _lock_deliveries(connection, part.tenant, ids)
    of_items = sa.and_(inbox_items.c.tenant == part.tenant, among(connection, inbox_items.c.notification_id, ids))
    users = set((await connection.execute(sa.select(inbox_items.c.user_id).where(of_items))).scalars())
    heads = await lock_heads(connection, [InboxKey(part.tenant, user) for user in users], now, Bulk(connection))
    same = await _unchanged(connection, part, digests)
    done = sorted(same - await wanted(connection, part.tenant, sorted(same)))
    items = (await connection.execute(rows_of(connection, inbox_items, part.tenant, done))).all()
    told = await _remove(connection, part.tenant, items, heads, now, cluster)
    await _delete(connection, inbox_items, part.tenant, done)
    await _delete_deliveries(connection, part.tenant, await _deliveries_of(connection, part.tenant, done))
    await _delete(connection, notifications, part.tenant, done)
    return Dropped(frozenset(done), told)


async def _remove(  # noqa: PLR0917 - all that is at hand
    connection: AsyncConnection,
    tenant: str,
    items: Sequence[Row],
    heads: dict[InboxKey, LockedHead],
    now: int,
    cluster: str,
) -> list[Untold]:
    """Take items out of their inboxes: what clients may show, with a version; and older cursors end."""
    of_user: defaultdict[str, list[Row]] = defaultdict(list)
    for item in items:
        of_user[item.user_id].append(item)
    changes: list[InboxChange] = []
    for user, mine in of_user.items():
        head = heads[InboxKey(tenant, user)]
        live = sorted(
            (item for item in mine if item.state == int(ItemState.LIVE)), key=lambda item: item.notification_id
        )
        for start in range(0, len(live), IDS_AT_ONCE):
            removed = live[start : start + IDS_AT_ONCE]
            head.version += 1
            head.floor = head.version
            for item in removed:
                head.add(Tally.of_row(item), -1)
            ids = tuple(item.notification_id for item in removed)
            changes.append(InboxChange(head.key, head.head(cluster), ids=ids, fields={"removed": True}))
        # Of what had gone before, whoever has heard may go on.
        head.floor = max(head.floor, *(item.version for item in mine))
    changed = [heads[InboxKey(tenant, user)] for user in of_user]
    bulk = Bulk(connection)
    save_heads(bulk, changed)
    moved = {change.key for change in changes}
    wakeups = leave_wakeups(bulk, [head for head in changed if head.key in moved], {tenant: len(changes)}, now)
    await bulk.write()
    return [(change, wakeups[tenant]) for change in changes]


async def _drop_members(connection: AsyncConnection, part: MembersPart, digests: Digests) -> Dropped:
    """Locks: deliveries, heads, (deletes items)."""
    if not await _is_gone(connection, part.tenant, part.notification):
        return _NOTHING
    of = (part.tenant, [part.notification])
    sent = await _deliveries_of(connection, *of, *users_of(deliveries, part))
    await _lock(connection, deliveries, part.tenant, sent)
    touched = await connection.execute(rows_of(connection, shared_items, *of, *users_of(shared_items, part)))
    users = sorted(row.user_id for row in touched)
    await settle_all(connection, part.tenant, users)
    if not await _unchanged(connection, part, digests):
        return _NOTHING
    await _delete_deliveries(connection, part.tenant, sent)
    # Only what was read: who is late (see `_drop_shared`) keeps the row, which is then written first.
    await _delete(connection, shared_items, *of, among(connection, shared_items.c.user_id, users))
    return Dropped(frozenset({part.notification}))


async def settle_all(connection: AsyncConnection, tenant: str, users: Collection[str]) -> None:
    """Lock heads, and count in them what went from the log: from then on it does not matter who touched it."""
    if not users:
        return
    names = sorted(set(users))
    here = sa.and_(inbox_heads.c.tenant == tenant, among(connection, inbox_heads.c.user_id, names))
    await connection.execute(
        sa.select(inbox_heads.c.user_id).where(here).order_by(inbox_heads.c.user_id).with_for_update()
    )
    await settle(connection, [InboxKey(tenant, user) for user in names])


async def _drop_shared(connection: AsyncConnection, part: SharedPart, digests: Digests) -> Dropped:
    """Locks: the notification, timers that nobody holds, the log's counter, its topic.

    While some user still has something of it, it stays: a mark that began before it went may end after all was read.
    """
    if not await _lock_notifications(connection, part.tenant, [part.notification]):
        return _NOTHING
    of = (part.tenant, part.notification)
    left = [
        members_of(shared_items, *of, "", 1),
        members_of(deliveries, *of, "", 1, deliveries.c.user_id.is_not(None)),
    ]
    if any([(await connection.execute(some)).first() is not None for some in left]) or not await _is_gone(
        connection, *of
    ):
        return _NOTHING
    if not await _unchanged(connection, part, digests):
        return _NOTHING
    await _delete_timers(connection, part)
    await _delete(connection, expansions, part.tenant, [part.notification])
    await _raise_floor(connection, part)
    await _delete(connection, notifications, part.tenant, [part.notification])
    return Dropped(frozenset({part.notification}))


async def _raise_floor(connection: AsyncConnection, part: SharedPart) -> None:
    """Have clients that have not heard that it is gone read anew: there is nothing left to tell them."""
    events = await connection.execute(sa.select(shared_log).where(_events_of(part.tenant, part.notification)))
    last = max(events, key=lambda event: event.position, default=None)
    if last is None:
        return
    log, topic = shared_logs.c, topics.c
    of_log = sa.and_(log.tenant == part.tenant, log.floor < last.position)
    await connection.execute(sa.update(shared_logs).where(of_log).values(floor=last.position))
    of_topic = sa.and_(topic.tenant == part.tenant, topic.topic == last.topic, topic.floor < last.position)
    await connection.execute(sa.update(topics).where(of_topic).values(floor=last.position))


async def _drop_marks(connection: AsyncConnection, part: MarksPart, digests: Digests) -> Dropped:
    if not await _unchanged(connection, part, digests):
        return _NOTHING
    mark = shared_marks.c
    useless = sa.and_(mark.tenant == part.tenant, mark.position <= part.position, *users_of(shared_marks, part))
    await connection.execute(sa.delete(shared_marks).where(useless))
    return Dropped(frozenset({None}))


async def _unchanged(connection: AsyncConnection, part: Part, digests: Digests) -> set[UUID]:
    """Return what has still just the rows that it had; None stands for rows of no notification."""
    now = archives.digests(await read(connection, part))
    return {of for of, digest in digests.items() if now.get(of) == digest}  # type: ignore[misc]


def _events_of(tenant: str, notification: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(shared_log.c.tenant == tenant, shared_log.c.notification_id == notification)


async def _is_gone(connection: AsyncConnection, tenant: str, notification: UUID) -> bool:
    """Tell whether no inbox has a shared notification: it went, or never appeared."""
    live = sa.and_(
        _events_of(tenant, notification),
        shared_log.c.kind == int(LogKind.ITEM),
        shared_log.c.gone_at_position.is_(None),
    )
    return (await connection.execute(sa.select(shared_log.c.position).where(live))).first() is None


async def _lock_notifications(connection: AsyncConnection, tenant: str, ids: Sequence[UUID]) -> list[UUID]:
    """Lock notifications in order; returns those that there are."""
    return await _lock(connection, notifications, tenant, ids)


async def _lock_deliveries(connection: AsyncConnection, tenant: str, of: Sequence[UUID]) -> None:
    await _lock(connection, deliveries, tenant, await _deliveries_of(connection, tenant, of))


async def _lock(connection: AsyncConnection, table: sa.Table, tenant: str, ids: Sequence[UUID]) -> list[UUID]:
    here = sa.and_(table.c.tenant == tenant, among(connection, table.c.id, ids))
    locked = await connection.execute(sa.select(table.c.id).where(here).order_by(table.c.id).with_for_update())
    return list(locked.scalars())


async def _deliveries_of(
    connection: AsyncConnection, tenant: str, of: Sequence[UUID], *conditions: sa.ColumnElement[bool]
) -> list[UUID]:
    """Find deliveries of notifications, in order: of each kind of recipient by an index of its own."""
    found: list[Row] = []
    for recipient in (deliveries.c.user_id, deliveries.c.address):
        chosen = rows_of(connection, deliveries, tenant, of, recipient.is_not(None), *conditions)
        found += (await connection.execute(chosen.with_only_columns(deliveries.c.id))).all()
    return ids_of(found)


async def _delete_deliveries(connection: AsyncConnection, tenant: str, ids: Sequence[UUID]) -> None:
    """Delete deliveries with what there is about them."""
    if not ids:
        return
    for table in OF_DELIVERIES:
        about = sa.and_(table.c.tenant == tenant, among(connection, table.c.delivery_id, ids))
        await connection.execute(sa.delete(table).where(about))
    here = sa.and_(deliveries.c.tenant == tenant, among(connection, deliveries.c.id, ids))
    await connection.execute(sa.delete(deliveries).where(here))


async def _delete(
    connection: AsyncConnection, table: sa.Table, tenant: str, of: Iterable[UUID], *conditions: sa.ColumnElement[bool]
) -> None:
    """Delete what a table has of some notifications."""
    identifier = table.c.id if table is notifications else table.c.notification_id
    here = sa.and_(table.c.tenant == tenant, among(connection, identifier, list(of)), *conditions)
    await connection.execute(sa.delete(table).where(here))


async def _delete_timers(connection: AsyncConnection, part: SharedPart) -> None:
    """Delete timers of users who snoozed it in the moment when it went. Those that are being applied go by that."""
    here = sa.and_(timers.c.tenant == part.tenant, timers.c.notification_id == part.notification)
    free = sa.select(timers.c.id).where(here).with_for_update(skip_locked=True)
    if found := (await connection.execute(free)).scalars().all():
        await connection.execute(sa.delete(timers).where(among(connection, timers.c.id, found)))
