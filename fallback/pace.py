"""How far ahead a lane may claim: as much as it sends within a moment, and nothing while its provider is slow."""

from __future__ import annotations

AHEAD = 250
"""Milliseconds of work that a lane claims beyond what it has under way; the pace is looked at as often."""

AT_MOST = 4
"""So many times its width, whatever its pace."""


class Pace:
    """The pace of one lane.

    A claim is a transaction, with a flush of the disk: of a hundred deliveries at a time, a quick provider would wait
    for claims most of the time. What is claimed ahead and waits for its turn is held like all claims: its lease is
    renewed, its rung is read right before it is sent, and a pause does not reach it any more. So it must be little.
    """

    def __init__(self) -> None:
        self._since = 0
        self._sent = 0
        self._last = 0
        """How many were sent in the last whole moment."""

    def sent(self, now: int) -> None:
        """Count a delivery."""
        self._turn(now)
        self._sent += 1

    def ahead(self, width: int, now: int) -> int:
        """Tell how many deliveries to claim ahead."""
        self._turn(now)
        return min(width * AT_MOST, self._last)

    def _turn(self, now: int) -> None:
        passed = now - self._since
        if 0 <= passed < AHEAD:
            return
        # Whoever sent nothing for longer than a moment has no pace to speak of, and begins anew.
        self._last = self._sent if 0 <= passed < 2 * AHEAD else 0
        self._since, self._sent = now, 0
