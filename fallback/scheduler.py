"""The scheduler: what changes inboxes when its time comes, and housekeeping. Safe in any number of processes."""

from __future__ import annotations

from typing import Protocol

from hub.ports import Clock

TICK = 500
"""Milliseconds after which due timers are looked for even if nobody told of any: what appears, appears within 1 s."""

LEFTOVERS = 2_000
"""Milliseconds between looks for what a crash left untold: with their age of 2 s it is told within 5 s."""

HOUSEKEEPING = 3_600_000
"""Milliseconds between rounds that drop what has served its time."""


class Upkeep(Protocol):
    """The use cases of the hub that time asks for."""

    async def apply_timers(self) -> int:
        """Apply a batch of due timers; returns how many changes were made."""
        ...

    async def next_timer(self) -> int | None:
        """Tell when the next timer is due."""
        ...

    async def republish_leftovers(self) -> int:
        """Tell a batch of what a crash left untold; returns how many rows it was."""
        ...

    async def forget_expired(self) -> None:
        """Drop what has served its time."""
        ...


class Caretaker(Protocol):
    """What is to be done about age."""

    async def step(self) -> bool:
        """Do a bounded step of a round; False once the round has ended."""
        ...


class Scheduler:
    """Rounds for loops; each returns the milliseconds until it is wanted again."""

    def __init__(self, upkeep: Upkeep, clock: Clock) -> None:
        self._upkeep = upkeep
        self._clock = clock

    async def timers(self) -> int:
        """Release, expire and wake what is due."""
        if await self._upkeep.apply_timers():
            return 0
        due = await self._upkeep.next_timer()
        # A due timer that was not applied is in another process's hands.
        return TICK if due is None or due <= self._clock.now() else min(TICK, due - self._clock.now())

    async def leftovers(self) -> int:
        """Make up for publishers that crashed between commit and telling."""
        return 0 if await self._upkeep.republish_leftovers() else LEFTOVERS

    async def housekeeping(self) -> int:
        """Drop what has served its time."""
        await self._upkeep.forget_expired()
        return HOUSEKEEPING


class Aging:
    """Rounds for a loop over what grows old."""

    def __init__(self, caretaker: Caretaker) -> None:
        self._caretaker = caretaker

    async def round(self) -> int:
        """Drop what is too old, where that is wanted, and see to room for what comes."""
        return 0 if await self._caretaker.step() else HOUSEKEEPING
