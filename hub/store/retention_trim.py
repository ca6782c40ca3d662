"""Trimming the beginning of a shared log, without changing a count that anybody reads.

What a head counts above a mark is a subtraction of ordinals (see `shared_sql`), and what went there is subtracted
in the head. Both look at log rows that are to be deleted. So each head is first taken past the position: what went is
settled, and its marks are moved there, together with what the head subtracts for the items in between, all of which
have gone. From then on nothing looks below the position: whoever comes later joined above it.
"""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, LogKind, Trim
from hub.store.delivery_sql import number
from hub.store.retention_drops import settle_all
from hub.store.shared_heads import wanted, wanted_values
from hub.store.shared_sql import fill, items_between, larger, spans, with_topics
from hub.store.tables import inbox_heads, notifications, shared_log, shared_logs

INBOXES_A_ROW = 100
"""Inboxes that may have to be changed for each row of the log that this deletes."""

_MANY = 10_000
"""Rows of which there need not be more to be worth it, however many inboxes there are."""


async def trimmable(connection: AsyncConnection, tenant: str) -> Trim | None:
    """Find up to where all items have gone and are archived; None if it is not worth a change of every inbox."""
    position: int | None = await connection.scalar(
        sa.select(shared_logs.c.position).where(shared_logs.c.tenant == tenant)
    )
    if position is None:
        return None
    needed: int | None = await connection.scalar(first_needed(tenant))
    upto = position if needed is None else needed - 1
    in_vain = sa.select(number(1)).where(shared_log.c.tenant == tenant, shared_log.c.position <= upto)
    rows: int | None = await connection.scalar(sa.select(sa.func.count()).select_from(in_vain.limit(_MANY).subquery()))
    if not rows:
        return None
    if rows == _MANY:
        return Trim(upto, rows)
    inboxes = sa.select(number(1)).where(inbox_heads.c.tenant == tenant).limit(rows * INBOXES_A_ROW + 1)
    found: int | None = await connection.scalar(sa.select(sa.func.count()).select_from(inboxes.subquery()))
    return None if found is None or found > rows * INBOXES_A_ROW else Trim(upto, rows)


def first_needed(tenant: str) -> sa.Select[tuple[int]]:
    """Select the position of the first item that is live, or whose notification is still there."""
    here = sa.and_(notifications.c.tenant == shared_log.c.tenant, notifications.c.id == shared_log.c.notification_id)
    content = sa.select(number(1)).select_from(notifications).where(here).correlate(shared_log).limit(number(1))
    log = shared_log.c
    held = sa.or_(log.gone_at_position.is_(None), content.scalar_subquery().is_not(None))
    items = sa.select(log.position).where(log.tenant == tenant, log.kind == int(LogKind.ITEM), held)
    return items.order_by(log.position).limit(1)


_TAKE_PAST = """
UPDATE inbox_heads SET
shared_unread = shared_unread + $unread, shared_unseen = shared_unseen + $unseen,
seen_mark = $seen_mark, read_mark = $read_mark, archived_mark = $archived_mark
WHERE (tenant, user_id) IN (SELECT tenant, user_id FROM $wanted)"""

_BETWEEN = "coalesce((SELECT sum($between) FROM $spans AS span), 0)"


@cache
def _pass(dialect: str) -> sa.TextClause:
    passed = {
        f"{level}_mark": larger(f"inbox_heads.{level}_mark", ":position") for level in ("seen", "read", "archived")
    }
    return sa.text(fill(_TAKE_PAST, unread=_between("read"), unseen=_between("seen"), wanted=wanted(dialect), **passed))


def _between(level: str) -> str:
    """Return how many items a head has between its mark and the position."""
    between = items_between("inbox_heads.tenant", f"inbox_heads.{level}_mark", ":position")
    return fill(_BETWEEN, between=between, spans=with_topics(spans("inbox_heads"), "inbox_heads.tenant"))


async def pass_inboxes(connection: AsyncConnection, tenant: str, position: int, after: str, limit: int) -> str | None:
    """Take the next heads past a position. Locks: heads."""
    head = inbox_heads.c
    chunk = sa.select(head.user_id).where(head.tenant == tenant, head.user_id > after)
    users = (await connection.execute(chunk.order_by(head.user_id).limit(limit))).scalars().all()
    if users:
        await settle_all(connection, tenant, users)
        dialect = connection.dialect.name
        keys = [InboxKey(tenant, user) for user in users]
        await connection.execute(_pass(dialect), {"position": position, **wanted_values(dialect, keys)})
    return users[-1] if len(users) == limit else None


async def trim(connection: AsyncConnection, tenant: str, position: int, limit: int) -> int:
    """Delete the first rows of a log."""
    log = shared_log.c
    first = sa.select(log.position).where(log.tenant == tenant, log.position <= position)
    oldest = first.order_by(log.position).limit(limit).scalar_subquery()
    return (
        await connection.execute(sa.delete(shared_log).where(log.tenant == tenant, log.position.in_(oldest)))
    ).rowcount
