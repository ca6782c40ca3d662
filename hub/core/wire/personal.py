"""Everything that is held about a user, as it is handed over."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Raw, Struct

from hub.core.wire.publishing import AttemptOut
from hub.core.wire.schedules import ScheduleOut
from hub.core.wire.users import DeviceOut


class ExportedContact(Struct, frozen=True):
    """How the user is reached."""

    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
    created_at: str
    updated_at: str


class ExportedInbox(Struct, frozen=True):
    """The inbox as a whole."""

    version: int
    unread_count: int
    unseen_count: int
    created_at: str


class ExportedItem(Struct, frozen=True):
    """The user's state of a notification."""

    state: Literal["pending", "live", "gone"]
    version: int
    appeared_at: str
    delivered_at: str | None
    seen_at: str | None
    read_at: str | None
    archived_at: str | None
    snoozed_until: str | None


class ExportedAttempt(AttemptOut, frozen=True, kw_only=True):
    """One call to a provider."""

    provider_message_id: str | None


class ExportedDelivery(Struct, frozen=True):
    """One step of the plan, for the user."""

    id: str
    step: int
    channel: str
    state: str
    reason: str | None
    due_at: str
    finished_at: str | None
    unless: str | None
    when: str
    provider: str | None
    provider_message_id: str | None
    attempts: list[ExportedAttempt]


class ExportedMembership(Struct, frozen=True):
    """A topic that the user is a member of, or has been."""

    topic: str
    member: bool


class ExportedNotification(Struct, frozen=True):
    """A notification, as far as it concerns the user. Without `item` it went past the inbox."""

    id: str
    category: str
    title: str
    body: str
    action_url: str | None
    data: Raw
    actor: Raw
    priority: str
    collapse_key: str | None
    created_at: str
    deliver_at: str | None
    expires_at: str | None
    recalled_at: str | None
    item: ExportedItem | None
    deliveries: list[ExportedDelivery]


class ExportedSchedule(ScheduleOut, frozen=True, kw_only=True):
    """A schedule that names the user, with what it publishes to them."""

    category: str
    title: str
    body: str
    action_url: str | None
    data: dict[str, Any] | None
    actor: dict[str, Any] | None


class ExportOut(Struct, frozen=True):
    """Everything that is held about a user; schedules and notifications with the oldest first."""

    user: str
    exported_at: str
    contact: ExportedContact | None
    devices: list[DeviceOut]
    inbox: ExportedInbox | None
    tokens_refused_before: str | None
    topics: list[ExportedMembership]
    schedules: list[ExportedSchedule]
    notifications: list[ExportedNotification]
    """This and the field before it are the last: what comes before is known before the first of them is read."""
