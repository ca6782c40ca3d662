"""The reporter: tells the database that this worker lives and what it did, and reads the queue for its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fallback.metrics import WorkerMetrics, outcome_of
from hub.core.ids import uuid7
from hub.core.model import Channel
from hub.core.model.queues import ProviderSign, QueueKey, RateKey, WorkerSign
from hub.ports import Claim, Clock, Settlement
from hub.ports.operating import WorkerReports

EVERY = 5_000
"""Milliseconds between two reports: so late rates are, and so much of them a crash loses."""

GAUGED = 15_000
"""Milliseconds between two looks at the whole queue, as often as Prometheus asks."""

_MINUTE = 60_000


class Reporter:
    """Counts in memory and reports in rounds: nothing of it is in a delivery's way."""

    def __init__(
        self,
        reports: WorkerReports,
        metrics: WorkerMetrics,
        clock: Clock,
        *,
        providers: Mapping[Channel, str],
        signs: Callable[[], Sequence[ProviderSign]] = tuple,
    ) -> None:
        """Report as a worker that can send by `providers`, and finds them as `signs` says."""
        self._reports = reports
        self._metrics = metrics
        self._clock = clock
        self._counts: Counter[RateKey] = Counter()
        now = clock.now()
        self._sign = WorkerSign(uuid7(now), now, providers)
        self._signs = signs

    def settled(self, claim: Claim, settlement: Settlement) -> None:
        """Count the end of a claim."""
        now = self._clock.now()
        queue = QueueKey(claim.delivery.tenant, claim.delivery.channel)
        self._counts[RateKey(queue, now - now % _MINUTE, outcome_of(settlement))] += 1

    async def report(self) -> int:
        """Report; what could not be reported is kept for the next time."""
        counts, self._counts = self._counts, Counter()
        try:
            sign = self._sign._replace(providers=self._signs())
            await self._reports.report(sign, counts, self._clock.now())
        except BaseException:
            self._counts += counts
            raise
        return EVERY

    async def gauge(self) -> int:
        """Read the queue."""
        self._metrics.show(await self._reports.gauges(self._clock.now()))
        return GAUGED

    async def leave(self) -> None:
        """Report for the last time, and be gone."""
        await self.report()
        await self._reports.leave(self._sign)
