"""Counting failed deliveries for alerts, and handing the counts out to whoever tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Alert, AlertGroup, Channel, DeadLetter, FailureKind
from hub.store.engine import Database
from hub.store.rows import Row
from hub.store.sql import insert_on_conflict
from hub.store.tables import deliveries
from hub.store.tables_alerts import alerts


class Failed(NamedTuple):
    """One delivery that failed."""

    group: AlertGroup
    delivery: UUID


async def count_failures(connection: AsyncConnection, failed: Iterable[Failed], now: int) -> None:
    """Add to the groups' counts, in the transaction in which the deliveries fail: none is told of that did not.

    Locks the groups' rows in the order of their keys, after everything else.
    """
    groups: dict[AlertGroup, list[UUID]] = {}
    for failure in failed:
        groups.setdefault(failure.group, []).append(failure.delivery)
    if not groups:
        return
    insert = insert_on_conflict(connection.dialect.name, alerts)
    new = insert.excluded
    added = insert.on_conflict_do_update(
        index_elements=list(alerts.primary_key.columns),
        set_={
            "untold": alerts.c.untold + new.untold,
            "since": sa.case((alerts.c.untold == 0, new.since), else_=alerts.c.since),
            "latest": new.latest,
        },
    )
    rows = [
        {**_key(group), "untold": len(own), "since": now, "latest": own[-1]} for group, own in sorted(groups.items())
    ]
    await connection.execute(added, rows)


_free = (
    sa.select(*alerts.primary_key.columns)
    .where(alerts.c.untold > sa.literal_column("0"), alerts.c.quiet_until <= sa.bindparam("now"))
    .order_by(alerts.c.quiet_until)
    .limit(sa.bindparam("limit"))
    .with_for_update(skip_locked=True)
    .cte("free")
)
_claim = (
    sa.update(alerts)
    .where(*(column == _free.c[column.name] for column in alerts.primary_key.columns))
    .values(quiet_until=sa.bindparam("leased_until"), fence=alerts.c.fence + 1)
    .returning(alerts)
)
_next_due = sa.select(sa.func.min(alerts.c.quiet_until)).where(alerts.c.untold > sa.literal_column("0"))


class SqlAlerts:
    """Implements `Alerts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, now: int, lease: int, limit: int) -> Sequence[Alert]:
        """Take groups with something to tell; see the port."""

        async def claim(connection: AsyncConnection) -> list[Alert]:
            taken = await connection.execute(_claim, {"now": now, "limit": limit, "leased_until": now + lease})
            rows = sorted(taken.all(), key=lambda row: (row.since, *_group(row)))
            letters = await _letters(connection, rows)
            return [_alert(row, letters) for row in rows]

        return await self._database.write(claim)

    async def told(self, alert: Alert, now: int, quiet: int) -> None:
        """Write down that it was told; what failed meanwhile stays counted."""
        left = alerts.c.untold - alert.count
        await self._update(alert, untold=left, since=now, quiet_until=now + quiet, number=alert.number + 1, tries=0)

    async def failed(self, alert: Alert, again_at: int) -> None:
        """Write down that it could not be told."""
        await self._update(alert, quiet_until=again_at, tries=alert.tries + 1)

    async def next_due(self) -> int | None:
        """Return when the next group has something to tell."""

        async def read(connection: AsyncConnection) -> int | None:
            due: int | None = await connection.scalar(_next_due)
            return due

        return await self._database.read(read)

    async def _update(self, alert: Alert, **values: Any) -> None:
        ours = [alerts.c[name] == value for name, value in _key(alert.group).items()]

        # By its number too: where a COMMIT was lost sight of this runs again, and must count nothing twice.
        ours += [alerts.c.fence == alert.fence, alerts.c.number == alert.number]

        async def update(connection: AsyncConnection) -> None:
            await connection.execute(sa.update(alerts).where(*ours).values(values))

        await self._database.write(update)


def _key(group: AlertGroup) -> dict[str, str]:
    return {
        "tenant": group.tenant,
        "channel": group.channel.value,
        "provider": group.provider,
        "kind": group.kind.value,
    }


def _group(row: Row) -> AlertGroup:
    return AlertGroup(row.tenant, Channel(row.channel), row.provider, FailureKind(row.kind))


def _alert(row: Row, letters: dict[tuple[str, UUID], DeadLetter]) -> Alert:
    return Alert(
        group=_group(row),
        number=row.number,
        fence=row.fence,
        tries=row.tries,
        count=row.untold,
        since=row.since,
        latest=letters.get((row.tenant, row.latest)),
    )


async def _letters(connection: AsyncConnection, rows: Sequence[Row]) -> dict[tuple[str, UUID], DeadLetter]:
    """Read the deliveries that are the examples. One erased or sent again meanwhile is missing."""
    keys = sorted((row.tenant, row.latest) for row in rows)
    if not keys:
        return {}
    found = await connection.execute(
        sa.select(deliveries).where(sa.tuple_(deliveries.c.tenant, deliveries.c.id).in_(keys))
    )
    return {
        (row.tenant, row.id): DeadLetter(row.id, row.notification_id, row.user_id, row.reason or "", row.finished_at)
        for row in found
        if row.finished_at is not None
    }
