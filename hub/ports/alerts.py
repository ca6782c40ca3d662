"""What there is to tell operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hub.core.model import Alert, ProviderOutage


class Alerts(Protocol):
    """Failed deliveries, counted by group as they are settled (see `Settlement.failure`), until they are told of.

    A group that has been told of is quiet for a while, and then there is one message for all that failed meanwhile.
    """

    async def claim(self, now: int, lease: int, limit: int) -> Sequence[Alert]:
        """Take up to `limit` groups with something to tell, for `lease` milliseconds; nobody else gets them."""
        ...

    async def told(self, alert: Alert, now: int, quiet: int) -> None:
        """Write down that it was told, and that its group is quiet for `quiet` milliseconds. Ignored if not ours."""
        ...

    async def failed(self, alert: Alert, again_at: int) -> None:
        """Write down that it could not be told, and when to try again. Ignored if not ours any more."""
        ...

    async def next_due(self) -> int | None:
        """Return when the next group has something to tell."""
        ...


class Outages(Protocol):
    """Providers that are out, by what the workers' reports say (see `hub.core.outages`), until it has been told."""

    async def claim(self, now: int, lease: int) -> Sequence[ProviderOutage]:
        """Look at the reports, and take what there is to tell, for `lease` milliseconds; nobody else gets it."""
        ...

    async def told(self, outage: ProviderOutage, now: int, quiet: int) -> None:
        """Write down that it was told. A new outage is not told of for `quiet` milliseconds. Ignored if not ours."""
        ...

    async def failed(self, outage: ProviderOutage, again_at: int) -> None:
        """Write down that it could not be told, and when to try again. Ignored if not ours any more."""
        ...
