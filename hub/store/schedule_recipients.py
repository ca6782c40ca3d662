"""Schedules that name a user: read for an export, and made to name the user no more."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, Schedule
from hub.core.scheduling import without_user
from hub.store.schedules import delete_schedules, schedule_of
from hub.store.sql import among
from hub.store.tables_schedules import schedule_recipients, schedules

ERASED_AT_ONCE = 50
"""Schedules that one transaction takes a user out of; what one publishes can be 1 MiB."""


async def naming(connection: AsyncConnection, key: InboxKey, after: UUID | None, limit: int) -> list[Schedule]:
    """Read a page of the schedules that name a user, in the order of their ids."""
    named = sa.select(schedules).select_from(
        schedule_recipients.join(
            schedules,
            sa.and_(
                schedules.c.tenant == schedule_recipients.c.tenant,
                schedules.c.id == schedule_recipients.c.schedule_id,
            ),
        )
    )
    here = named.where(*_of(key)).order_by(schedule_recipients.c.schedule_id).limit(limit)
    if after is not None:
        here = here.where(schedule_recipients.c.schedule_id > after)
    return [schedule_of(row) for row in await connection.execute(here)]


async def take_out(connection: AsyncConnection, key: InboxKey) -> bool:
    """Take a user out of some schedules, and delete those that name nobody else; False if there were none.

    Locks: schedules. A run of one that is on its way is over by then, or finds the schedule changed.
    """
    some = sa.select(schedule_recipients.c.schedule_id).where(*_of(key)).order_by(schedule_recipients.c.schedule_id)
    found = (await connection.execute(some.limit(ERASED_AT_ONCE))).scalars().all()
    if not found:
        return False
    here = sa.and_(schedules.c.tenant == key.tenant, among(connection, schedules.c.id, found))
    rows = (await connection.execute(sa.select(schedules).where(here).order_by(schedules.c.id).with_for_update())).all()
    left = {row.id: without_user(row.notification.encode(), key.user) for row in rows}
    nobodys = sa.select(schedules.c.tenant, schedules.c.id).where(
        schedules.c.tenant == key.tenant,
        among(connection, schedules.c.id, [schedule for schedule, template in left.items() if template is None]),
    )
    await delete_schedules(connection, (await connection.execute(nobodys)).all())
    for schedule, template in left.items():
        if template is not None:
            await connection.execute(
                sa.update(schedules)
                .where(schedules.c.tenant == key.tenant, schedules.c.id == schedule)
                .values(notification=template.decode(), revision=schedules.c.revision + 1)
            )
    gone = sa.and_(*_of(key), among(connection, schedule_recipients.c.schedule_id, found))
    await connection.execute(sa.delete(schedule_recipients).where(gone))
    return True


def _of(key: InboxKey) -> tuple[sa.ColumnElement[bool], ...]:
    return schedule_recipients.c.tenant == key.tenant, schedule_recipients.c.user_id == key.user
