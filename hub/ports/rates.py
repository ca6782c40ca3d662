"""Rate limits that all processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hub.core.rates import Leave, Rate


class RateLimiter(Protocol):
    """Gives leave for calls, so that all processes together keep to the rates."""

    async def take(self, name: str, rates: Sequence[Rate], now: int, calls: int, patience: int) -> Leave:
        """Give leave for so many calls together (one at least, and no more than each rate counts).

        If they may not be made now, but within `patience` milliseconds, their time is the caller's then, and nobody
        overtakes it. If that takes longer, nothing is given, and `Leave.at` is when to ask again. Never raises: where
        the limit cannot be shared, it is kept by this process alone.
        """
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...
