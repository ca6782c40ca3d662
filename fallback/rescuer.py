"""The rescuer: brings back what a vanished worker held, and tidies the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from hub.core.errors import StoreUnavailable
from hub.ports import Clock

INTERVAL = 5_000
"""Milliseconds between rounds; less where leases are short."""

GRACE = 15_000
"""Milliseconds after an outage in which nobody is taken for gone: longer than anybody waits between two tries to reach
the store. They could not renew, and what they have sent meanwhile they want to write down."""

MAX_CLAIMS = 10
"""Claims after which a delivery whose lease runs out is failed: whoever claims it crashes."""

BATCH = 500

log = structlog.get_logger(__name__)


class Rescuing(Protocol):
    """What the rescuer asks of the queue."""

    async def rescue(self, now: int, max_claims: int, limit: int) -> int:
        """Return deliveries with a spent lease (see `DeliveryQueue.rescue`)."""
        ...


class Rescuer:
    """Any number of processes may run one."""

    def __init__(
        self,
        queue: Rescuing,
        clock: Clock,
        *,
        lease: int,
        renew: Callable[[], Awaitable[object]],
        rescued: Callable[[int], None],
    ) -> None:
        """`rescued` is called with how many deliveries a vanished worker left: they are back in the queue, or dead.

        `renew` extends the leases of this very process. That comes first: however far the clock has jumped, and however
        long the machine slept, no process rescues what it is sending itself.
        `lease`: milliseconds. An outage in which leases end is not missed between two rounds.
        """
        self._queue = queue
        self._clock = clock
        self._renew = renew
        self._rescued = rescued
        self._interval = min(INTERVAL, lease // 2)
        self._outage = False

    async def round(self) -> int:
        """Rescue a batch; returns the milliseconds until the next round (none while there is more).

        Raises:
            StoreUnavailable: it is an outage, and for `GRACE` after it nothing is rescued.

        """
        try:
            await self._renew()
            count = await self._queue.rescue(self._clock.now(), MAX_CLAIMS, 0 if self._outage else BATCH)
        except StoreUnavailable:
            self._outage = True
            raise
        if self._outage:
            self._outage = False
            return GRACE
        if count:
            log.warning("deliveries_rescued", count=count)
            self._rescued(count)
        return 0 if count >= BATCH else self._interval
