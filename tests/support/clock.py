from __future__ import annotations

START = 1_800_000_000_000
"""Where manual time begins: 2027-01-15T08:00:00Z."""


class ManualClock:
    """A `Clock` that moves only when told to."""

    def __init__(self, now: int = START) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def advance(self, ms: int) -> int:
        """Move forward by `ms` milliseconds and return the new time."""
        if ms < 0:
            raise ValueError("time does not go backwards")
        self._now += ms
        return self._now
