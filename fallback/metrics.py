"""What a worker counts for Prometheus, and what it shows of the whole queue.

Counting is adding to plain integers; everything else happens at the scrape. Labels are few fixed words: a channel, a
provider's name, a state, a kind of reason; never a tenant, a user, or what a provider said.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.core.model import Channel, DeliveryState, Priority
from hub.core.model.queues import Gauges
from hub.ports import Claim, Clock, Settlement

LATENCIES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
"""Upper bounds of the histogram of providers' answers, in seconds; a call ends after 15."""

STALE = 60_000
"""Milliseconds after which what was read of the queue is not shown any more: no number is better than an old one."""

_PREFIX = "bellwire"


class WorkerMetrics(Collector):
    """One worker's counters, and the gauges of the queue. Register it with the process's registry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._attempts: Counter[tuple[str, ...]] = Counter()
        self._outcomes: Counter[tuple[str, ...]] = Counter()
        self._retries: Counter[tuple[str, ...]] = Counter()
        self._latencies: defaultdict[tuple[str, ...], _Latencies] = defaultdict(_Latencies)
        self._expiries = 0
        self._gauges: Gauges | None = None
        self._read_at = 0

    def settled(self, claim: Claim, settlement: Settlement) -> None:
        """Count the end of a claim, and the calls that led to it."""
        channel = claim.delivery.channel.value
        for attempt in settlement.attempts:
            self._attempts[channel, attempt.provider, attempt.outcome] += 1
            self._latencies[channel, attempt.provider].add(attempt.finished_at - attempt.started_at)
        outcome, reason = outcome_of(settlement), reason_of(settlement)
        provider = settlement.provider or ""
        self._outcomes[channel, provider, outcome, reason] += 1
        if outcome == "retried":
            self._retries[channel, provider] += 1

    def expired(self, leases: int) -> None:
        """Count deliveries whose worker did not come back."""
        self._expiries += leases

    def show(self, gauges: Gauges) -> None:
        """Show the queue as it was just read."""
        self._gauges, self._read_at = gauges, self._clock.now()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        yield _counter("delivery_attempts", "Calls to providers.", ("channel", "provider", "outcome"), self._attempts)
        yield _counter(
            "delivery_outcomes",
            "Ends of claims: what became of the delivery, and why.",
            ("channel", "provider", "outcome", "reason"),
            self._outcomes,
        )
        yield _counter("delivery_retries", "Deliveries to be tried again.", ("channel", "provider"), self._retries)
        yield _counter("lease_expiries", "Deliveries whose worker vanished.", (), {(): self._expiries})
        latency = HistogramMetricFamily(
            f"{_PREFIX}_provider_seconds", "How long providers took to answer.", labels=("channel", "provider")
        )
        for labels, latencies in sorted(self._latencies.items()):
            latency.add_metric(labels, latencies.buckets(), latencies.seconds)
        yield latency
        if self._gauges is not None and self._clock.now() - self._read_at < STALE:
            yield from _queue(self._gauges)


class _Latencies:
    """One histogram."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._counts = [0] * (len(LATENCIES) + 1)

    def add(self, milliseconds: int) -> None:
        self.seconds += milliseconds / 1000
        self._counts[bisect_left(LATENCIES, milliseconds / 1000)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        bounds = [*map(str, LATENCIES), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))


def outcome_of(settlement: Settlement) -> str:
    """Name what became of a delivery: its state, or, where it went back to the queue, why."""
    if settlement.state is not DeliveryState.QUEUED:
        return settlement.state.value
    return "retried" if settlement.provider_calls else "waiting"


def reason_of(settlement: Settlement) -> str:
    """Name the kind of reason in one of a few words."""
    match settlement.state:
        case DeliveryState.SENT:
            return "ok"
        case DeliveryState.FAILED:
            # What is refused everywhere is not tried again; with one endpoint that may still work, it is.
            refused = all(attempt.outcome == "permanent" for attempt in settlement.attempts)
            return "refused" if refused else "exhausted"
        case DeliveryState.SKIPPED:
            return "unreachable" if settlement.pull_next else "looking"
        case DeliveryState.CANCELLED:
            return "not_needed"
        case DeliveryState.QUEUED:
            return "transient" if settlement.provider_calls else "looking"
        case _:
            return settlement.state.value


def _queue(gauges: Gauges) -> Iterator[Metric]:
    yield _by_lane("queue_depth", "Deliveries that wait, counted up to 10,000 (direct and shared each).", gauges.queued)
    yield _by_lane("queue_due", "Deliveries that are due, counted in the same way.", gauges.due)
    lags = {lane: milliseconds / 1000 for lane, milliseconds in gauges.lag.items()}
    yield _by_lane("queue_lag_seconds", "For how long the one that waits longest has been due.", lags)
    yield _by_channel("queue_in_flight", "Deliveries that workers hold.", gauges.in_flight)
    yield _by_channel("dead_letters", "Deliveries in the dead-letter queue, counted up to 10,000.", gauges.dead)
    yield _by_channel("expansions_waiting", "Steps for audiences that are not through.", gauges.audiences)
    yield _by_channel("queues_paused", "Tenants that have paused the channel.", gauges.paused)
    for name, text, value in (
        ("seconds", "Age of the oldest transaction that holds a snapshot.", gauges.snapshot_age),
        ("transactions", "Transactions begun since the oldest snapshot was taken.", gauges.snapshot_transactions),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"{_PREFIX}_database_oldest_snapshot_{name}", text, value=value)


def _by_lane(name: str, text: str, values: Mapping[tuple[Channel, Priority], float]) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=("channel", "priority"))
    for (channel, priority), value in values.items():
        family.add_metric((channel.value, priority.name.lower()), value)
    return family


def _by_channel(name: str, text: str, values: Mapping[Channel, int]) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=("channel",))
    for channel in Channel:
        family.add_metric((channel.value,), values.get(channel, 0))
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family
