"""What operators see of queues and deliveries, and what they ask for."""

from __future__ import annotations

from msgspec import Struct

from hub.core.wire.items import PriorityName
from hub.core.wire.publishing import AttemptOut


class LaneOut(Struct, frozen=True):
    """What waits with one priority. Counts stop at 10,000, which then means that many or more."""

    priority: PriorityName
    queued: int
    due: int
    """Of those, how many are due."""
    lag_ms: int
    """For how long the one that has waited longest has been due."""


class RateOut(Struct, frozen=True):
    """What workers did in the running minute and so many before it, by outcome; a few seconds late."""

    minutes: int
    outcomes: dict[str, int]


class QueueOut(Struct, frozen=True):
    """A queue: what one channel has to send. Counts stop at 10,000, which then means that many or more."""

    channel: str
    paused: bool
    paused_at: str | None
    queued: int
    due: int
    lag_ms: int
    in_flight: int
    """Held by workers at this moment."""
    dead: int
    """In the dead-letter queue."""
    audiences: int
    """Steps for shared audiences, whose deliveries are made when they are due."""
    priorities: list[LaneOut]
    rates: list[RateOut]


class QueuesOut(Struct, frozen=True):
    """Every queue of the tenant."""

    data: list[QueueOut]


class EmptiedOut(Struct, frozen=True):
    """How many were cancelled. `more`: not everything yet; call again."""

    cancelled: int
    more: bool


class DeliveryRowOut(Struct, frozen=True):
    """One step for one recipient."""

    id: str
    notification: str
    recipient: str
    user: str | None
    """null: `recipient` is an address."""
    step: int
    channel: str
    priority: PriorityName
    state: str
    reason: str | None
    due_at: str
    unless: str | None
    when: str
    provider: str | None
    attempt_count: int
    created_at: str
    finished_at: str | None


class TraceOut(Struct, frozen=True):
    """One thing that happened to a delivery: since then it has been in `state`."""

    at: str
    event: str
    state: str
    reason: str | None


class DeliveryDetailOut(DeliveryRowOut, frozen=True):
    """One step for one recipient, with every call to a provider and how it came to be what it is."""

    attempts: list[AttemptOut]
    trace: list[TraceOut]


class DeliveriesOut(Struct, frozen=True):
    """A page. It may be short, or empty, and yet have more: go on with `next` until `has_more` is false."""

    data: list[DeliveryRowOut]
    has_more: bool
    next: str | None


class DeliveryPatchIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    due_at: str | None = None
    priority: PriorityName | None = None
    address: str | None = None


class ReplayIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which dead deliveries to put back into the queue; what is left out does not matter."""

    channel: str | None = None
    user: str | None = None
    notification: str | None = None
    provider: str | None = None
    reason: str | None = None
    """A part of the reason, whatever its case."""
    failed_after: str | None = None
    failed_before: str | None = None
    limit: int = 1_000
    """How many dead deliveries to look at in this call."""
    after: str | None = None
    """The `next` of the call before."""
    dry_run: bool = False
    """Only count."""


class ReplayOut(Struct, frozen=True):
    """How many were put back. `next`: there are more to look at; call again with it as `after`."""

    replayed: int
    dry_run: bool
    has_more: bool
    next: str | None
