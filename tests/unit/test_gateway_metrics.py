from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hub.gateway.metrics import BATCH_SIZES, KINDS, GatewayMetrics


class Gateway:
    """Something to count."""

    def __init__(self) -> None:
        self.connections = 0
        self.users = 0
        self.metrics = GatewayMetrics(connections=lambda: self.connections, users=lambda: self.users)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"bellwire_gateway_{name}", labels)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_rates_begin_at_nought(gateway: Gateway) -> None:
    for kind in KINDS:
        assert gateway.value("connections_opened_total", kind=kind) == 0
    assert gateway.value("changes_delivered_total") == 0
    assert gateway.value("bus_gaps_total") == gateway.value("reconciles_total") == 0
    assert gateway.value("resume_batch_size_count") == gateway.value("resume_batch_size_sum") == 0


def test_gauges_are_asked_when_scraped(gateway: Gateway) -> None:
    assert gateway.value("connections") == gateway.value("users") == 0
    gateway.connections, gateway.users = 7, 5
    assert (gateway.value("connections"), gateway.value("users")) == (7, 5)


def test_connections_are_counted_by_kind_and_reason(gateway: Gateway) -> None:
    for _ in range(3):
        gateway.metrics.opened("sse")
    gateway.metrics.opened("websocket")
    gateway.metrics.closed("sse", "too_slow")
    gateway.metrics.closed("sse", "gone")
    gateway.metrics.closed("sse", "gone")
    gateway.metrics.refused("full")
    assert gateway.value("connections_opened_total", kind="sse") == 3
    assert gateway.value("connections_opened_total", kind="websocket") == 1
    assert gateway.value("connections_closed_total", kind="sse", reason="too_slow") == 1
    assert gateway.value("connections_closed_total", kind="sse", reason="gone") == 2
    assert gateway.value("connections_refused_total", reason="full") == 1
    assert gateway.value("connections_refused_total", reason="admission") is None


def test_deliveries_are_counted_where_they_happen(gateway: Gateway) -> None:
    gateway.metrics.delivered += 10
    assert gateway.value("changes_delivered_total") == 10


def test_batches_fall_into_their_buckets(gateway: Gateway) -> None:
    for size in (1, 2, 3, 500, 501):
        gateway.metrics.resumed(size)
    found = [gateway.value("resume_batch_size_bucket", le=str(float(bound))) for bound in BATCH_SIZES]
    assert found == [1, 2, 3, 3, 3, 3, 3, 3, 4]
    assert gateway.value("resume_batch_size_bucket", le="+Inf") == 5
    assert gateway.value("resume_batch_size_count") == 5
    assert gateway.value("resume_batch_size_sum") == 1_007


def test_gaps_and_comparisons(gateway: Gateway) -> None:
    gateway.metrics.gaps += 1
    gateway.metrics.reconciles += 2
    assert (gateway.value("bus_gaps_total"), gateway.value("reconciles_total")) == (1, 2)


def test_two_nodes_of_one_process_count_apart(gateway: Gateway) -> None:
    gateway.metrics.opened("poll")
    assert Gateway().value("connections_opened_total", kind="poll") == 0


def test_the_text_is_prometheus(gateway: Gateway) -> None:
    gateway.metrics.opened("poll")
    gateway.metrics.closed("poll", 'a "strange"\n\\reason')
    gateway.metrics.resumed(3)
    families = {
        family.name: family for family in text_string_to_metric_families(generate_latest(gateway.registry).decode())
    }
    assert families["bellwire_gateway_connections_closed"].samples[0].labels["reason"] == 'a "strange"\n\\reason'
    assert families["bellwire_gateway_resume_batch_size"].type == "histogram"
    assert all(family.documentation for family in families.values())
