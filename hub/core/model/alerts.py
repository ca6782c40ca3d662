"""What operators are told of: deliveries that failed, in groups, and providers that are out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from hub.core.model.terms import Channel, FailureKind


class AlertGroup(NamedTuple):
    """Failures that are told of together."""

    tenant: str
    channel: Channel
    provider: str
    """Empty where none was called."""
    kind: FailureKind


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of the failures, as an example."""

    delivery: UUID
    notification: UUID
    user: str | None
    """None: an address instead of a user."""
    reason: str
    failed_at: int


@dataclass(frozen=True, slots=True)
class Alert:
    """What there is to tell of a group."""

    group: AlertGroup
    number: int
    """The messages of the group are numbered; a repeated one has the same number."""
    fence: int
    tries: int
    """How often telling it has failed."""
    count: int
    """Failures since the last message."""
    since: int
    """When the first of them happened."""
    latest: DeadLetter | None
    """The last of them; None if it has been erased meanwhile."""


@dataclass(frozen=True, slots=True)
class ProviderOutage:
    """There is to tell that a provider of a channel is out, or that it is back."""

    channel: Channel
    provider: str
    since: int
    ended_at: int | None
    """When it was found to be back; None: it is out."""
    workers: int
    """How many of the workers that use it have stopped calling it."""
    of_workers: int
    number: int
    """As of an `Alert`; so are the following."""
    fence: int
    tries: int
