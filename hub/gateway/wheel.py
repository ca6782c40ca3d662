"""One timer for all connections: a timing wheel (Varghese and Lauck, 1987, scheme 7 without the levels)."""

from __future__ import annotations

import asyncio
import heapq
from typing import Protocol

import structlog

SLOT_MS = 50
"""Milliseconds that a deadline may be late; those that fall into the same slot cost one timer together."""

log = structlog.get_logger(__name__)


class Timed(Protocol):
    """What can wait on the wheel. It keeps its slot's number itself (0: it waits for nothing)."""

    slot: int

    def due(self) -> None:
        """Do what is due; may schedule anew. What it raises is logged."""
        ...


class Wheel:
    """Calls `due` on everybody whose time has come. One deadline each; a later one than what stands is put off.

    That is: who asks for later than they stand for is called at the earlier time, and then asks again. Deadlines that
    move away with everything that happens (a ping after silence) so cost nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, set[Timed]] = {}
        self._order: list[int] = []
        """Numbers of slots, as a heap."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_slot = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def schedule(self, timed: Timed, deadline: int) -> None:
        """Have `due` called at `deadline` (milliseconds by the loop's clock), or a slot later."""
        slot = deadline // SLOT_MS + 1
        standing = timed.slot
        if standing:
            if standing <= slot:
                return
            self._slots[standing].discard(timed)
        timed.slot = slot
        waiting = self._slots.get(slot)
        if waiting is None:
            self._slots[slot] = {timed}
            heapq.heappush(self._order, slot)
            self._arm()
        else:
            waiting.add(timed)

    def cancel(self, timed: Timed) -> None:
        """Call nobody. Idempotent."""
        if timed.slot:
            self._slots[timed.slot].discard(timed)
            timed.slot = 0

    def close(self) -> None:
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._slots.values():
            for timed in waiting:
                timed.slot = 0
        self._slots.clear()
        self._order.clear()

    def _arm(self) -> None:
        first = self._order[0]
        if self._timer is not None:
            if self._timer_slot <= first:
                return
            self._timer.cancel()
        self._timer_slot = first
        self._timer = self._loop.call_at(first * SLOT_MS / 1000, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = int(self._loop.time() * 1000) // SLOT_MS
        while self._order and self._order[0] <= now:
            waiting = self._slots.pop(heapq.heappop(self._order))
            for timed in waiting:
                timed.slot = 0
            for timed in waiting:
                if not timed.slot:  # else one before it has put it off
                    _call(timed)
        if self._order:
            self._arm()


def _call(timed: Timed) -> None:
    try:
        timed.due()
    except Exception:  # the rest of the slot would wait for ever
        log.exception("timer_failed")
