"""How people are reached, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.core.model.inbox import Item
from hub.core.model.publishing import Content
from hub.core.model.terms import Channel, DeliveryState, Priority, Rung, When


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
    """`ok`, `transient` or `permanent`."""
    detail: str | None = None
    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotificationState:
    """What became of a notification."""

    content: Content
    items: Sequence[tuple[str, Item]]
    """`(user, item)`."""
    deliveries: Sequence[tuple[Delivery, Sequence[Attempt]]]
    recalled_at: int | None = None
