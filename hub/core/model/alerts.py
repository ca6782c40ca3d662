"""What operators are told of: deliveries that failed, in groups."""

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
