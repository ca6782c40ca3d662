"""Where deliveries wait for workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from hub.core.model import (
    Attempt,
    Channel,
    Contact,
    Content,
    Delivery,
    DeliveryState,
    Device,
    FailureKind,
    Priority,
    Rung,
)


class Lane(NamedTuple):
    """Deliveries that share a pool of work: a dead provider fills only its own lane."""

    channel: Channel
    priority: Priority
    shared: bool = False
    """Deliveries of shared audiences have lanes of their own: however many there are, no direct one waits for them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker holds until its lease ends, with all that is needed to decide and send it."""

    delivery: Delivery
    content: Content
    contact: Contact | None
    devices: Sequence[Device]
    done_endpoints: frozenset[str]
    """Endpoints that an earlier attempt of this delivery reached already; they are not tried again."""
    refused_endpoints: frozenset[str] = frozenset()
    """Endpoints that an earlier attempt failed for permanently; nor are they."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a claim. Applied only while `fence` is still the delivery's (else somebody else owns it).

    `state` QUEUED returns it for `due_at`, and `claims` counts anew (`fence` does not). `provider_calls` is added to
    `attempts`; the `attempts` given here are one round, stored under its number (what was counted before, plus one).
    `pull_next`: the recipient's next step(s) become due now, those with the smallest later `after` in the plan;
    cancelled steps are passed over, and a step that was claimed before keeps its time.
    `gone_devices` are deleted: the provider said that they no longer exist.
    `failure` goes with FAILED, and with nothing else: it is counted for the alert in the same transaction.
    """

    delivery: UUID
    tenant: str
    fence: int
    state: DeliveryState
    reason: str | None
    due_at: int | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    provider_calls: int = 0
    attempts: Sequence[Attempt] = ()
    pull_next: bool = False
    gone_devices: Sequence[UUID] = ()
    failure: FailureKind | None = None


class DeliveryQueue(Protocol):
    """The fallback queue: rows beside the inbox, claimed with leases."""

    async def claim(self, lane: Lane, now: int, lease: int, limit: int) -> Sequence[Claim]:
        """Claim due deliveries of a lane, the earliest due first, for `lease` milliseconds.

        The claiming statement itself reads the recipient's item: a delivery whose `unless` rung is reached, or
        whose notification is gone, is never claimed. Raises `fence` and `claims` by one.
        """
        ...

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        """Read the item's rung once more right before sending; None if the claim is no longer ours or it is gone."""
        ...

    async def renew(self, claims: Sequence[tuple[UUID, int]], now: int, lease: int) -> Sequence[UUID]:
        """Extend the leases of `(delivery, fence)` pairs; returns those that are still ours."""
        ...

    async def settle(self, settlements: Sequence[Settlement], now: int) -> Sequence[UUID]:
        """End claims in one transaction; returns those that were still ours and have been written."""
        ...

    async def rescue(self, now: int, max_claims: int, limit: int) -> int:
        """Return deliveries with a spent lease to the queue, or fail them after `max_claims`; counts them.

        With a `limit` of 0 it does nothing, but fails if the store cannot be reached.

        Also cancels (tidies) due queued deliveries whose rung was reached but which no acknowledgement cancelled.
        """
        ...

    async def next_due(self) -> Mapping[Lane, int]:
        """Return, for each lane with queued deliveries, when its earliest is due."""
        ...
