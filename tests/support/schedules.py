"""Schedules to store, and runs of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec

from hub.core import scheduling, wire
from hub.core.model import Every, Move, Publication, Schedule
from hub.core.schedule import turn
from hub.ports import NewSchedule, ScheduleStore
from tests.support.clock import START

MINUTE = 60_000
HOUR = 3_600_000
DAY = 24 * HOUR
NOTIFICATION = {"recipients": ["ada", "grace"], "title": "Stand-up"}


def wanted(**fields: Any) -> wire.ScheduleIn:
    """Ask for a schedule: hourly from the first hour on, unless it says otherwise."""
    timing = {} if fields.keys() & {"at", "every", "cron"} else {"every": "1h"}
    return msgspec.convert({"notification": NOTIFICATION, **timing, **fields}, wire.ScheduleIn)


def schedule(tenant: str = "default", now: int = START, **fields: Any) -> Schedule:
    return scheduling.prepare(wanted(**fields), tenant=tenant, now=now)


async def added(store: ScheduleStore, made: Schedule | None = None, **fields: Any) -> Schedule:
    made = schedule(**fields) if made is None else made
    assert await store.add(NewSchedule(made, b"{}"), 1_000) is None
    return made


def run_of(due: Schedule, now: int | None = None) -> Publication:
    """Work out the run of a schedule at its next time."""
    assert due.next_at is not None
    now = due.next_at if now is None else now
    made = scheduling.due_run(due, turn(due, now), now)
    assert isinstance(made, Publication)
    return made


def move_of(due: Schedule) -> Move:
    made = run_of(due).move
    assert made is not None
    return made


def moved(due: Schedule, made: Move, now: int) -> Schedule:
    """Return a schedule as it is after a move."""
    ended = now if made.next_at is None else None
    return replace(due, next_at=made.next_at, dealt_with=made.dealt_with, ended_at=ended, revision=due.revision + 1)


async def found(store: ScheduleStore, identifier: UUID, tenant: str = "default") -> Schedule:
    one = await store.get(tenant, identifier)
    assert one is not None
    return one


def interval_of(one: Schedule) -> Every:
    assert isinstance(one.timing, Every)
    return one.timing
