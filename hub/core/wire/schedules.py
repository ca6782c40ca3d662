"""Schedules, as publishers make and see them."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from hub.core.wire.publishing import PublishIn

MissedName = Literal["skip", "once", "all"]


class TimingIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When: exactly one of `at`, `every` and `cron`."""

    at: str | None = None
    every: int | float | str | None = None
    """Seconds, or a duration such as `"90s"`, `"15m"`, `"2h"`, `"1d"`."""
    cron: str | None = None
    timezone: str | None = None
    start: str | None = None
    end: str | None = None


class ScheduleIn(TimingIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A notification to publish later, or again and again."""

    notification: PublishIn
    name: str | None = None
    missed: MissedName = "once"


class SchedulePatchIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to change; the rest stays. Null takes away."""

    notification: PublishIn | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    missed: MissedName | UnsetType = UNSET
    at: str | UnsetType = UNSET
    every: int | float | str | UnsetType = UNSET
    cron: str | UnsetType = UNSET
    timezone: str | UnsetType | None = UNSET
    start: str | UnsetType | None = UNSET
    end: str | UnsetType | None = UNSET


class RunOut(Struct, frozen=True):
    """One entry of a schedule's log. With `through`, all that was due from `due_at` until then was skipped."""

    due_at: str
    through: str | None
    outcome: Literal["fired", "skipped", "failed"]
    at: str
    by_hand: bool
    notification: str | None
    reason: str | None


class ScheduleOut(Struct, frozen=True):
    """A schedule."""

    id: str
    name: str | None
    state: Literal["active", "paused", "ended"]
    at: str | None
    every: int | float | None
    """Seconds."""
    cron: str | None
    timezone: str | None
    start: str | None
    end: str | None
    missed: MissedName
    next_at: str | None
    """null while it is paused, and once it has ended."""
    paused_at: str | None
    ended_at: str | None
    created_at: str
    updated_at: str


class ScheduleDetailOut(ScheduleOut, frozen=True, kw_only=True):
    """A schedule with what it publishes and what it did."""

    notification: Raw
    runs: list[RunOut]
    """The last 20 entries of its log, newest first."""


class SchedulesOut(Struct, frozen=True):
    """A page of schedules, the oldest first."""

    data: list[ScheduleOut]
    has_more: bool
    next: str | None


class RunTimeOut(Struct, frozen=True):
    """A moment at which a schedule is due: in UTC, and as clocks of its time zone show it."""

    at: str
    local: str


class RunTimesOut(Struct, frozen=True):
    """The next times at which a schedule is due."""

    data: list[RunTimeOut]
