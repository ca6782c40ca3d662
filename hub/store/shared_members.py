"""Memberships: joining and leaving in bulk, and who is a member of what.

Locks: the log's counter, the topic, memberships, heads. The position that a call takes orders it against publishes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor, epoch_of
from hub.core.ids import uuid7
from hub.core.model import InboxKey, MembershipChange, SharedWakeup, TopicHead, TopicKey
from hub.store.bulk import Bulk
from hub.store.heads import make_heads
from hub.store.shared_append import make_topics, take_positions
from hub.store.shared_heads import wanted, wanted_values
from hub.store.shared_sql import fill
from hub.store.sql import among
from hub.store.tables import memberships, shared_logs, topics, wakeups

_JOIN = """
INSERT INTO memberships (tenant, user_id, topic, joined)
SELECT tenant, user_id, CAST(:topic AS TEXT), CAST(:position AS BIGINT) FROM $wanted WHERE true
ON CONFLICT DO NOTHING RETURNING user_id"""

_LEAVE = """
UPDATE memberships SET left_at = :position
WHERE (tenant, user_id) IN (SELECT tenant, user_id FROM $wanted) AND topic = :topic AND left_at IS NULL
RETURNING user_id"""

_LOCK = """
SELECT head.user_id FROM $wanted CROSS JOIN inbox_heads AS head
WHERE head.tenant = wanted.tenant AND head.user_id = wanted.user_id
ORDER BY head.tenant, head.user_id FOR UPDATE OF head"""

_MOVE = """
UPDATE inbox_heads SET version = version + 1 WHERE (tenant, user_id) IN (SELECT tenant, user_id FROM $wanted)
RETURNING user_id, epoch, version"""


@cache
def _statement(template: str, dialect: str) -> sa.TextClause:
    return sa.text(fill(template, wanted=wanted(dialect)))


async def join(
    connection: AsyncConnection, key: TopicKey, users: Sequence[str], now: int, cluster: str
) -> MembershipChange:
    """Open an interval for each user who has none open."""
    taken = await take_positions(connection, key.tenant, 1, now)
    await make_topics(connection, [key], now)
    changed, previous = await _change(connection, _JOIN, key, users, taken.position)
    await make_heads(connection, [InboxKey(key.tenant, user) for user in changed], now)
    return MembershipChange(taken.position, previous, *await _moved(connection, key.tenant, changed, now, cluster))


async def leave(
    connection: AsyncConnection, key: TopicKey, users: Sequence[str], now: int, cluster: str
) -> MembershipChange:
    """Close the open intervals of users."""
    taken = await take_positions(connection, key.tenant, 1, now)
    changed, previous = await _change(connection, _LEAVE, key, users, taken.position)
    return MembershipChange(taken.position, previous, *await _moved(connection, key.tenant, changed, now, cluster))


async def _change(
    connection: AsyncConnection, template: str, key: TopicKey, users: Sequence[str], position: int
) -> tuple[list[str], int]:
    """Change memberships; returns whose changed, and the position of what happened in the topic before."""
    dialect = connection.dialect.name
    values = wanted_values(dialect, [InboxKey(key.tenant, user) for user in sorted(set(users))])
    rows = await connection.execute(_statement(template, dialect), {"topic": key.topic, "position": position, **values})
    changed = sorted(rows.scalars())
    if not changed:
        return [], 0
    before = (await heads(connection, key.tenant, [key.topic]))[key.topic]
    here = sa.and_(topics.c.tenant == key.tenant, topics.c.topic == key.topic)
    await connection.execute(sa.update(topics).where(here).values(members_at=position))
    return changed, before.last


async def _moved(
    connection: AsyncConnection, tenant: str, users: Sequence[str], now: int, cluster: str
) -> tuple[Mapping[str, Cursor], SharedWakeup | None]:
    """Give the inboxes whose memberships changed the next version, so that whoever serves them hears of it."""
    if not users:
        return {}, None
    dialect = connection.dialect.name
    values = wanted_values(dialect, [InboxKey(tenant, user) for user in users])
    if dialect == "postgresql":
        await connection.execute(_statement(_LOCK, dialect), values)
    rows = (await connection.execute(_statement(_MOVE, dialect), values)).all()
    cursors = {row.user_id: Cursor(epoch_of(cluster, row.epoch), row.version) for row in rows}
    wakeup = SharedWakeup(uuid7(now), 1)
    moved = json.dumps([[row.user_id, row.version] for row in rows])
    bulk = Bulk(connection)
    bulk.insert(wakeups, [{"id": wakeup.id, "tenant": tenant, "heads": moved, "created_at": now}])
    await bulk.write()
    return {user: cursors[user] for user in users}, wakeup


async def members(connection: AsyncConnection, key: TopicKey, after: str, limit: int) -> Sequence[str]:
    """Read one page of a topic's members."""
    member = memberships.c
    here = sa.and_(member.tenant == key.tenant, member.topic == key.topic, member.left_at.is_(None))
    page = sa.select(member.user_id).where(here, member.user_id > after).order_by(member.user_id).limit(limit)
    return (await connection.execute(page)).scalars().all()


_TOPICS = """
SELECT member.tenant, member.user_id, member.topic FROM $wanted CROSS JOIN memberships AS member
WHERE member.tenant = wanted.tenant AND member.user_id = wanted.user_id AND (:left OR member.left_at IS NULL)"""


async def topics_of(
    connection: AsyncConnection, keys: Sequence[InboxKey], *, left: bool
) -> Mapping[InboxKey, Sequence[str]]:
    """Read the topics of users."""
    dialect = connection.dialect.name
    rows = await connection.execute(
        _statement(_TOPICS, dialect), {"left": left, **wanted_values(dialect, sorted(set(keys)))}
    )
    found: defaultdict[InboxKey, set[str]] = defaultdict(set)
    for row in rows:
        found[InboxKey(row.tenant, row.user_id)].add(row.topic)
    return {key: sorted(names) for key, names in found.items()}


async def heads(connection: AsyncConnection, tenant: str, names: Sequence[str]) -> Mapping[str, TopicHead]:
    """Read the positions of topics' last events."""
    here = sa.and_(topics.c.tenant == tenant, among(connection, topics.c.topic, names))
    rows = await connection.execute(sa.select(topics.c.topic, topics.c.position, topics.c.members_at).where(here))
    return dict.fromkeys(names, TopicHead(0, 0)) | {topic: TopicHead(*head) for topic, *head in rows}


async def log_positions(connection: AsyncConnection, tenants: Collection[str]) -> Mapping[str, int]:
    """Read how far tenants' logs have got."""
    logs = shared_logs.c
    here = among(connection, logs.tenant, sorted(tenants))
    rows = await connection.execute(sa.select(logs.tenant, logs.position).where(here))
    return dict.fromkeys(tenants, 0) | {row.tenant: row.position for row in rows}
