"""What the clock does to shared items: they appear at `deliver_at`, and come back when a snooze ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxChange, InboxKey, MarkAction, Selection, TopicKey
from hub.store.bulk import Bulk
from hub.store.heads import leave_wakeups, lock_heads, save_heads
from hub.store.marks import Mark
from hub.store.recipients import Applied
from hub.store.rows import Row
from hub.store.shared_append import NewItem, append_items
from hub.store.shared_items import held_by_ids, save_items
from hub.store.shared_read import item
from hub.store.sql import among
from hub.store.tables import notifications


class Released(NamedTuple):
    """What has appeared and gone in the log, and the notifications that were replaced."""

    told: Applied
    replaced: Sequence[UUID]


async def release(connection: AsyncConnection, tenant: str, of: Sequence[UUID], now: int) -> Released:
    """Append those of some notifications that are for a shared audience to the log, in the order of their times.

    Of the plans of what they replace nothing is cancelled here.
    """
    content = notifications.c
    here = sa.and_(content.tenant == tenant, among(connection, content.id, of), content.topic.is_not(None))
    rows = await connection.execute(sa.select(notifications).where(here).order_by(content.deliver_at, content.id))
    new = [NewItem(TopicKey(tenant, row.topic), row.id, row.category, row.collapse_key) for row in rows]
    bulk = Bulk(connection)
    told: Applied = []
    replaced = []
    for one in await append_items(connection, new, now, bulk):
        if one.gone is not None:
            told.append((one.gone, None))
        if one.replaced is not None:
            replaced.append(one.replaced)
        told.append((one.event, one.wakeup))
    await bulk.write()
    return Released(told, replaced)


async def unsnooze(connection: AsyncConnection, timer: Row, now: int, cluster: str) -> Applied:
    """Bring a snoozed item back, told whole. A timer of an earlier snooze does nothing. Locks: the head."""
    key = InboxKey(timer.tenant, timer.user_id)
    if await item(connection, key, timer.notification_id) is None:
        return []
    head = (await lock_heads(connection, [key], now, Bulk(connection)))[key]
    held = (await held_by_ids(connection, [(*key, timer.notification_id)])).get(key, {}).values()
    snoozed = [each for each in held if each.snoozed_until == timer.due_at]
    if not snoozed:
        return []
    head.version += 1
    back = Mark(key, MarkAction.SNOOZE, Selection(ids=(timer.notification_id,)), now, None)
    for each in snoozed:
        head.add_shared(each.tally, -1)
        back.change(each)
        each.version = head.version
        head.add_shared(each.tally)
    bulk = Bulk(connection)
    save_items(bulk, [(key, each) for each in snoozed])
    save_heads(bulk, [head])
    wakeups = leave_wakeups(bulk, [head], {key.tenant: 1}, now)
    await bulk.write()
    whole = await item(connection, key, timer.notification_id)
    return [(InboxChange(key, head.head(cluster), item=whole), wakeups[key.tenant])]
