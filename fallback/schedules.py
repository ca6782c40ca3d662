"""Making the runs of schedules that are due. Safe in any number of processes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from hub.ports import Clock
from hub.service import Fired

TICK = 500
"""Milliseconds after which due schedules are looked for even if nobody told of any: they fire within 1 s."""

BATCH = 100
"""Schedules whose runs share commits; a run can be as large as a publish, which is 1 MiB."""

PUT_OFF = 1_000
"""Milliseconds for which a schedule is left alone that another process holds, so that it is not in others' way."""

HOUSEKEEPING = 3_600_000
"""Milliseconds between looks for schedules that ended long ago."""


class Firing(Protocol):
    """What is asked of the hub."""

    async def fire_due(self, limit: int, but: Collection[UUID] = ()) -> Fired:
        """Make runs that are due."""
        ...

    async def next_due(self) -> int | None:
        """Tell when the next schedule is due."""
        ...

    async def forget_ended(self) -> int:
        """Delete schedules that ended long ago; returns how many."""
        ...


class ScheduleRunner:
    """Rounds for a loop."""

    def __init__(self, schedules: Firing, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock
        self._put_off: dict[UUID, int] = {}
        """Those that others hold, and until when they are left alone."""

    async def round(self) -> int:
        """Make a batch of runs that are due; returns the milliseconds until the next round is wanted."""
        began = self._clock.now()
        self._put_off = {schedule: until for schedule, until in self._put_off.items() if until > began}
        fired = await self._schedules.fire_due(BATCH, self._put_off.keys())
        self._put_off |= dict.fromkeys(fired.passed_over, self._clock.now() + PUT_OFF)
        if fired.done:
            return 0
        due, now = await self._schedules.next_due(), self._clock.now()
        # One that is due and was not fired is in another process's hands.
        return TICK if due is None or due <= now else min(TICK, due - now)

    async def forget(self) -> int:
        """Delete schedules that ended long ago; returns the milliseconds until the next round (none: there is more)."""
        return 0 if await self._schedules.forget_ended() else HOUSEKEEPING
