"""What workers tell of their providers, and handing out what operators are to be told of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import Channel, ProviderOutage
from hub.core.model.queues import ProviderSign
from hub.core.outages import Outage, observe, to_tell
from hub.store.engine import Database
from hub.store.rows import Row
from hub.store.sql import insert_on_conflict
from hub.store.tables_alerts import provider_outages as outages
from hub.store.tables_queue import workers
from hub.store.worker_reports import ALIVE


class _Key(NamedTuple):
    channel: str
    provider: str


_Signs = Mapping[_Key, Sequence[ProviderSign]]


class SqlOutages:
    """Implements `Outages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, now: int, lease: int) -> Sequence[ProviderOutage]:
        """Look at the reports, and take what there is to tell; see the port."""

        async def anything(connection: AsyncConnection) -> bool:
            signs, rows = await _signs(connection, now), await _rows(connection)
            return any(_news(rows.get(key), signs.get(key, ()), now) for key in {*signs, *rows})

        async def claim(connection: AsyncConnection) -> list[ProviderOutage]:
            signs = await _signs(connection, now)
            await _begin(connection, signs)
            claimed: list[ProviderOutage] = []
            for key, row in (await _rows(connection, lock=True)).items():
                own = signs.get(key, ())
                outage = observe(_outage(row), own, now)
                assert outage is not None  # noqa: S101 - there is a row
                taken = to_tell(outage, now) and row.held_until <= now
                values: dict[str, Any] = {"since": outage.since, "ended_at": outage.ended_at}
                if taken:
                    values |= {"held_until": now + lease, "fence": row.fence + 1}
                    claimed.append(_claimed(key, outage, own, row))
                await connection.execute(sa.update(outages).where(*_is(key)).values(values))
            return claimed

        # Looked at every few seconds by every worker: nobody writes, and waits for others, where there is no news.
        return await self._database.write(claim) if await self._database.read(anything) else []

    async def told(self, outage: ProviderOutage, now: int, quiet: int) -> None:
        """Write down that it was told."""
        is_out = outage.ended_at is None
        values = {"told": is_out, "number": outage.number + 1, "tries": 0, "held_until": 0}
        await self._update(outage, values | ({"quiet_until": now + quiet} if is_out else {}))

    async def failed(self, outage: ProviderOutage, again_at: int) -> None:
        """Write down that it could not be told."""
        await self._update(outage, {"held_until": again_at, "tries": outage.tries + 1})

    async def _update(self, outage: ProviderOutage, values: Mapping[str, Any]) -> None:
        ours = (
            *_is(_Key(outage.channel.value, outage.provider)),
            outages.c.fence == outage.fence,
            outages.c.number == outage.number,
        )

        async def update(connection: AsyncConnection) -> None:
            await connection.execute(sa.update(outages).where(*ours).values(dict(values)))

        await self._database.write(update)


async def _signs(connection: AsyncConnection, now: int) -> _Signs:
    """Read what living workers tell, by provider."""
    living = sa.select(workers.c.providers).where(workers.c.seen_at > now - ALIVE)
    signs: defaultdict[_Key, list[ProviderSign]] = defaultdict(list)
    for told in await connection.scalars(living):
        for channel, provider, out_since, answered_at in json.loads(told):
            signs[_Key(channel, provider)].append(ProviderSign(Channel(channel), provider, out_since, answered_at))
    return signs


async def _begin(connection: AsyncConnection, signs: _Signs) -> None:
    """Make rows for providers that are out for the first time; they say that it was back long ago."""
    out = sorted(key for key, own in signs.items() if observe(None, own, 0) is not None)
    if out:
        new = insert_on_conflict(connection.dialect.name, outages).on_conflict_do_nothing()
        await connection.execute(new, [{**key._asdict(), "since": 0, "ended_at": 0} for key in out])


async def _rows(connection: AsyncConnection, *, lock: bool = False) -> Mapping[_Key, Row]:
    found = sa.select(outages).order_by(outages.c.channel, outages.c.provider)
    rows = await connection.execute(found.with_for_update() if lock else found)
    return {_Key(row.channel, row.provider): row for row in rows}


def _news(row: Row | None, signs: Sequence[ProviderSign], now: int) -> bool:
    known = None if row is None else _outage(row)
    outage = observe(known, signs, now)
    return outage != known or (outage is not None and to_tell(outage, now) and (row is None or row.held_until <= now))


def _outage(row: Row) -> Outage:
    return Outage(row.since, row.ended_at, row.told, row.quiet_until)


def _claimed(key: _Key, outage: Outage, signs: Sequence[ProviderSign], row: Row) -> ProviderOutage:
    return ProviderOutage(
        channel=Channel(key.channel),
        provider=key.provider,
        since=outage.since,
        ended_at=outage.ended_at,
        workers=sum(sign.out_since is not None for sign in signs),
        of_workers=len(signs),
        number=row.number,
        fence=row.fence + 1,
        tries=row.tries,
    )


def _is(key: _Key) -> tuple[sa.ColumnElement[bool], ...]:
    return outages.c.channel == key.channel, outages.c.provider == key.provider
