"""Rate limits: at most so many calls in any span of so much time.

A limit is kept as the times of its last calls. That is exact, where counting by the clock's seconds lets twice the
limit through around the turn of one, and it can say when the next call may be made instead of only refusing it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

MAX_COUNT = 100_000
"""Calls of one limit: each costs some bytes where the limit is kept."""

_PERIODS = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(?:(\d{1,4})\s*)?(second|minute|hour|day)s?\s*", re.ASCII)


class Rate(NamedTuple):
    """At most `calls` calls within any `period` milliseconds."""

    calls: int
    period: int


class Leave(NamedTuple):
    """Leave for `calls` calls, to be made from `at` on; if it is for none, `at` is when to ask again."""

    calls: int
    at: int


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Read `100/second`, `10/5minutes`, or several with commas between them, all of which hold.

    Raises:
        ValueError: it is none; says what one looks like.

    """
    return tuple(_parse_rate(part) for part in text.split(","))


def _parse_rate(text: str) -> Rate:
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError("a rate limit looks like 100/second, 30/minute, 10/5minutes or 30/minute, 10000/day")
    count, times, unit = found.groups()
    rate = Rate(int(count), int(times or 1) * _PERIODS[unit])
    if not 1 <= rate.calls <= MAX_COUNT:
        raise ValueError(f"a rate limit is of 1 to {MAX_COUNT:,} calls; for more, name a shorter time")
    if rate.period < 1:
        raise ValueError("a rate limit is for some time, not for none")
    return rate


class Window:
    """The calls that were given leave under one or several rates."""

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = tuple(rates)
        self._given = tuple(deque[int](maxlen=rate.calls) for rate in rates)
        """Of each rate as many times as it counts, the latest last."""

    def take(self, now: int, calls: int, patience: int) -> Leave:
        """Give leave for so many calls together, now or when their time comes, if that is within `patience` ms.

        Raises:
            ValueError: they are more than a rate ever allows at once.

        """
        at = max(now, *(self._free_at(number, calls) for number in range(len(self._rates))))
        if at > now + patience:
            return Leave(0, at)
        for given in self._given:
            given.extend([at] * calls)
        return Leave(calls, at)

    def _free_at(self, number: int, calls: int) -> int:
        rate, given = self._rates[number], self._given[number]
        if calls > rate.calls:
            raise ValueError("a rate limit never allows so many calls at once")
        too_late = rate.calls - calls + 1  # counted from the last one: with this one they would be too many
        free_at = given[-too_late] + rate.period if len(given) >= too_late else 0
        return max(free_at, given[-1] if given else 0)  # calls keep their order, also those given ahead
