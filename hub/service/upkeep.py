"""What time asks for, in any number of processes."""

from __future__ import annotations

from collections.abc import Sequence

from hub.core import frames
from hub.core.model import Untold
from hub.ports import Clock, InboxStore
from hub.service.outbox import Outbox

LEFTOVER_AGE = 2_000
"""Milliseconds after which an unsettled wake-up row is taken for a crash's."""

_LEFTOVER_BATCH = 100
_TIMER_BATCH = 100


class Upkeep:
    """Timers, what crashes left untold, and forgetting."""

    def __init__(self, store: InboxStore, outbox: Outbox, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock

    async def apply_timers(self) -> int:
        """Release, expire and wake what is due; returns how many changes were made."""
        applied = await self._store.apply_timers(self._clock.now(), _TIMER_BATCH)
        await self._outbox.tell_applied(applied)
        return len(applied)

    async def next_timer(self) -> int | None:
        """Tell when the next timer is due."""
        return await self._store.next_timer()

    async def tell(self, applied: Sequence[Untold]) -> None:
        """Tell what the store did for several inboxes or topics at once; fails for neither bus nor store."""
        await self._outbox.tell_applied(applied)

    async def republish_leftovers(self) -> int:
        """Tell what a crash left untold, and delete what has been told; returns how many rows were told now."""
        await self._outbox.settle_told()
        leftovers = await self._store.leftover_wakeups(self._clock.now() - LEFTOVER_AGE, _LEFTOVER_BATCH)
        keys = sorted({key for leftover in leftovers for key, _ in leftover.heads})
        if not leftovers:
            return 0
        versions = await self._store.versions(keys)
        shared = [(event.key, frames.shared_change(event)) for leftover in leftovers for event in leftover.shared]
        if not await self._outbox.hint(list(versions.items()), (), shared):
            return 0
        await self._store.settle_wakeups([leftover.id for leftover in leftovers])
        return len(leftovers)

    async def forget_expired(self) -> None:
        """Drop idempotency records and tickets that have served their time."""
        await self._store.forget_before(self._clock.now())
