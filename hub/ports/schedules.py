"""Where schedules are kept, and moved on by exactly one of all who try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from hub.core.model import IdempotencyRecord, Move, RunRecord, Schedule

Change = Callable[[Schedule], tuple[Schedule, tuple[RunRecord, ...]]]
"""From a schedule as it is to what it shall be, and what that adds to its log; may be asked again."""


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to be stored, with the answer to whoever asks for it again under the same key."""

    schedule: Schedule
    response: bytes
    idempotency: IdempotencyRecord | None = None


class ScheduleStore(Protocol):
    """Schedules, whom they name, and the last entries of their logs.

    A run that publishes is no business of this port: its `Publication.move` goes through `InboxStore.publish`, so
    that the notification and the move are one transaction.
    """

    async def add(self, new: NewSchedule, limit: int) -> bytes | None:
        """Store a schedule; returns the first answer, with nothing stored, where its key is known already.

        Raises:
            IdempotencyConflict: the key was used for something else.
            InvalidRequest: the tenant has `limit` schedules that have not ended. Calls at the same moment may add
                one more each.

        """
        ...

    async def answered(self, tenant: str, record: IdempotencyRecord) -> bytes | None:
        """Return the answer that was given to the same request under the same key, if there was one."""
        ...

    async def get(self, tenant: str, schedule: UUID) -> Schedule | None:
        """Read one."""
        ...

    async def page(self, tenant: str, after: UUID | None, limit: int) -> Sequence[Schedule]:
        """Read a page, the oldest first. What they publish is left out (`b""`)."""
        ...

    async def log(self, tenant: str, schedule: UUID) -> Sequence[RunRecord]:
        """Read the last entries of a log, the newest first."""
        ...

    async def change(self, tenant: str, schedule: UUID, change: Change) -> Schedule | None:
        """Change a schedule under its lock; None if there is none. What `change` raises passes through."""
        ...

    async def remove(self, tenant: str, schedule: UUID) -> bool:
        """Delete one with its log; once this has returned, it never fires again. False if there is none."""
        ...

    async def due(self, now: int, limit: int) -> Sequence[Schedule]:
        """Read schedules that are due, the earliest first."""
        ...

    async def next_due(self) -> int | None:
        """Return when the earliest is due of those that are neither paused nor ended."""
        ...

    async def move(self, moves: Sequence[Move]) -> Sequence[bool]:
        """Move schedules on without publishing; False for those that are not as they were read, or held by another."""
        ...

    async def forget_ended(self, before: int, limit: int) -> int:
        """Delete schedules that ended before a time; returns how many, at most `limit`."""
        ...
