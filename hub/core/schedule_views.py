"""Schedules as the interface shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Raw

from hub.core import wire
from hub.core.cron import zone_of
from hub.core.model import Cron, Every, Once, RunRecord, Schedule, Timing
from hub.core.scheduling import seconds_of
from hub.core.views import rfc3339, rfc3339_or_none

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def schedule_view(schedule: Schedule) -> wire.ScheduleOut:
    """Show a schedule as it stands in a list."""
    timing, ended, paused = schedule.timing, schedule.next_at is None, schedule.paused_at is not None
    return wire.ScheduleOut(
        id=str(schedule.id),
        name=schedule.name,
        state="ended" if ended else "paused" if paused else "active",
        at=rfc3339(timing.at) if isinstance(timing, Once) else None,
        every=seconds_of(timing.interval) if isinstance(timing, Every) else None,
        cron=timing.expression if isinstance(timing, Cron) else None,
        timezone=timing.timezone if isinstance(timing, Cron) else None,
        start=None if isinstance(timing, Once) else rfc3339_or_none(timing.start),
        end=None if isinstance(timing, Once) else rfc3339_or_none(timing.end),
        missed=schedule.missed.value,
        next_at=None if paused else rfc3339_or_none(schedule.next_at),
        paused_at=rfc3339_or_none(schedule.paused_at),
        ended_at=rfc3339_or_none(schedule.ended_at),
        created_at=rfc3339(schedule.created_at),
        updated_at=rfc3339(schedule.updated_at),
    )


def schedule_detail_view(schedule: Schedule, log: Sequence[RunRecord]) -> wire.ScheduleDetailOut:
    """Show a schedule with what it publishes and what it did."""
    shown = schedule_view(schedule)
    fields = {name: getattr(shown, name) for name in shown.__struct_fields__}
    runs = [run_view(record) for record in log]
    return wire.ScheduleDetailOut(**fields, notification=Raw(schedule.notification), runs=runs)


def run_view(record: RunRecord) -> wire.RunOut:
    """Show one entry of a log."""
    return wire.RunOut(
        due_at=rfc3339(record.due_at),
        through=rfc3339_or_none(record.through),
        outcome=record.outcome.value,
        at=rfc3339(record.at),
        by_hand=record.by_hand,
        notification=None if record.notification is None else str(record.notification),
        reason=record.reason,
    )


def run_times_view(timing: Timing, due: Iterable[int]) -> wire.RunTimesOut:
    """Show when a schedule is due, on the clocks of its time zone too."""
    zone = zone_of(timing.timezone if isinstance(timing, Cron) else "UTC")
    moments = ((at, (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)) for at in due)
    return wire.RunTimesOut([wire.RunTimeOut(rfc3339(at), local.isoformat("T", "seconds")) for at, local in moments])
