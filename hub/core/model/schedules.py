"""Schedules: notifications that are published once at a later time, or again and again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Once:
    """A single moment."""

    at: int


@dataclass(frozen=True, slots=True)
class Every:
    """`start`, and every `interval` milliseconds after it, up to and including `end`."""

    interval: int
    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Cron:
    """When the wall clocks of a time zone show what the expression says, from `start` to `end`, both included."""

    expression: str
    timezone: str = "UTC"
    start: int | None = None
    end: int | None = None


Timing: TypeAlias = Once | Every | Cron


class Missed(Enum):
    """What becomes of runs that were due while no worker ran."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class RunOutcome(Enum):
    """How a run ended."""

    FIRED = "fired"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One entry of a schedule's log."""

    due_at: int
    outcome: RunOutcome
    at: int
    """When that was decided."""
    through: int | None = None
    """Set where all that was due from `due_at` on was skipped, until this time."""
    by_hand: bool = False
    notification: UUID | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is stored. It is active, paused (`paused_at`) or ended (no `next_at`)."""

    tenant: str
    id: UUID
    name: str | None
    timing: Timing
    missed: Missed
    notification: bytes
    """The request to publish at each run: JSON of a `wire.PublishIn`."""
    next_at: int | None
    """The next due time that has not been dealt with; stays while it is paused."""
    dealt_with: int
    """No due time up to this one fires any more, whatever clocks and patches do."""
    created_at: int
    updated_at: int
    paused_at: int | None = None
    ended_at: int | None = None
    revision: int = 0
    """Raised by every change but a run by hand: whoever moves a schedule on says which one it had read."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a schedule: its due time is dealt with, the next one stands, and the log says what was done.

    Stored whole or not at all, by one of all who try. With `revision` None (a run by hand) it only adds to the log.
    """

    tenant: str
    schedule: UUID
    revision: int | None
    records: tuple[RunRecord, ...]
    dealt_with: int = 0
    next_at: int | None = None
