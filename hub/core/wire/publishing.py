"""What publishers send, and what they are told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from hub.core.wire.items import PriorityName
from hub.core.wire.node import Problem
from hub.core.wire.rehearsal import RehearsalOut


class AddressIn(Struct, frozen=True, forbid_unknown_fields=True):
    """An address instead of a user; needs `inbox: false`. Exactly one of the two."""

    email: str | None = None
    phone: str | None = None


class AudienceIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A shared audience, exactly one of the two: the members of a topic, or every user of the tenant."""

    topic: str | UnsetType = UNSET
    broadcast: bool | UnsetType = UNSET


class StepIn(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a fallback plan."""

    channel: str
    after: int | float | str = 0
    """Seconds from publish, or a duration such as `"90s"`, `"15m"`, `"2h"`, `"1d"`."""
    unless: Literal["delivered", "seen", "read"] | None = "seen"
    """The step is cancelled once the user's item has got this far; null: never."""
    when: Literal["always", "away", "offline"] = "always"


class PublishIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A notification to publish."""

    recipients: Sequence[str | AddressIn] | AudienceIn
    category: str = "general"
    title: str
    body: str = ""
    action_url: str | None = None
    data: dict[str, Any] | None = None
    actor: dict[str, Any] | None = None
    priority: PriorityName = "normal"
    channels: list[str] | None = None
    fallback: list[StepIn] | None = None
    template: str | None = None
    deliver_at: str | None = None
    expires_at: str | None = None
    collapse_key: str | None = None
    inbox: bool = True


class BatchItemIn(PublishIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One notification of a batch."""

    idempotency_key: str | None = None


class BatchIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Notifications that have nothing to do with each other, in one call."""

    notifications: list[BatchItemIn]


class EventIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that happened, and whom to tell: the canonical event."""

    event_id: str
    event_type: str
    recipient_id: str
    channels: Sequence[str] = ("in_app",)
    priority: PriorityName = "normal"
    data: dict[str, Any] | None = None
    idempotency_key: str | None = None
    created_at: str | None = None


class PublishOut(Struct, frozen=True):
    """The notification is stored: with its inbox items and its deliveries."""

    id: str
    recipients: int | None
    """null for a shared audience: nobody counts it, and its deliveries are made as their steps fall due."""
    deliveries: int


class BatchResultOut(Struct, frozen=True, omit_defaults=True):
    """What became of one notification of a batch: `status` is as if it had come alone.

    With 201 there are `id` and counts, with 200 (a dry run) a `rehearsal`, otherwise a `problem`.
    """

    status: int
    id: str | None = None
    recipients: int | None = None
    deliveries: int | None = None
    replayed: bool = False
    """An earlier publish under the same key stored it."""
    rehearsal: RehearsalOut | None = None
    problem: Problem | None = None


class BatchOut(Struct, frozen=True):
    """A result for each notification, in the order of the request."""

    results: list[BatchResultOut]


class AttemptOut(Struct, frozen=True):
    """One call to a provider."""

    number: int
    provider: str
    endpoint: str
    outcome: str
    detail: str | None
    started_at: str
    finished_at: str


class DeliveryOut(Struct, frozen=True):
    """One step for one recipient."""

    id: str
    recipient: str
    step: int
    channel: str
    state: str
    reason: str | None
    due_at: str
    finished_at: str | None
    unless: str | None
    when: str
    provider: str | None
    attempts: list[AttemptOut]


class ExpansionOut(Struct, frozen=True):
    """One step for a shared audience: how many members it has been expanded over, and what they came to.

    The counts begin again with each turn: a step is first looked at for those whom no earlier step reaches. Once it
    is `done`, `members` is everybody, and the sum of the three others.
    """

    step: int
    channel: str
    unless: str | None
    when: str
    state: str
    due_at: str
    members: int
    deliveries: int
    reached: int
    unreachable: int
    reason: str | None


class RecipientOut(Struct, frozen=True):
    """One user's inbox item."""

    user: str
    state: Literal["pending", "live", "gone"]
    seen_at: str | None
    read_at: str | None
    archived_at: str | None
    snoozed_until: str | None


class SharedOut(Struct, frozen=True):
    """A notification for a shared audience. `topic` null: for everybody."""

    topic: str | None
    state: Literal["pending", "live", "gone"]
    appeared_at: str | None


class NotificationOut(Struct, frozen=True):
    """A notification with the state of every recipient and delivery.

    One for a shared audience has `shared` instead of recipients, and the progress of each step in `expansions`.
    """

    id: str
    category: str
    title: str
    body: str
    action_url: str | None
    data: Raw
    actor: Raw
    priority: str
    inbox: bool
    collapse_key: str | None
    created_at: str
    deliver_at: str | None
    expires_at: str | None
    recalled_at: str | None
    shared: SharedOut | None
    recipients: list[RecipientOut]
    deliveries: list[DeliveryOut]
    expansions: list[ExpansionOut]
