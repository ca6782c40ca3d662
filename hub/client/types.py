"""What callers hand over, and what they get, where that is not the wire's own form.

Everything else is as the REST reference names it, and comes from `hub.core.wire`.
"""

from __future__ import annotations

from typing import Any

from hub.core import wire

JsonObject = dict[str, Any]


class Notification(wire.BatchItemIn, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A notification to publish, with its own idempotency key if it has one; what is left out is not sent."""

    def __post_init__(self) -> None:
        """Refuse what would be read letter by letter.

        Raises:
            TypeError: `recipients` is one string.

        """
        if isinstance(self.recipients, str):
            raise TypeError(f"recipients is a list, also for one user: [{self.recipients!r}]")


class Published(wire.PublishOut, frozen=True):
    """The notification is stored. `replayed`: by an earlier call, or an earlier attempt, under the same key."""

    replayed: bool = False


class Item(wire.Item, frozen=True):
    """An inbox item, with `data` and `actor` read."""

    data: JsonObject | None  # type: ignore[assignment]  # the hub passes its JSON on unread, here it is wanted
    actor: JsonObject | None  # type: ignore[assignment]  # the same


class InboxPage(wire.InboxOut, frozen=True):
    """One page of an inbox, newest first."""

    data: list[Item]  # type: ignore[assignment]  # a list of more than the base asks for, and nobody adds to it


class NotificationStatus(wire.NotificationOut, frozen=True):
    """A notification with the state of every recipient and delivery."""

    data: JsonObject | None  # type: ignore[assignment]  # as in `Item`
    actor: JsonObject | None  # type: ignore[assignment]  # the same


class ScheduleStatus(wire.ScheduleDetailOut, frozen=True, kw_only=True):
    """A schedule with what it publishes and what it did."""

    notification: JsonObject  # type: ignore[assignment]  # as in `Item`
