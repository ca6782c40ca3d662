"""What is held about a user, to be handed over or erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from hub.core.model import InboxKey, Person, PersonalNotification, Schedule


class PersonalData(Protocol):
    """Everything about one user, over all that is stored. Each method is one bounded transaction or snapshot."""

    async def person(self, key: InboxKey) -> Person:
        """Read what is known of a user beside their notifications."""
        ...

    async def notifications(self, key: InboxKey, after: UUID | None, limit: int) -> Sequence[PersonalNotification]:
        """Read the user's notifications after one of them, the oldest first, at most `limit`."""
        ...

    async def schedules(self, key: InboxKey, after: UUID | None, limit: int) -> Sequence[Schedule]:
        """Read the schedules that name the user, after one of them, the oldest first, at most `limit`."""
        ...

    async def erase_some(self, key: InboxKey) -> bool:
        """Erase a part of what is held about a user; False once there is nothing left. Safe to repeat and to break off.

        The contact goes first, so that nobody can be reached any more; then the user's place in schedules, which are
        deleted where they name nobody else; then notifications with their items and
        deliveries, and their contents where nobody else has them; the inbox last, so that its epoch ends with it. A
        delivery that a worker holds is not sent unless the provider has it already. What stays is when tokens were
        revoked: without it they would be good again.
        """
        ...
