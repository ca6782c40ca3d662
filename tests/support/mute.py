"""The use cases without anybody who hears of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hub.bus.memory import MemoryBus, MemoryPresence
from hub.revoked import RevokedTokens
from hub.service import Hub
from hub.store.clock import DatabaseClock
from hub.store.directory import SqlDirectory
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore


@asynccontextmanager
async def mute(database_url: str) -> AsyncIterator[Hub]:
    """Use cases that commit without telling, as in a node that dies between the two."""
    async with await open_database(database_url) as database:
        clock = DatabaseClock(database)
        await clock.sync()
        yield Hub(
            inbox=SqlInboxStore(database),
            log=SqlSharedLog(database),
            directory=SqlDirectory(database),
            personal=SqlPersonalData(database),
            tickets=SqlTicketStore(database),
            schedules=SqlScheduleStore(database),
            bus=MemoryBus(),  # nobody else hears it
            presence=MemoryPresence(),
            clock=clock,
            revoked=RevokedTokens(SqlRevocations(database), clock),
        )
