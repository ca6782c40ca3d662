"""Everything that is held about one user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.core.model.deliveries import Attempt, Contact, Delivery, Device
from hub.core.model.inbox import Head, Item
from hub.core.model.publishing import Content


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a user beside their notifications. Each part may be missing."""

    contact: Contact | None = None
    contact_created_at: int | None = None
    contact_updated_at: int | None = None
    devices: Sequence[Device] = ()
    head: Head | None = None
    inbox_created_at: int | None = None
    tokens_refused_before: int | None = None
    topics: Sequence[tuple[str, bool]] = ()
    """Topics that the user is, or was, a member of; True: is."""

    @property
    def known(self) -> bool:
        """Whether there is anything at all."""
        return self != Person()


@dataclass(frozen=True, slots=True)
class PersonalNotification:
    """One notification, as far as it concerns one user. Without `item` it went past the inbox."""

    content: Content
    recalled_at: int | None
    item: Item | None
    delivered_at: int | None
    deliveries: Sequence[tuple[Delivery, Sequence[Attempt]]]
