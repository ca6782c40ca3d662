"""What has served its time: finding it, writing it to an archive, dropping it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from hub.core.model import Candidate, Digests, Dropped, Lines, Part, Trim, Untold


class Retention(Protocol):
    """Old notifications and all that goes with them. Each method is one bounded transaction or snapshot.

    Dropping what is in no archive is the caller's to avoid: it reads a part, keeps it, then drops it with the digests
    of what it has kept. Safe to break off at any point, and to begin again.
    """

    async def keep_room(self, now: int) -> None:
        """See to it that there is room for what comes, and that what is empty gives its room back.

        Cheap, and safe in any number of processes: what cannot be done now is left to the next time.
        """
        ...

    async def tenants(self) -> Sequence[str]:
        """Read the tenants that have notifications or a shared log."""
        ...

    async def candidates(self, tenant: str, before: UUID, after: UUID | None, limit: int) -> Sequence[Candidate]:
        """Read the notifications with ids after one and before another, the oldest first, wanted ones too."""
        ...

    async def retire(self, tenant: str, notification: UUID, now: int) -> Sequence[Untold] | None:
        """Have a shared notification leave all inboxes, as a recall would; None if it is wanted after all.

        Returns what to tell, each with its wake-up: nothing if it has gone already.
        """
        ...

    async def next_members(self, tenant: str, notification: UUID, after: str, limit: int) -> str | None:
        """Return the last of the next users who have something of a shared notification; None: there are no others."""
        ...

    async def read(self, part: Part) -> Lines:
        """Read all rows of a part, in one snapshot: `bellwire archive` writes just these lines."""
        ...

    async def drop(self, part: Part, digests: Digests, now: int) -> Dropped:
        """Delete the rows of a part that are still what they were when read.

        Own: items leave their inboxes like in any change: with a version, out of the counts, to be told as `removed`.
        `floor` rises with them, on the head, and on the log for a shared one: an older cursor is a resync.

        Members and Shared are dropped only of what has been retired; a shared one keeps its rows in the log.
        """
        ...

    async def trimmable(self, tenant: str) -> Trim | None:
        """Tell how much of the beginning of the tenant's log nobody needs any more, if it is worth trimming.

        That takes a change of every inbox of the tenant, though none that anybody sees.
        """
        ...

    async def pass_inboxes(self, tenant: str, position: int, after: str, limit: int) -> str | None:
        """Let the next inboxes do without the log up to a position; returns the last of them, None: it was all."""
        ...

    async def trim(self, tenant: str, position: int, limit: int) -> int:
        """Delete up to so many rows of the log, up to a position that all inboxes have passed; returns how many."""
        ...


class ArchiveFile(Protocol):
    """A file that is being written. Nobody sees it under its name before `keep`."""

    async def write(self, lines: Sequence[bytes]) -> None:
        """Append lines.

        Raises:
            ArchiveUnavailable: it cannot be written.

        """
        ...

    async def keep(self) -> str | None:
        """Make it last, whole, and return its name: what comes after may rely on it. No file is ever replaced.

        None: there is none, as nothing is to be kept.

        Raises:
            ArchiveUnavailable: it cannot be written.

        """
        ...

    async def discard(self) -> None:
        """Drop it; never raises."""
        ...


class Shelf(Protocol):
    """Where archives are kept."""

    async def open(self, tenant: str, name: str) -> ArchiveFile:
        """Begin a file for a tenant.

        Raises:
            ArchiveUnavailable: it cannot be written.

        """
        ...
