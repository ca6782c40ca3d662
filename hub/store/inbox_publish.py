"""Publishing: everything that one publication stores, in one transaction."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.errors import IdempotencyConflict
from hub.core.ids import uuid7
from hub.core.model import Content, IdempotencyRecord, ItemState, Publication, Published, TimerKind
from hub.store.collapse import collapse
from hub.store.heads import (
    SAVE_HEAD,
    LockedHead,
    Tally,
    leave_wakeup,
    lock_heads,
    save_heads,
    saved_values,
    wakeup_values,
)
from hub.store.rows import Values, content_values, delivery_values
from hub.store.sql import insert_many, inserted
from hub.store.tables import deliveries, idempotency, inbox_items, notifications, timers, wakeups

_NEW = Tally(unread=1, unseen=1)
_ITEM = (
    "tenant",
    "user_id",
    "notification_id",
    "state",
    "version",
    "since",
    "appeared_at",
    "category",
    "collapse_key",
)


async def store(connection: AsyncConnection, publication: Publication, now: int, cluster: str) -> Published:
    """Store a publication, or find what an earlier one left under its idempotency key."""
    content = publication.content
    if publication.idempotency is not None:
        earlier = await _claim_key(connection, publication.idempotency, content, now)
        if earlier is not None:
            return earlier
    users = sorted(set(publication.users))
    due = _timers(publication, now)
    # Nothing but one inbox needs the content's row: it can come with the item.
    alone = len(users) == 1 and not due and not publication.deliveries and connection.dialect.name == "postgresql"
    if not alone:
        await connection.execute(sa.insert(notifications), content_values(content))
    await insert_many(connection, timers, due)
    await insert_many(
        connection, deliveries, [delivery_values(delivery, content) for delivery in publication.deliveries]
    )
    if not users:
        return Published(content.id)
    if content.appears_at > now:
        await insert_many(connection, inbox_items, [_item(content, user, ItemState.PENDING, 0) for user in users])
        return Published(content.id)
    heads = await lock_heads(connection, content.tenant, users, now)
    replaced = await collapse(connection, content, heads, now, cluster)
    if len(heads) == 1 and connection.dialect.name == "postgresql":
        [head] = heads.values()
        wakeup = await _appear_at_once(connection, content, head, now, with_content=alone)
    else:
        versions = await _appear(connection, content, heads)
        wakeup = await leave_wakeup(connection, content.tenant, versions, now)
    after = {user: head.head(cluster) for user, head in heads.items()}
    return Published(content.id, heads=after, wakeup=wakeup, replaced=replaced)


async def find(connection: AsyncConnection, publication: Publication) -> Published | None:
    """Find out whether a publication was stored although its COMMIT was not confirmed.

    Its heads are not told of here: the wake-up row is still there, and a sweeper tells them.
    """
    content = publication.content
    here = sa.and_(notifications.c.tenant == content.tenant, notifications.c.id == content.id)
    found = (await connection.execute(sa.select(notifications.c.id).where(here))).first()
    return None if found is None else Published(content.id)


async def _claim_key(
    connection: AsyncConnection, record: IdempotencyRecord, content: Content, now: int
) -> Published | None:
    """Take the key, or return what was published under it; waits for another who is taking it right now."""
    row = {
        "tenant": content.tenant,
        "operation": record.operation,
        "key": record.key,
        "body_hash": record.body_hash,
        "response": record.response,
        "notification_id": content.id,
        "created_at": now,
    }
    if await inserted(connection, idempotency, row):
        return None
    here = sa.and_(
        idempotency.c.tenant == content.tenant,
        idempotency.c.operation == record.operation,
        idempotency.c.key == record.key,
    )
    first = (await connection.execute(sa.select(idempotency).where(here))).one()
    if not hmac.compare_digest(first.body_hash, record.body_hash):
        raise IdempotencyConflict("this idempotency key was used before, with another body")
    return Published(first.notification_id, response=first.response, replayed=True)


async def _appear(connection: AsyncConnection, content: Content, heads: Mapping[str, LockedHead]) -> dict[str, int]:
    """Insert LIVE items, each with its user's next version."""
    for head in heads.values():
        head.version += 1
        head.add(_NEW)
    versions = {user: head.version for user, head in heads.items()}
    await save_heads(connection, content.tenant, heads.values())
    rows = [_item(content, user, ItemState.LIVE, version) for user, version in versions.items()]
    await insert_many(connection, inbox_items, rows)
    return versions


_APPEAR_AT_ONCE = (
    sa.insert(wakeups)
    .values({column.name: sa.bindparam(f"wakeup_{column.name}") for column in wakeups.c})
    .add_cte(
        SAVE_HEAD.cte("saved"),
        sa.insert(inbox_items).values({name: sa.bindparam(f"item_{name}") for name in _ITEM}).cte("appeared"),
    )
)


_CONTENT = [column.name for column in notifications.c if column.name not in {"audience", "recalled_at"}]
_ALL_AT_ONCE = _APPEAR_AT_ONCE.add_cte(
    sa.insert(notifications).values({name: sa.bindparam(f"content_{name}") for name in _CONTENT}).cte("content")
)


async def _appear_at_once(
    connection: AsyncConnection, content: Content, head: LockedHead, now: int, *, with_content: bool
) -> UUID:
    """Do what `_appear` and `leave_wakeup` do, for one user and in one round trip instead of three.

    `with_content`: the notification's row too (foreign keys are checked when a statement has ended).
    """
    head.version += 1
    head.add(_NEW)
    identifier = uuid7(now)
    item = _item(content, head.user, ItemState.LIVE, head.version)
    wakeup = wakeup_values(identifier, content.tenant, {head.user: head.version}, now)
    row = content_values(content) if with_content else {}
    await connection.execute(
        _ALL_AT_ONCE if with_content else _APPEAR_AT_ONCE,
        {
            **saved_values(content.tenant, head),
            **{f"content_{name}": value for name, value in row.items()},
            **{f"item_{name}": value for name, value in item.items()},
            **{f"wakeup_{name}": value for name, value in wakeup.items()},
        },
    )
    return identifier


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


def _timers(publication: Publication, now: int) -> list[Values]:
    content = publication.content
    due = []
    if publication.users and content.appears_at > now:
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
