"""What a gateway counts for Prometheus. Counting is adding to plain integers; everything else happens at the scrape."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Literal

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

Kind = Literal["websocket", "sse", "poll"]
KINDS: Final[tuple[Kind, ...]] = ("websocket", "sse", "poll")

BATCH_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Upper bounds of the histogram of how many connections' reads were put together."""

_PREFIX = "bellwire_gateway"


class GatewayMetrics(Collector):
    """One gateway's counters. Register it with the node's registry; several nodes in a process have one each.

    Reasons become values of a label: use a few fixed words (an `error` frame's code, `drained`, `gone`), never text.
    The numbers belong to the event loop; a scrape from another thread may see one of two that belong together.
    """

    def __init__(self, *, connections: Callable[[], int], users: Callable[[], int]) -> None:
        """Ask `connections` and `users` at each scrape how many there are."""
        self._connections = connections
        self._users = users
        self.delivered = 0
        """Changes handed to connections, each counted once for every connection."""
        self.gaps = 0
        """Times when the bus may have lost messages."""
        self.reconciles = 0
        """Comparisons of all connected users with the database that came to their end."""
        self._opened: Counter[tuple[str, ...]] = Counter({(kind,): 0 for kind in KINDS})
        self._closed: Counter[tuple[str, ...]] = Counter()
        self._refused: Counter[tuple[str, ...]] = Counter()
        self._resumes = 0
        self._batches = [0] * (len(BATCH_SIZES) + 1)

    def opened(self, kind: Kind) -> None:
        """Count a connection that was let in."""
        self._opened[kind,] += 1

    def closed(self, kind: Kind, reason: str) -> None:
        """Count the end of a connection that `opened` counted."""
        self._closed[kind, reason] += 1

    def refused(self, reason: str) -> None:
        """Count a connection that was not let in."""
        self._refused[reason,] += 1

    def resumed(self, batch: int) -> None:
        """Count a read of inboxes on behalf of so many connections."""
        self._resumes += batch
        self._batches[bisect_left(BATCH_SIZES, batch)] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        yield GaugeMetricFamily(f"{_PREFIX}_connections", "Connections, of all kinds.", value=self._connections())
        yield GaugeMetricFamily(f"{_PREFIX}_users", "Users with a connection.", value=self._users())
        yield _counter("connections_opened", "Connections let in.", ("kind",), self._opened)
        yield _counter("connections_closed", "Connections ended, and why.", ("kind", "reason"), self._closed)
        yield _counter("connections_refused", "Not let in.", ("reason",), self._refused)
        yield _counter("changes_delivered", "Changes handed to connections.", (), {(): self.delivered})
        yield self._batch_sizes()
        yield _counter("bus_gaps", "Times when the bus may have lost messages.", (), {(): self.gaps})
        yield _counter("reconciles", "Comparisons of all users with the database.", (), {(): self.reconciles})

    def _batch_sizes(self) -> Metric:
        bounds = [*map(str, map(float, BATCH_SIZES)), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(self._batches)), strict=True))
        text = "Connections whose reads of the inbox were put together; the sum is how many were read for."
        return HistogramMetricFamily(f"{_PREFIX}_resume_batch_size", text, buckets=buckets, sum_value=self._resumes)


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family
