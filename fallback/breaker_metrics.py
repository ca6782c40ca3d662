"""The state of a worker's breakers, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fallback.routes import Routes


class BreakerMetrics(Collector):
    """A gauge for each provider of each channel. Register it with the process's registry."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge as it is now."""
        state = GaugeMetricFamily(
            "bellwire_provider_breaker_state",
            "Whether the provider is called: 0 yes (closed), 1 one call at a time (half-open), 2 no (open).",
            labels=("channel", "provider"),
        )
        for guard in self._routes.guards():
            state.add_metric((guard.channel.value, guard.provider.name), guard.state)
        yield state
