"""How fast a node lets clients in: after a network's hiccup all of them come at once."""

from __future__ import annotations

import math


class Admission:
    """A token bucket, kept as the one time when it will be full again (GCRA, ITU-T I.371).

    Over any stretch of t seconds at most `burst + rate * t` are let in.
    """

    __slots__ = ("_burst", "_full_at", "_interval")

    def __init__(self, rate: float, burst: int) -> None:
        """`rate` per second; 0 lets everybody in."""
        self._interval = 1 / rate if rate else 0.0
        self._burst = self._interval * max(burst, 1)
        self._full_at = -math.inf

    def admit(self, now: float) -> float:
        """Let one in and return 0, or return after how many seconds there is room; `now` in seconds."""
        full_at = max(self._full_at, now) + self._interval
        excess = full_at - now - self._burst
        if excess > 1e-9:  # noqa: PLR2004 - what adding up floats leaves over
            return excess
        self._full_at = full_at
        return 0.0
