"""When a schedule is due, and what it does then. Pure: times are parameters, in milliseconds since the epoch.

The due times of a timing are a fixed set. They are found from any starting point alike, so it makes no difference
who asks, how often, or what was due before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from hub.core.cron import next_match
from hub.core.model import Cron, Every, Missed, Once, Schedule, Timing

LATE = 60_000
"""Milliseconds after which a run that was not made counts as missed, where missed runs are skipped."""

CATCH_UP = 100
"""Missed runs that are caught up with at most; of more, the latest."""

_WINDOW = 3_600_000


class Skipped(NamedTuple):
    """Due times in a row that nothing was published for, by the first and the last."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a schedule that is due does: skip some runs, then make one or none, then wait for `next_at`."""

    skipped: Skipped | None
    due_at: int | None
    next_at: int | None
    dealt_with: int


def next_after(timing: Timing, after: int) -> int | None:
    """Return the first due time after `after`; None if there is none."""
    match timing:
        case Once(at=at):
            return at if at > after else None
        case Every(interval=interval, start=start, end=end):
            due = start + max(0, (after - start) // interval + 1) * interval
        case Cron(start=start, end=end):
            found = next_match(timing, after if start is None else max(after, start - 1))
            if found is None:
                return None
            due = found
    return due if end is None or due <= end else None


def upcoming(timing: Timing, after: int, count: int) -> list[int]:
    """Return the next due times, at most `count`."""
    return list(islice(_due_times(timing, after), count))


def turn(schedule: Schedule, now: int) -> Turn:
    """Decide what a schedule does whose `next_at` has come.

    It may be no due time any more, as the rules of its time zone were changed since; it has been told, and counts.
    """
    assert schedule.next_at is not None  # noqa: S101 - as said
    timing, first = schedule.timing, schedule.next_at
    skipped, due_at, next_at = None, first, next_after(timing, first)
    if next_at is not None and next_at <= now:
        wanted = CATCH_UP if schedule.missed is Missed.ALL else 1
        due = _latest(timing, first, now, wanted + 1)
        given_up = due[: max(0, len(due) - wanted)]
        due_at = due[len(given_up)]
        skipped = Skipped(first, given_up[-1]) if given_up else None
        next_at = next_after(timing, due_at)
    if schedule.missed is Missed.SKIP and now - due_at > LATE:
        return Turn(Skipped(first, due_at), None, next_at, due_at)
    return Turn(skipped, due_at, next_at, due_at)


def _latest(timing: Timing, first: int, now: int, count: int) -> list[int]:
    """Return the last `count` due times from `first` to `now`, in order.

    They are looked for from `now` back, further and further: a year's worth of minutes would take seconds.
    """
    if isinstance(timing, Every):
        first = max(first, now - timing.interval * count)
    window = _WINDOW
    while True:
        after = max(first - 1, now - window)
        found = list(_due_until(timing, after, now))
        if len(found) >= count or after < first:
            return found[-count:]
        window *= 2


def _due_until(timing: Timing, after: int, until: int) -> Iterator[int]:
    for due in _due_times(timing, after):
        if due > until:
            return
        yield due


def _due_times(timing: Timing, after: int) -> Iterator[int]:
    due = next_after(timing, after)
    while due is not None:
        yield due
        due = next_after(timing, due)
