"""Operating the queue: what waits in it, what became of a delivery, and which deliveries are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from hub.core.model.deliveries import Attempt, Delivery
from hub.core.model.terms import Channel, DeliveryState, Priority

COUNTED = 10_000
"""Where counts stop: one that has reached it means that many, or more."""


class QueueKey(NamedTuple):
    """What can be paused: a channel of a tenant."""

    tenant: str
    channel: Channel


class EventKind(StrEnum):
    """What was done to a delivery that its own row and its attempts do not tell."""

    RETRIED = "retried"
    PROMOTED = "promoted"
    CANCELLED = "cancelled"
    CHANGED = "changed"
    RESCUED = "rescued"


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """One thing that was done to a delivery."""

    at: int
    kind: EventKind
    before: DeliveryState
    after: DeliveryState
    reason: str | None
    """The reason of the state before."""
    ended_at: int | None
    """When it had ended, if the state before was an end."""


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """A delivery with all that is known of how it came to be what it is; all in the order of time."""

    delivery: Delivery
    attempts: Sequence[Attempt]
    events: Sequence[DeliveryEvent]


@dataclass(frozen=True, slots=True)
class LaneDepth:
    """What waits in a tenant's queue with one priority; counts stop at a bound."""

    priority: Priority
    queued: int
    due: int
    """Of those, how many could be claimed now."""
    earliest: int | None
    """When the one that waits longest fell due, or will."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A tenant's queue of one channel; counts stop at a bound."""

    channel: Channel
    paused_at: int | None
    lanes: Sequence[LaneDepth]
    in_flight: int
    dead: int
    audiences: int
    """Steps for shared audiences that have not been expanded to the end."""
    rates: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """By minute (milliseconds of its beginning) and outcome, how often it happened; of the last ones."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are meant; what is None does not matter. Times in milliseconds, from … to before."""

    state: DeliveryState | None = None
    channel: Channel | None = None
    user: str | None = None
    notification: UUID | None = None
    provider: str | None = None
    reason: str | None = None
    """A part of the reason, whatever its case."""
    created_after: int | None = None
    created_before: int | None = None
    ended_after: int | None = None
    ended_before: int | None = None


Place = tuple[int | str, ...]
"""Where a page ended: the values that its order goes by."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries. `next` is where to go on; a page may be short, or empty, and yet not be the last."""

    deliveries: Sequence[Delivery]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator changes of a delivery; what is None stays."""

    due_at: int | None = None
    priority: Priority | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one chunk of a replay came to. `next` is where to go on; None if that was the last."""

    deliveries: int
    next: Place | None


class ProviderSign(NamedTuple):
    """A provider of a channel, as one worker finds it."""

    channel: Channel
    provider: str
    out_since: int | None
    """Since when the worker does not call it, or only on trial; None: it does."""
    answered_at: int | None
    """When it last answered this worker; None: it has not yet."""


class WorkerSign(NamedTuple):
    """A worker process, as it tells of itself."""

    id: UUID
    started_at: int
    channels: Mapping[Channel, str]
    """The channels that it can send on, with their providers."""
    providers: Sequence[ProviderSign] = ()


class RateKey(NamedTuple):
    """What is counted for the rates."""

    queue: QueueKey
    minute: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Gauges:
    """The whole queue, of all tenants, as metrics show it; counts stop at a bound."""

    queued: Mapping[tuple[Channel, Priority], int]
    due: Mapping[tuple[Channel, Priority], int]
    lag: Mapping[tuple[Channel, Priority], int]
    """Milliseconds for which the longest-waiting delivery that is not paused has been due."""
    in_flight: Mapping[Channel, int]
    dead: Mapping[Channel, int]
    audiences: Mapping[Channel, int]
    paused: Mapping[Channel, int]
    """Tenants that have paused the channel."""
    snapshot_age: float | None = None
    """Seconds for which the oldest transaction that holds a snapshot has lasted; None: not known of this database."""
    snapshot_transactions: int | None = None
    """Transactions begun since the oldest snapshot: rows that died since cannot be removed."""
