"""What operators see of the queue and do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from hub.core.model import Channel, Contact, Delivery, Device
from hub.core.model.queues import (
    Change,
    DeliveryFilter,
    DeliveryHistory,
    DeliveryPage,
    EventKind,
    Gauges,
    Place,
    QueueKey,
    QueueState,
    RateKey,
    Replayed,
    WorkerSign,
)


class QueueControl(Protocol):
    """A tenant's queues and deliveries. Nothing here touches what a worker holds.

    A queue is a channel of a tenant. What is paused stays so until it is resumed, whoever restarts: every claim reads
    it, so that nothing is claimed once `pause` has returned.
    """

    async def states(self, tenant: str, channels: Sequence[Channel], now: int) -> Sequence[QueueState]:
        """Read queues, in one snapshot. Counts stop at `COUNTED`, whatever there is."""
        ...

    async def pause(self, key: QueueKey, now: int) -> None:
        """Stop claiming and expanding. What is being sent ends as it ends. Idempotent."""
        ...

    async def resume(self, key: QueueKey) -> None:
        """Go on; what fell due meanwhile is due. Idempotent."""
        ...

    async def empty(self, key: QueueKey, now: int, limit: int) -> int:
        """Cancel up to `limit` deliveries and expansions that wait, the earliest due first; returns how many.

        Fewer than `limit` means that nothing was left, but for what somebody else is just changing.
        """
        ...

    async def find(self, tenant: str, wanted: DeliveryFilter, after: Place | None, limit: int) -> DeliveryPage:
        """Read a page of deliveries. Looks at a bounded number of them, so a page may be short and not the last.

        Raises:
            InvalidRequest: `after` is of another search.

        """
        ...

    async def history(self, tenant: str, delivery: UUID) -> DeliveryHistory | None:
        """Read a delivery with what is known of its past."""
        ...

    async def act(
        self, tenant: str, delivery: UUID, kind: EventKind, now: int, change: Change | None = None
    ) -> Delivery | None:
        """Retry, promote, cancel or change a delivery; None if there is none. See `hub.core.operating`.

        Raises:
            StateConflict: its state does not allow that, or another delivery has the address already.
            InvalidRequest: the change is not one for this delivery.

        """
        ...

    async def replay(
        self, tenant: str, wanted: DeliveryFilter, after: Place | None, limit: int, now: int, *, dry_run: bool
    ) -> Replayed:
        """Retry what is dead, from the oldest on: looks at up to `limit` dead deliveries in one transaction.

        With `dry_run` it only counts. What has failed again since `wanted.ended_before` is not met twice.
        """
        ...

    async def reach(self, tenant: str, users: Sequence[str]) -> Mapping[str, tuple[Contact | None, Sequence[Device]]]:
        """Read by what users can be reached."""
        ...


class WorkerReports(Protocol):
    """What workers tell of themselves, and read of the queue as a whole for their metrics."""

    async def report(self, sign: WorkerSign, counts: Mapping[RateKey, int], now: int) -> None:
        """Give a sign of life, and add to the rates. What is lost with a crash is lost: rates are for looking at."""
        ...

    async def leave(self, sign: WorkerSign) -> None:
        """Be gone at once, instead of after a while."""
        ...

    async def providers(self, now: int) -> Mapping[Channel, str] | None:
        """Return the channels that some living worker can send on; None if no worker lives."""
        ...

    async def gauges(self, now: int) -> Gauges:
        """Read the whole queue, of all tenants."""
        ...
