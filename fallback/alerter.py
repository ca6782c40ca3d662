"""The alerter: tells operators of deliveries that failed and of providers that are out, never in a storm."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from fallback.notices import Notice, notice_of_failures, notice_of_outage
from hub.core.errors import StoreUnavailable
from hub.core.retry import Random, RetryPolicy
from hub.ports import Alerts, Clock, Outages

LEASE = 60_000
"""Milliseconds that a claimed alert has to be told in; beyond that another worker tells it."""

TIMEOUT = 15.0
"""Seconds until telling counts as failed. With `BATCH` side by side that is well within the lease."""

BATCH = 20

IDLE = 5_000
"""Milliseconds after which the alerter looks even if this process knows of nothing: another one may have crashed."""

BACK_OFF = RetryPolicy(base=20_000, factor=2, cap=15 * 60_000)
"""How long to wait for a target that does not take alerts. There is no last attempt: counts go on growing."""

log = structlog.get_logger(__name__)


_Told = Callable[[int, int], Awaitable[None]]
_Failed = Callable[[int], Awaitable[None]]


class Target(Protocol):
    """Where operators are told."""

    name: str
    """For the log; holds no secret."""

    async def tell(self, notice: Notice, now: int) -> None:
        """Tell; returns once it has been taken.

        Raises:
            Exception: whatever went wrong.

        """
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...


class Alerter:
    """Any number of processes may run one: each group's message, and each provider's, is claimed by one of them.

    A failure is told of at once, unless its group has been told of lately; then with all that failed meanwhile when
    `every` milliseconds have passed. So is an outage of a provider, and then its end. Told has been what one of the
    targets took. Nothing here touches the queue.
    """

    def __init__(
        self,
        alerts: Alerts,
        outages: Outages,
        targets: Sequence[Target],
        clock: Clock,
        *,
        every: int,
        random: Random = random.random,
    ) -> None:
        self._alerts = alerts
        self._outages = outages
        self._targets = targets
        self._clock = clock
        self._every = every
        self._random = random

    async def round(self) -> int:
        """Tell what there is to tell; returns the milliseconds to rest."""
        now = self._clock.now()
        alerts, outages = self._alerts, self._outages
        failed = [
            self._see_to(notice_of_failures(each), each.tries, partial(alerts.told, each), partial(alerts.failed, each))
            for each in await alerts.claim(now, LEASE, BATCH)
        ]
        out = [
            self._see_to(notice_of_outage(each), each.tries, partial(outages.told, each), partial(outages.failed, each))
            for each in await outages.claim(now, LEASE)
        ]
        await asyncio.gather(*failed, *out)
        due = await self._alerts.next_due()
        return IDLE if due is None else min(IDLE, max(0, due - self._clock.now()))

    async def close(self) -> None:
        """Close the targets."""
        for target in self._targets:
            await target.close()

    async def _see_to(self, notice: Notice, tries: int, settled: _Told, failed: _Failed) -> None:
        told = await asyncio.gather(*(self._told(target, notice) for target in self._targets))
        now = self._clock.now()
        try:
            if any(told):
                await settled(now, self._every)
            else:
                await failed(now + BACK_OFF.jitter(tries + 1, self._random))
        except StoreUnavailable:
            log.warning("alert_not_settled", told=any(told))  # it is told again when its lease has ended

    async def _told(self, target: Target, notice: Notice) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT):
                await target.tell(notice, self._clock.now())
        except Exception as error:  # noqa: BLE001 - a target's bug must not end the worker
            # Not the message: it may quote the target's address, which is often a secret.
            log.error("alert_failed", target=target.name, error=type(error).__name__, **notice.about)  # noqa: TRY400 - see above
            return False
        log.info("alert_told", target=target.name, **notice.about)
        return True
