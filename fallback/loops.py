"""Loops that outlive every outage: a round, a wait, and again until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import Awaitable, Callable

import structlog

from hub.core.errors import StoreUnavailable
from hub.core.retry import Random, RetryPolicy
from hub.ports import Clock

Wait = Callable[[asyncio.Event, int], Awaitable[None]]
"""Waits until the event is set, but at most so many milliseconds."""

OUTAGE = RetryPolicy(base=500, factor=2, cap=10_000)
"""How long to wait for a database that is away."""

log = structlog.get_logger(__name__)


async def wait_for(event: asyncio.Event, milliseconds: int) -> None:
    """Wait in real time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(milliseconds / 1000):
            await event.wait()


class Loop:
    """Runs `round` again and again; it returns the milliseconds until the next one is wanted.

    An outage of the store is logged once, with another line when it is over, and waited out with back-off and
    jitter. Nothing that a round raises ends the loop.
    """

    def __init__(
        self,
        name: str,
        round_: Callable[[], Awaitable[int]],
        *,
        wait: Wait = wait_for,
        random: Random = random.random,
    ) -> None:
        self._name = name
        self._round = round_
        self._wait = wait
        self._random = random
        self._wake = asyncio.Event()
        self._stopping = False
        self._failures = 0

    def nudge(self) -> None:
        """Begin the next round now; not during an outage, which there being work does not end."""
        if self._failures == 0:
            self._wake.set()

    def stop(self) -> None:
        """End after the round under way."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Run until `stop`."""
        while not self._stopping:
            self._wake.clear()
            pause = await self._guarded()
            if not self._stopping:
                await self._wait(self._wake, pause)

    async def _guarded(self) -> int:
        try:
            pause = await self._round()
        except StoreUnavailable:
            if self._failures == 0:
                log.warning("store_unavailable", loop=self._name)
            return self._back_off()
        except Exception as error:  # noqa: BLE001 - a bug in one round must not end the fallback of a whole process
            # Not the message: a database's quotes the values it was given.
            log.error(  # noqa: TRY400 - see above
                "round_failed", loop=self._name, error=type(error).__name__, where=origin(error)
            )
            return self._back_off()
        if self._failures:
            log.info("store_back", loop=self._name)
            self._failures = 0
        return pause

    def _back_off(self) -> int:
        self._failures += 1
        if not self._stopping:
            self._wake.clear()
        return OUTAGE.jitter(self._failures, self._random)


class DueLoop(Loop):
    """A loop over what falls due: it can be told of something that is due before its next look."""

    def __init__(
        self,
        name: str,
        round_: Callable[[], Awaitable[int]],
        clock: Clock,
        *,
        at_most: int,
        wait: Wait = wait_for,
        random: Random = random.random,
    ) -> None:
        """`at_most`: milliseconds; no round asks for a longer pause."""
        super().__init__(name, self._look, wait=wait, random=random)
        self._due_round = round_
        self._clock = clock
        self._at_most = at_most
        self._looks_at = 0

    def told(self, due_at: int) -> None:
        """Look now, if that is due before the next look anyway."""
        if due_at < self._looks_at:
            self.nudge()

    async def _look(self) -> int:
        # The round may miss what is stored meanwhile; what is due after a whole pause the next round finds anyway.
        self._looks_at = self._clock.now() + self._at_most
        pause = await self._due_round()
        self._looks_at = self._clock.now() + pause
        return pause


def origin(error: BaseException) -> str:
    """Tell where an error came from, innermost first, without what it says."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
