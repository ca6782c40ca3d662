"""Use cases while parts fail in the middle of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.bus.memory import MemoryBus, MemoryPresence
from hub.core import wire
from hub.core.errors import StoreUnavailable
from hub.core.model import InboxKey, MarkAction, Selection
from hub.ports import News
from hub.revoked import RevokedTokens
from hub.service import Hub, outbox
from hub.service.upkeep import LEFTOVER_AGE
from hub.store.directory import SqlDirectory
from hub.store.engine import Database, open_database
from hub.store.failures import CommitUnknown
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore
from tests.support.clock import START, ManualClock
from tests.support.inboxes import ADA, publication


class Forgetful(SqlInboxStore):
    """The database goes away between a commit and the tidying after it."""

    async def settle_wakeups(self, ids: object) -> None:
        raise StoreUnavailable("away")


class DeafOnce(MemoryBus):
    """Takes all but the first."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = 0

    async def publish(self, news: Sequence[News]) -> bool:
        self.heard += 1
        return self.heard > 1 and await super().publish(news)

    def hears(self, key: InboxKey) -> bool:
        return True


def hub_of(database: Database, store: SqlInboxStore, bus: MemoryBus, clock: ManualClock | None = None) -> Hub:
    clock = clock or ManualClock()
    return Hub(
        inbox=store,
        log=SqlSharedLog(database),
        directory=SqlDirectory(database),
        personal=SqlPersonalData(database),
        tickets=SqlTicketStore(database),
        schedules=SqlScheduleStore(database),
        bus=bus,
        presence=MemoryPresence(),
        clock=clock,
        revoked=RevokedTokens(SqlRevocations(database), clock),
    )


async def test_news_that_share_a_wakeup_row_are_not_lost_with_one_of_them(sqlite_url: str) -> None:
    """The row of a group goes once all of it has been told, and not before."""
    async with await open_database(sqlite_url) as database:
        clock, bus = ManualClock(), DeafOnce()
        hub = hub_of(database, SqlInboxStore(database), bus, clock)

        async def publish_three() -> None:
            requests = [wire.PublishIn(recipients=[user], title="t") for user in ("ada", "grace", "ada")]
            await asyncio.gather(*(hub.notifications.publish("default", each) for each in requests))
            clock.advance(LEFTOVER_AGE + 1)

        await publish_three()
        assert await hub.upkeep.republish_leftovers() == 1
        assert bus.heard == 4
        await publish_three()
        assert await hub.upkeep.republish_leftovers() == 0


async def test_what_is_committed_and_told_does_not_fail_for_its_tidying(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SETTLE_BATCH", 1)
    async with await open_database(sqlite_url) as database:
        hub = hub_of(database, Forgetful(database), MemoryBus())
        outcome = await hub.notifications.publish("default", wire.PublishIn(recipients=["ada"], title="t"))
        assert msgspec.json.decode(outcome.body)["recipients"] == 1
        marked = await hub.inbox.mark(InboxKey("default", "ada"), MarkAction.READ, Selection(all=True))
        assert marked.out.changed == 1


async def test_a_commit_that_comes_through_late_is_found(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is lost during COMMIT, and the server goes on committing (it waits for a standby, say)."""
    async with await open_database(postgres_url) as database, await open_database(postgres_url) as lost:
        writer = database.writer
        go_on = asyncio.Event()
        late: list[asyncio.Task[None]] = []

        @asynccontextmanager
        async def first_is_lost() -> AsyncIterator[AsyncConnection]:
            if late:
                asyncio.get_running_loop().call_later(0.2, go_on.set)
                async with writer() as connection:
                    yield connection
                return
            handed: asyncio.Future[AsyncConnection] = asyncio.get_running_loop().create_future()
            used = asyncio.Event()

            async def commit_late() -> None:
                async with lost.writer() as connection:
                    handed.set_result(connection)
                    await used.wait()
                    await go_on.wait()

            late.append(asyncio.create_task(commit_late()))
            yield await handed
            used.set()
            raise CommitUnknown("lost")

        monkeypatch.setattr(database, "writer", first_is_lost)
        stored = publication("ada", plan=())
        published = await SqlInboxStore(database).publish(stored, START)
        assert published.id == stored.content.id
        await asyncio.gather(*late)
        assert (await SqlInboxStore(lost).head(ADA)).counts.unread == 1
