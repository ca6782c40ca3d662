"""How people are reached, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.core.model.inbox import Item
from hub.core.model.publishing import Content
from hub.core.model.shared import SharedState
from hub.core.model.terms import Channel, DeliveryState, ExpansionState, Priority, Rung, When


@dataclass(frozen=True, slots=True)
class Contact:
    """How a user can be reached, as the embedding app told us."""

    user: str
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """An endpoint of push: `kind` says how to address it (`fcm_token` now; installation ids later)."""

    id: UUID
    user: str
    kind: str
    token: str
    created_at: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One step for one recipient, as stored."""

    id: UUID
    tenant: str
    notification: UUID
    user: str | None
    address: str | None
    step: int
    channel: Channel
    priority: Priority
    due_at: int
    unless: Rung
    when: When
    state: DeliveryState
    fence: int
    claims: int
    attempts: int
    reason: str | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    finished_at: int | None = None
    forgiven: int = 0
    """Attempts before an operator's last retry: they do not count towards the limit."""
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to a provider for one endpoint."""

    delivery: UUID
    number: int
    provider: str
    endpoint: str
    """A short, non-secret name of the endpoint (a device's id, a masked address)."""
    started_at: int
    finished_at: int
    outcome: str
    """`ok`, `transient`, `permanent`, or `unusable`: not by this provider, but perhaps by another one."""
    detail: str | None = None
    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """One step for a shared audience, as stored.

    The counts are those of the turn under way (see `hub.core.expansion`): once it has ended, `members` is the whole
    audience, of which every one has a delivery, or has reached the step's `unless`, or cannot be reached.
    """

    step: int
    channel: Channel
    turn: int
    due_at: int
    """When the next chunk of members is due."""
    state: ExpansionState
    members: int
    """Members looked at."""
    deliveries: int
    """Of those, members with a delivery of this step."""
    reached: int
    """Of those, members who had got as far as the step's `unless`."""
    unreachable: int
    """Of those, members without an endpoint for the channel (or with no provider set up for it)."""
    reason: str | None = None
    finished_at: int | None = None


@dataclass(frozen=True, slots=True)
class NotificationState:
    """What became of a notification."""

    content: Content
    items: Sequence[tuple[str, Item]]
    """`(user, item)`."""
    deliveries: Sequence[tuple[Delivery, Sequence[Attempt]]]
    shared: SharedState | None = None
    """Of one for a shared audience; it has no `items` and no `deliveries` then, which may be millions."""
    expansions: Sequence[Expansion] = ()
    """Of one for a shared audience: one for each step of the plan."""
    recalled_at: int | None = None
