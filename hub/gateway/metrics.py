"""stub"""

from __future__ import annotations

from collections import Counter


class GatewayMetrics:
    def __init__(self) -> None:
        self.closes: Counter[tuple[str, str]] = Counter()

    def opened(self, kind: str) -> None: ...
    def closed(self, kind: str, reason: str) -> None:
        self.closes[kind, reason] += 1

    def refused(self, reason: str) -> None: ...
