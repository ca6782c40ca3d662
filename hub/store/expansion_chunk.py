"""One chunk of an expansion: the next members of the audience, and the deliveries that they need.

A chunk is one transaction. It holds the expansion's row, makes deliveries, and moves the row on: so a crash leaves
the row as it was before the chunk, with none of its deliveries, and no lease or fence is needed. Others who want
the same row meanwhile pass over it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.expansion import Member, Verdict, judge, next_turn
from hub.core.model import Channel, Content, ExpansionState, LogKind, Rung
from hub.core.plan import channels_of
from hub.ports import Expanded, ExpansionKey
from hub.store.delivery_sql import number, shared_rung
from hub.store.delivery_turns import SharedRecipient, make_shared, shared_delivery
from hub.store.queue_pauses import not_paused
from hub.store.rows import Row, Values, content_of
from hub.store.tables import (
    deliveries,
    devices,
    expansions,
    inbox_heads,
    memberships,
    notifications,
    shared_items,
    shared_log,
    users,
)

_EXPIRED = "The notification expired before everybody had got this step."
_WITHDRAWN = "The notification was withdrawn."

waiting: sa.ColumnElement[bool] = expansions.c.state == sa.literal_column(f"'{ExpansionState.WAITING.value}'")
"""In the statement's text, so that the partial index applies."""

_here = sa.and_(
    expansions.c.tenant == sa.bindparam("of_tenant"),
    expansions.c.notification_id == sa.bindparam("of_notification"),
    expansions.c.step == sa.bindparam("of_step"),
)
_take = (
    sa.select(expansions)
    .where(_here, waiting, not_paused(expansions), expansions.c.due_at <= sa.bindparam("now"))
    .with_for_update(skip_locked=True)
)

_about = (
    sa.select(notifications, shared_log.c.position, shared_log.c.gone_at_position)
    .select_from(
        notifications.outerjoin(
            shared_log,
            sa.and_(
                shared_log.c.tenant == notifications.c.tenant,
                shared_log.c.notification_id == notifications.c.id,
                shared_log.c.kind == number(LogKind.ITEM),
            ),
        )
    )
    .where(notifications.c.tenant == sa.bindparam("tenant"), notifications.c.id == sa.bindparam("notification"))
)

_position: sa.BindParameter[int] = sa.bindparam("position", type_=sa.BigInteger)


def _next_users(column: sa.Column[str], *conditions: sa.ColumnElement[bool]) -> Any:
    return (
        sa.select(column.label("user_id"))
        .where(column.table.c.tenant == sa.bindparam("tenant"), column > sa.bindparam("after_user"), *conditions)
        .order_by(column)
        .limit(sa.bindparam("limit"))
    )


def _members(audience: Any) -> Any:
    """Select the next members of an audience, how far they have got, and by what they can be reached.

    By subqueries, which are probes of an index: for joins PostgreSQL would read tables of some 100,000 rows whole.
    """
    chunk = audience.cte("chunk")

    def of_member(table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.tenant == sa.bindparam("tenant"), table.c.user_id == chunk.c.user_id)

    touched = sa.and_(of_member(shared_items), shared_items.c.position == _position)
    rung = sa.select(shared_rung(_position)).select_from(inbox_heads.outerjoin(shared_items, touched))
    return sa.select(
        chunk.c.user_id,
        rung.where(of_member(inbox_heads)).scalar_subquery().label("rung"),
        sa.select(users.c.email).where(of_member(users)).scalar_subquery().label("email"),
        sa.select(users.c.phone).where(of_member(users)).scalar_subquery().label("phone"),
        sa.select(devices.c.id).where(of_member(devices)).limit(number(1)).scalar_subquery().label("device"),
    ).order_by(chunk.c.user_id)


def _interval(*conditions: sa.ColumnElement[bool]) -> Any:
    """Select members by one of the two indexes of intervals: those that are open, or those that have ended."""
    of_topic = (memberships.c.topic == sa.bindparam("topic"), memberships.c.joined < _position)
    return sa.select(_next_users(memberships.c.user_id, *of_topic, *conditions).subquery().c.user_id)


_of_topic = sa.union_all(
    _interval(memberships.c.left_at.is_(None)),
    _interval(memberships.c.left_at.is_not(None), memberships.c.left_at >= _position),
).subquery()
members_of_topic = _members(sa.select(_of_topic.c.user_id).order_by(_of_topic.c.user_id).limit(sa.bindparam("limit")))
"""Intervals are `(joined, left_at]`, and those of one user do not overlap."""

members_of_everybody = _members(_next_users(inbox_heads.c.user_id, inbox_heads.c.joined < _position))

steps_at_hand = sa.select(deliveries.c.user_id, deliveries.c.step).where(
    deliveries.c.tenant == sa.bindparam("tenant"),
    deliveries.c.notification_id == sa.bindparam("notification"),
    deliveries.c.user_id >= sa.bindparam("first"),
    deliveries.c.user_id <= sa.bindparam("last"),
)


async def expand(
    connection: AsyncConnection, expansion: ExpansionKey, now: int, channels: frozenset[Channel], limit: int
) -> Expanded | None:
    """Expand over the next members; see `Expansions.expand`. Locks: the expansion, (inserts deliveries)."""
    key = {"of_tenant": expansion.tenant, "of_notification": expansion.notification, "of_step": expansion.step}
    taken = (await connection.execute(_take, {**key, "now": now})).first()
    if taken is None:
        return None
    about = await connection.execute(_about, {"tenant": expansion.tenant, "notification": expansion.notification})
    found = about.first()
    if found is None or found.gone_at_position is not None:
        return await _end(connection, key, ExpansionState.CANCELLED, _WITHDRAWN, now)
    content = content_of(found)
    if content.expires_at is not None and content.expires_at <= now:
        return await _end(connection, key, ExpansionState.EXPIRED, _EXPIRED, now)
    if found.position is None:
        return None  # not released yet
    audience = _Audience(content, found.topic, found.position)
    rows = await _next_rows(connection, audience, taken.after_user, limit)
    verdicts = await _judge(connection, audience, taken, rows, channels)
    made = [user for user, verdict in verdicts.items() if verdict is Verdict.DELIVER]
    await make_shared(connection, (_delivery(audience, user, taken.step, now) for user in made))
    ended = await _move_on(connection, key, taken, content, rows, Counter(verdicts.values()), limit, now)
    return Expanded(len(made), ended)


@dataclass(frozen=True, slots=True)
class _Audience:
    """Whom a notification is for: the members of its topic ('': everybody) when its item took this position."""

    content: Content
    topic: str
    position: int


async def _next_rows(connection: AsyncConnection, audience: _Audience, after_user: str, limit: int) -> Sequence[Row]:
    values: Values = {
        "tenant": audience.content.tenant,
        "position": audience.position,
        "after_user": after_user,
        "limit": limit,
    }
    if not audience.topic:
        return (await connection.execute(members_of_everybody, values)).all()
    return (await connection.execute(members_of_topic, {**values, "topic": audience.topic})).all()


async def _judge(
    connection: AsyncConnection, audience: _Audience, taken: Row, rows: Sequence[Row], channels: frozenset[Channel]
) -> Mapping[str, Verdict]:
    """Decide about each member; who has no inbox any more, being erased, is none."""
    if not rows:
        return {}
    content = audience.content
    steps: defaultdict[str, set[int]] = defaultdict(set)
    for row in await connection.execute(
        steps_at_hand,
        {
            "tenant": content.tenant,
            "notification": content.id,
            "first": rows[0].user_id,
            "last": rows[-1].user_id,
        },
    ):
        steps[row.user_id].add(row.step)
    return {
        row.user_id: judge(content.plan, taken.step, taken.turn, _member(row, channels, steps[row.user_id]))
        for row in rows
        if row.rung is not None
    }


def _member(row: Row, channels: frozenset[Channel], steps: Collection[int]) -> Member:
    reachable = channels_of(email=bool(row.email), phone=bool(row.phone), devices=row.device is not None)
    return Member(row.user_id, Rung(row.rung), reachable & channels, frozenset(steps))


def _delivery(audience: _Audience, user: str, step: int, now: int) -> Values:
    content = audience.content
    recipient = SharedRecipient(content.tenant, content.id, audience.position, user, content.priority)
    return shared_delivery(recipient, content.plan, step, now)


async def _move_on(  # noqa: PLR0917 - all that a chunk knows
    connection: AsyncConnection,
    key: Values,
    taken: Row,
    content: Content,
    rows: Sequence[Row],
    verdicts: Mapping[Verdict, int],
    limit: int,
    now: int,
) -> bool:
    """Count what the chunk came to, and go on to the next one, the next turn, or the end; returns whether it ended."""
    counts = {
        "members": sum(verdicts.values()),
        "deliveries": verdicts.get(Verdict.DELIVER, 0) + verdicts.get(Verdict.HAS_IT, 0),
        "reached": verdicts.get(Verdict.REACHED, 0),
        "unreachable": verdicts.get(Verdict.NO_ENDPOINT, 0),
    }
    turn = next_turn(content.plan, taken.step, taken.turn)
    values: Values = {name: expansions.c[name] + count for name, count in counts.items()}
    ended = False
    if len(rows) == limit:
        # Behind all others of its lane that are due: a small audience need not wait for the end of a large one.
        values |= {"after_user": rows[-1].user_id, "due_at": now}
    elif turn is not None:
        values = {**dict.fromkeys(counts, 0), "after_user": "", "turn": turn, "due_at": content.appears_at + turn}
    else:
        ended = True
        values |= {"state": ExpansionState.DONE.value, "after_user": "", "finished_at": now}
    await connection.execute(sa.update(expansions).where(_here).values(values), key)
    return ended


async def _end(connection: AsyncConnection, key: Values, state: ExpansionState, reason: str, now: int) -> Expanded:
    ending = {"state": state.value, "reason": reason, "after_user": "", "finished_at": now}
    await connection.execute(sa.update(expansions).where(_here).values(ending), key)
    return Expanded(0, ended=True)
