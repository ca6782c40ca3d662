from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fallback.metrics import STALE, WorkerMetrics
from fallback.reporter import EVERY, GAUGED, Reporter
from hub.core.errors import StoreUnavailable
from hub.core.model import Channel, DeliveryState, Priority
from hub.core.model.queues import Gauges, QueueKey, RateKey, WorkerSign
from hub.ports import Settlement
from tests.support.clock import START, ManualClock
from tests.support.deliveries import DELIVERY, make_claim
from tests.support.rows import attempt

EMPTY = Gauges({}, {}, {}, {}, {}, {}, {})
LANE = (Channel.EMAIL, Priority.NORMAL)


def end(state: DeliveryState, *outcomes: str, pull_next: bool = False) -> Settlement:
    return Settlement(
        delivery=DELIVERY,
        tenant="default",
        fence=3,
        state=state,
        reason="because",
        due_at=START,
        provider="smtp" if outcomes else None,
        provider_calls=bool(outcomes),
        attempts=[
            replace(attempt(DELIVERY, f"endpoint-{n}", outcome), provider="smtp") for n, outcome in enumerate(outcomes)
        ],
        pull_next=pull_next,
    )


def text(metrics: WorkerMetrics) -> str:
    registry = CollectorRegistry()
    registry.register(metrics)
    return generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("settlement", "line"),
    [
        (end(DeliveryState.SENT, "ok"), 'outcome="sent",provider="smtp",reason="ok"'),
        (end(DeliveryState.FAILED, "permanent"), 'outcome="failed",provider="smtp",reason="refused"'),
        (end(DeliveryState.FAILED, "permanent", "transient"), 'outcome="failed",provider="smtp",reason="exhausted"'),
        (end(DeliveryState.QUEUED, "transient"), 'outcome="retried",provider="smtp",reason="transient"'),
        (end(DeliveryState.QUEUED), 'outcome="waiting",provider="",reason="looking"'),
        (end(DeliveryState.SKIPPED, pull_next=True), 'outcome="skipped",provider="",reason="unreachable"'),
        (end(DeliveryState.SKIPPED), 'outcome="skipped",provider="",reason="looking"'),
        (end(DeliveryState.CANCELLED), 'outcome="cancelled",provider="",reason="not_needed"'),
        (end(DeliveryState.EXPIRED), 'outcome="expired",provider="",reason="expired"'),
    ],
)
def test_every_end_of_a_claim_is_counted_in_words(settlement: Settlement, line: str) -> None:
    metrics = WorkerMetrics(ManualClock())
    metrics.settled(make_claim(), settlement)
    shown = text(metrics)
    assert f'bellwire_delivery_outcomes_total{{channel="email",{line}}} 1.0' in shown
    retried = 'bellwire_delivery_retries_total{channel="email",provider="smtp"} 1.0' in shown
    assert retried == ('"retried"' in line)
    assert "because" not in shown, "what a provider said is no label"


def test_calls_are_counted_and_timed() -> None:
    metrics = WorkerMetrics(ManualClock())
    settlement = end(DeliveryState.SENT, "ok")
    slow = replace(settlement, attempts=[replace(settlement.attempts[0], finished_at=START + 300)])
    for each in (settlement, settlement, slow):
        metrics.settled(make_claim(), each)
    shown = text(metrics)
    assert 'bellwire_delivery_attempts_total{channel="email",outcome="ok",provider="smtp"} 3.0' in shown
    assert 'bellwire_provider_seconds_bucket{channel="email",le="0.01",provider="smtp"} 2.0' in shown
    assert 'bellwire_provider_seconds_bucket{channel="email",le="0.25",provider="smtp"} 2.0' in shown
    assert 'bellwire_provider_seconds_bucket{channel="email",le="+Inf",provider="smtp"} 3.0' in shown
    assert 'bellwire_provider_seconds_sum{channel="email",provider="smtp"} 0.31' in shown


def test_leases_that_ran_out_are_counted() -> None:
    metrics = WorkerMetrics(ManualClock())
    metrics.expired(3)
    assert "bellwire_lease_expiries_total 3.0" in text(metrics)


def test_the_queue_is_shown_until_it_is_too_old_to_be_true() -> None:
    clock = ManualClock()
    metrics = WorkerMetrics(clock)
    assert "bellwire_queue_depth" not in text(metrics)
    metrics.show(replace(EMPTY, queued={LANE: 7}, lag={LANE: 1500}, dead={Channel.EMAIL: 2}, snapshot_age=3.5))
    shown = text(metrics)
    for line in (
        'bellwire_queue_depth{channel="email",priority="normal"} 7.0',
        'bellwire_queue_lag_seconds{channel="email",priority="normal"} 1.5',
        'bellwire_dead_letters{channel="email"} 2.0',
        'bellwire_dead_letters{channel="sms"} 0.0',
        "bellwire_database_oldest_snapshot_seconds 3.5",
    ):
        assert line in shown
    assert "snapshot_transactions" not in shown
    clock.advance(STALE)
    assert "bellwire_queue_depth" not in text(metrics)


class Reports:
    """Remembers what is reported; fails when told to."""

    def __init__(self) -> None:
        self.away = False
        self.told: list[dict[RateKey, int]] = []
        self.left = False

    async def report(self, sign: WorkerSign, counts: Mapping[RateKey, int], now: int) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.told.append(dict(counts))

    async def leave(self, sign: WorkerSign) -> None:
        self.left = True

    async def providers(self, now: int) -> Mapping[Channel, str] | None:
        raise AssertionError("a worker does not ask")

    async def gauges(self, now: int) -> Gauges:
        return EMPTY


async def test_the_reporter_loses_no_count_to_an_outage() -> None:
    clock, reports = ManualClock(START + 61_000), Reports()
    metrics = WorkerMetrics(clock)
    reporter = Reporter(reports, metrics, clock, providers={})
    sent = RateKey(QueueKey("default", Channel.EMAIL), START + 60_000, "sent")
    reporter.settled(make_claim(), end(DeliveryState.SENT, "ok"))
    reports.away = True
    with pytest.raises(StoreUnavailable):
        await reporter.report()
    reporter.settled(make_claim(), end(DeliveryState.SENT, "ok"))
    reports.away = False
    assert await reporter.report() == EVERY
    assert await reporter.report() == EVERY
    assert reports.told == [{sent: 2}, {}]
    assert await reporter.gauge() == GAUGED
    assert "bellwire_queues_paused" in text(metrics)
    await reporter.leave()
    assert reports.left
