"""What random histories have in common: an empty database, a hub over it, and how they are played."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from hub.bus.memory import MemoryBus, MemoryPresence
from hub.ports import Bus, Clock, InboxStore, Presence, ScheduleStore
from hub.revoked import RevokedTokens
from hub.service import Hub
from hub.store.directory import SqlDirectory
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tables import metadata
from hub.store.tickets import SqlTicketStore


async def open_emptied(url: str) -> Database:
    """Open a migrated database, and delete what the history before left in it."""
    database = await open_database(url)
    async with database.writer() as connection:
        for table in metadata.sorted_tables:
            if table.name != "meta":
                await connection.execute(sa.delete(table))
    return database


def hub_over(
    database: Database,
    clock: Clock,
    *,
    inbox: InboxStore | None = None,
    schedules: ScheduleStore | None = None,
    bus: Bus | None = None,
    presence: Presence | None = None,
) -> Hub:
    """Make a hub of the real parts; its bus and presence are in memory unless given."""
    return Hub(
        inbox=inbox or SqlInboxStore(database),
        log=SqlSharedLog(database),
        directory=SqlDirectory(database),
        personal=SqlPersonalData(database),
        tickets=SqlTicketStore(database),
        schedules=schedules or SqlScheduleStore(database),
        bus=bus or MemoryBus(),
        presence=presence or MemoryPresence(),
        clock=clock,
        revoked=RevokedTokens(SqlRevocations(database), clock),
    )


def play(machine: type[RuleBasedStateMachine], examples: int, *, steps: int = 30, **given: Any) -> None:
    """Play so many histories of a machine, whose class attributes are as `given`."""
    run_state_machine_as_test(
        type("Machine", (machine,), given),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize="CI" in os.environ,  # a landing is not a lottery: other runs explore
            suppress_health_check=list(HealthCheck),
        ),
    )
