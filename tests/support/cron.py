"""Cron by brute force: an oracle for what is worked out in other ways."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

MINUTE = 60_000


def walked(expression: str, zone: str, after: int, until: int) -> Iterator[int]:
    """Walk over every minute, as Debian's cron does: what is skipped runs at once, what is repeated does not again."""
    matcher = CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    minute, hour, *_ = expression.split()
    specific = not (minute.startswith("*") or hour.startswith("*"))

    def matches(wall: datetime) -> bool:
        matched = wall.minute in matcher.minutes and wall.hour in matcher.hours and wall.month in matcher.months
        return matched and matcher.match_day(wall.date())

    at = (after // MINUTE - 48 * 60) * MINUTE  # to know which times clocks have shown
    seen = datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).replace(tzinfo=None)
    while at <= until:
        wall = datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).replace(tzinfo=None)
        if specific:
            new = [seen + timedelta(minutes=number) for number in range(1, (wall - seen) // timedelta(minutes=1) + 1)]
            fires = any(map(matches, new))
            seen = max(seen, wall)
        else:
            fires = matches(wall)
        if fires and at > after:
            yield at
        at += MINUTE
