"""Rate limits that all processes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hub.core.rates import Leave, Rate


class RateLimiter(Protocol):
    """Gives leave for calls, so that all processes together keep to the rates."""

    async def take(self, name: str, rates: Sequence[Rate], now: int, at_most: int, patience: int) -> Leave:
        """Give leave for up to `at_most` calls (one at least) that may be made now.

        If there is none now, give it for the next call, if its time comes within `patience` milliseconds: it is
        the caller's then, and nobody overtakes it. If that takes longer, nothing is given, and `Leave.at` is when to
        ask again. Never raises: where the limit cannot be shared, it is kept by this process alone.
        """
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...
