"""Publishing: everything that a group of publications stores, in one transaction.

Locks: schedules, idempotency keys, (inserts content, timers, deliveries), the shared log and its topics, heads,
(inserts items); then, of what collapse keys replace, the items, and those expansions and deliveries that nobody holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import RunTaken
from hub.core.ids import uuid7
from hub.core.model import Content, Head, InboxChange, InboxKey, ItemState, Publication, Published, TimerKind, TopicKey
from hub.store.bulk import Bulk
from hub.store.collapse import Collapse
from hub.store.expansions import expansion_rows
from hub.store.heads import Heads, KnownHeads, Tally, leave_wakeups, lock_heads, save_heads
from hub.store.idempotency_keys import claim_keys
from hub.store.rows import Values, content_values, delivery_values
from hub.store.schedule_moves import Held
from hub.store.shared_append import NewItem, append_items
from hub.store.shared_collapse import end_replaced
from hub.store.sql import among
from hub.store.tables import deliveries, expansions, inbox_items, notifications, timers

_NEW = Tally(unread=1, unseen=1)
_AHEAD = 200
"""Publications whose contents are written before heads are locked: it costs a round trip.

Large groups meet in the heads of the same users, and wait there. What was written before is not waited for.
"""


class Publish(NamedTuple):
    """One call of `InboxStore.publish`."""

    publication: Publication
    now: int

    @property
    def rows(self) -> int:
        """Return roughly how many rows it stores."""
        return 1 + len(self.publication.users) + len(self.publication.deliveries)

    @property
    def id(self) -> UUID:
        """Return the notification's id."""
        return self.publication.content.id

    @property
    def tenant(self) -> str:
        """Return the notification's tenant."""
        return self.publication.content.tenant

    @property
    def pending(self) -> bool:
        """Return whether its items appear later only."""
        return self.publication.content.appears_at > self.now


async def store(
    connection: AsyncConnection, group: Sequence[Publish], cluster: str, known: KnownHeads | None = None
) -> list[Published | Exception]:
    """Store publications, or find what earlier ones left under their idempotency keys.

    Answers are in the order of the group, and so are the versions that an inbox takes for it. Runs of schedules that
    are not ours to make are refused, and nothing of them is stored.
    """
    now = max(publish.now for publish in group)
    held = await Held.lock(connection, [move for publish in group if (move := publish.publication.move) is not None])
    ours = [publish.publication.move is None or held.take(publish.publication.move) for publish in group]
    wanted = [publish for publish, is_ours in zip(group, ours, strict=True) if is_ours]
    earlier = await claim_keys(connection, [publish.publication for publish in wanted], now)
    new = [publish for publish, answer in zip(wanted, earlier, strict=True) if answer is None]
    stored = iter(await _store_new(connection, new, now, cluster, known))
    await held.make([move for publish in new if (move := publish.publication.move) is not None])
    answers = iter([next(stored) if answer is None else answer for answer in earlier])
    return [next(answers) if is_ours else RunTaken("this run is another's, or was made") for is_ours in ours]


async def find_or_store(
    connection: AsyncConnection, group: Sequence[Publish], cluster: str
) -> list[Published | Exception]:
    """Find what was stored of a group though its COMMIT was not confirmed, and store the rest.

    Of what is found, heads are not told of here: the wake-up row is still there, and a sweeper tells them.
    """
    here = sa.and_(
        notifications.c.tenant.in_({publish.tenant for publish in group}),
        among(connection, notifications.c.id, [publish.id for publish in group]),
    )
    found = set((await connection.execute(sa.select(notifications.c.id).where(here))).scalars())
    missing = [publish for publish in group if publish.id not in found]
    stored = iter(await store(connection, missing, cluster) if missing else ())
    return [Published(publish.id) if publish.id in found else next(stored) for publish in group]


async def _store_new(
    connection: AsyncConnection, group: Sequence[Publish], now: int, cluster: str, known: KnownHeads | None
) -> Sequence[Published]:
    """Store publications that are not there yet: heads as late as possible, and each of them once."""
    bulk = Bulk(connection)
    _add_contents(bulk, group)
    shared, replaced_shared = await _append_shared(connection, group, now, bulk)
    appearing = [(publish.publication.content, _inboxes(publish)) for publish in group]
    wanted = {key for _, keys in appearing for key in keys}
    if not wanted:
        await bulk.write()
        await end_replaced(connection, replaced_shared, now)
        return [shared.get(publish.id, Published(publish.id)) for publish in group]
    # Locking a head may settle what went up to the log's counter: it has to be there.
    if replaced_shared or len(group) >= _AHEAD:
        await bulk.write()
    heads = await lock_heads(connection, wanted, now, bulk, known)
    collapse = await Collapse.find(connection, appearing)
    moved = [_appear(content, keys, heads, collapse, cluster) for content, keys in appearing]
    save_heads(bulk, heads.values())
    bulk.insert(
        inbox_items,
        [
            _item(content, user, ItemState.LIVE, head.version)
            for (content, _), (after, _) in zip(appearing, moved, strict=True)
            for user, head in after.items()
        ],
    )
    callers = Counter(content.tenant for content, keys in appearing if keys)
    wakeups = leave_wakeups(bulk, heads.values(), callers, now)
    await bulk.write()
    await collapse.write(connection, now)
    await end_replaced(connection, replaced_shared, now)
    return [
        shared.get(content.id)
        or Published(content.id, heads=after, wakeup=wakeups[content.tenant] if after else None, replaced=replaced)
        for (content, _), (after, replaced) in zip(appearing, moved, strict=True)
    ]


async def _append_shared(
    connection: AsyncConnection, group: Sequence[Publish], now: int, bulk: Bulk
) -> tuple[dict[UUID, Published], Sequence[tuple[str, UUID]]]:
    """Append to the log what appears now to a shared audience.

    Returns the answers, by notification, and which notifications were replaced, by tenant and id.
    """
    items = [
        NewItem(TopicKey(publish.tenant, audience), publish.id, content.category, content.collapse_key)
        for publish in group
        for content in (publish.publication.content,)
        if (audience := publish.publication.audience) is not None and not publish.pending
    ]
    appended = list(zip(items, await append_items(connection, items, now, bulk), strict=True))
    answers = {
        item.notification: Published(item.notification, shared=one.event, gone=one.gone, wakeup=one.wakeup)
        for item, one in appended
    }
    return answers, [(item.key.tenant, one.replaced) for item, one in appended if one.replaced is not None]


def _add_contents(bulk: Bulk, group: Sequence[Publish]) -> None:
    """Add what concerns no head: contents, timers, deliveries, and items that appear later."""
    bulk.insert(
        notifications,
        [content_values(publish.publication.content, publish.publication.audience) for publish in group],
    )
    bulk.insert(timers, [timer for publish in group for timer in _timers(publish)])
    bulk.insert(
        deliveries,
        [
            delivery_values(delivery, publish.publication.content)
            for publish in group
            for delivery in publish.publication.deliveries
        ],
    )
    bulk.insert(
        expansions,
        [
            row
            for publish in group
            if publish.publication.audience is not None
            for row in expansion_rows(publish.publication.content)
        ],
    )
    bulk.insert(
        inbox_items,
        [
            _item(publish.publication.content, user, ItemState.PENDING, 0)
            for publish in group
            if publish.pending
            for user in set(publish.publication.users)
        ],
    )


def _inboxes(publish: Publish) -> list[InboxKey]:
    """Return the inboxes that items appear in now, in order."""
    if publish.pending:
        return []
    users, tenant = publish.publication.users, publish.tenant
    return [InboxKey(tenant, user) for user in (sorted(set(users)) if len(users) > 1 else users)]


def _appear(
    content: Content, keys: Sequence[InboxKey], heads: Heads, collapse: Collapse, cluster: str
) -> tuple[dict[str, Head], list[InboxChange]]:
    """Have an item appear in inboxes, each with the next version, or the one after that of what it replaces.

    Returns the heads as they are right after it, and what was replaced.
    """
    moved, replaced = {}, []
    for key in keys:
        head = heads[key]
        replaced += collapse.replace(content, head, cluster)
        head.version += 1
        head.add(_NEW)
        collapse.appeared(content, key, _NEW)
        moved[key.user] = head.head(cluster)
    return moved, replaced


def _item(content: Content, user: str, state: ItemState, version: int) -> Values:
    return {
        "tenant": content.tenant,
        "user_id": user,
        "notification_id": content.id,
        "state": int(state),
        "version": version,
        "since": version,
        "appeared_at": content.appears_at,
        "category": content.category,
        "collapse_key": content.collapse_key,
    }


def _timers(publish: Publish) -> list[Values]:
    content = publish.publication.content
    due = []
    if publish.pending and (publish.publication.users or publish.publication.audience is not None):
        due.append((TimerKind.RELEASE, content.appears_at))
    if content.expires_at is not None:
        due.append((TimerKind.EXPIRE, content.expires_at))
    return [
        {
            "id": uuid7(at),
            "tenant": content.tenant,
            "due_at": at,
            "kind": int(kind),
            "notification_id": content.id,
            "user_id": None,
        }
        for kind, at in due
    ]
