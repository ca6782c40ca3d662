"""What is older than it has to be kept: written to an archive, then dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from hub.core import archives
from hub.core.model import Candidate, Digests, Hold, MarksPart, MembersPart, OwnPart, Part, SharedPart, Untold
from hub.ports import ArchiveFile, Clock, Retention, Shelf

Tell = Callable[[Sequence[Untold]], Awaitable[None]]
"""Tells whoever is connected; what it does not tell, a sweeper tells by the wake-up rows."""

CHUNK = 5_000
"""Notifications looked at for one file."""
PART_ROWS = 1_000
"""Rows that one transaction reads or drops; a notification with more has one of its own."""
MEMBERS = 500
"""Users of a shared notification that one transaction drops."""
PASSED = 200
"""Inboxes that one transaction takes past what is trimmed."""
TRIMMED = 5_000
"""Rows of a shared log that one transaction deletes."""


@dataclass(slots=True)
class Summary:
    """What has been done so far."""

    notifications: int = 0
    lines: int = 0
    files: list[str] = field(default_factory=list)
    held: Counter[Hold] = field(default_factory=Counter)
    """Old notifications that stay for now, by why."""
    trimmed: int = 0
    """Rows of shared logs."""


class Step(NamedTuple):
    """How far it has got with a tenant: from when the first notification was, until when all have been looked at."""

    first: int
    reached: int
    looked_at: int
    file: str | None
    """Written in this step, if anything was."""


class Unkept:
    """A shelf that keeps nothing: what is dropped is gone."""

    async def open(self, tenant: str, name: str) -> _Unkept:  # noqa: ARG002 - as the port has it
        """Begin a file that is none."""
        return _Unkept()


class _Unkept:
    async def write(self, lines: Sequence[bytes]) -> None:
        """Do nothing."""

    async def keep(self) -> str | None:
        """Keep nothing."""
        return None

    async def discard(self) -> None:
        """Do nothing."""


class Keeper:
    """Drops what is too old, once an archive has it. Broken off at any point, it can begin again."""

    def __init__(self, store: Retention, clock: Clock, shelf: Shelf, tell: Tell) -> None:
        self._store = store
        self._clock = clock
        self._shelf = shelf
        self._tell = tell
        self.summary = Summary()

    async def tenants(self) -> Sequence[str]:
        """Read the tenants that there may be something of."""
        return await self._store.tenants()

    async def count(self, tenant: str, moment: int) -> AsyncIterator[Step]:
        """Only count what `run` would do."""
        first, looked_at = None, 0
        async for chunk in self._chunks(tenant, moment):
            first = first or chunk[0].id
            looked_at += len(chunk)
            self.summary.held.update(each.hold for each in chunk if each.hold is not None)
            self.summary.notifications += sum(each.hold is None for each in chunk)
            yield Step(archives.made_at(first), archives.made_at(chunk[-1].id), looked_at, None)

    async def run(self, tenant: str, moment: int) -> AsyncIterator[Step]:
        """Archive and drop a tenant's notifications that were made before a moment; a step is a file.

        First what is shared leaves the inboxes. Then everything is read and written, a part at a time. Only when the
        file is there to stay are rows dropped, and only those that are still what was written. A crash leaves
        them: the next run writes them once more, to another file.

        Raises:
            ArchiveUnavailable: what is in no finished file is still in the database.
            StoreUnavailable: the same.

        """
        first, looked_at = None, 0
        async for chunk in self._chunks(tenant, moment):
            first = first or chunk[0].id
            looked_at += len(chunk)
            files = len(self.summary.files)
            self.summary.held.update(candidate.hold for candidate in chunk if candidate.hold is not None)
            free = [candidate for candidate in chunk if candidate.hold is None]
            shared = [each.id for each in free if each.shared and await self._retire(tenant, each.id)]
            own = [each for each in free if not each.shared]
            if names := [*shared, *(each.id for each in own)]:
                await self._drop(await self._write(tenant, str(min(names)), self._parts(tenant, own, shared)))
            new = self.summary.files[files] if len(self.summary.files) > files else None
            yield Step(archives.made_at(first), archives.made_at(chunk[-1].id), looked_at, new)
        await self._trim(tenant)

    async def _chunks(self, tenant: str, moment: int) -> AsyncIterator[Sequence[Candidate]]:
        before, after = archives.made_before(moment), None
        while chunk := await self._store.candidates(tenant, before, after, CHUNK):
            yield chunk
            after = chunk[-1].id

    async def _retire(self, tenant: str, notification: UUID) -> bool:
        told = await self._store.retire(tenant, notification, self._clock.now())
        if told is None:
            self.summary.held[Hold.CHANGED] += 1
            return False
        await self._tell(told)
        return True

    async def _parts(self, tenant: str, own: Sequence[Candidate], shared: Sequence[UUID]) -> AsyncIterator[Part]:
        for ids in _grouped(own):
            yield OwnPart(tenant, ids)
        for notification in shared:
            after: str | None = ""
            while after is not None:
                upto = await self._store.next_members(tenant, notification, after, MEMBERS)
                yield MembersPart(tenant, notification, after, upto)
                after = upto
            yield SharedPart(tenant, notification)

    async def _write(self, tenant: str, name: str, parts: AsyncIterator[Part]) -> list[tuple[Part, Digests]]:
        """Write parts to a file, and return once it is there to stay; nothing to write makes no file."""
        written: list[tuple[Part, Digests]] = []
        count = 0
        file: ArchiveFile | None = None
        try:
            async for part in parts:
                lines = await self._store.read(part)
                if rows := [line for of in lines.values() for line in of]:
                    file = file or await self._shelf.open(tenant, name)
                    await file.write(rows)
                    count += len(rows)
                written.append((part, archives.digests(lines)))
            if file is not None and (kept := await file.keep()) is not None:
                self.summary.files.append(kept)
        except BaseException:
            if file is not None:
                await file.discard()
            raise
        self.summary.lines += count
        return written

    async def _drop(self, written: Sequence[tuple[Part, Digests]]) -> None:
        for part, digests in written:
            dropped = await self._store.drop(part, digests, self._clock.now())
            await self._tell(dropped.told)
            if isinstance(part, OwnPart | SharedPart):
                self.summary.notifications += len(dropped.done)
                if changed := len(digests) - len(dropped.done):
                    self.summary.held[Hold.CHANGED] += changed

    async def _trim(self, tenant: str) -> None:
        """Delete the beginning of the tenant's log, if nobody needs it and it is worth it."""
        trim = await self._store.trimmable(tenant)
        if trim is None:
            return
        marks = [part async for part in self._pass_inboxes(tenant, trim.position)]
        await self._drop(await self._write(tenant, f"marks-{trim.position}", _each(marks)))
        while deleted := await self._store.trim(tenant, trim.position, TRIMMED):
            self.summary.trimmed += deleted

    async def _pass_inboxes(self, tenant: str, position: int) -> AsyncIterator[MarksPart]:
        """Take all inboxes past a position; their marks up to it are then of no use."""
        after: str | None = ""
        while after is not None:
            upto = await self._store.pass_inboxes(tenant, position, after, PASSED)
            yield MarksPart(tenant, position, after, upto)
            after = upto


class Caretaker:
    """What maintenance does about age, a bounded step at a time: room for the months to come, and `BELLWIRE_RETENTION`.

    Safe in any number of processes: of two that drop the same, one finds it gone.
    """

    def __init__(self, store: Retention, clock: Clock, tell: Tell, age: int | None) -> None:
        """`age`: milliseconds for which notifications are kept; None: for ever."""
        self._store = store
        self._clock = clock
        self._tell = tell
        self._age = age
        self._steps: AsyncIterator[Step] | None = None

    async def step(self) -> bool:
        """Do the next step of a round; False once the round has ended, and the next call begins another."""
        if self._steps is None:
            await self._store.keep_room(self._clock.now())
            if self._age is None:
                return False
            self._steps = self._round(self._clock.now() - self._age)
        try:
            await anext(self._steps)
        except StopAsyncIteration:
            self._steps = None
        except BaseException:
            self._steps = None  # the next round begins again, with what is left
            raise
        return self._steps is not None

    async def _round(self, moment: int) -> AsyncIterator[Step]:
        keeper = Keeper(self._store, self._clock, Unkept(), self._tell)
        for tenant in await keeper.tenants():
            async for step in keeper.run(tenant, moment):
                yield step


async def _each(parts: Sequence[Part]) -> AsyncIterator[Part]:
    for part in parts:
        yield part


def _grouped(candidates: Sequence[Candidate]) -> Iterator[tuple[UUID, ...]]:
    """Put together what can share a transaction."""
    group: list[UUID] = []
    rows = 0
    for candidate in candidates:
        if group and rows + candidate.rows > PART_ROWS:
            yield tuple(group)
            group, rows = [], 0
        group.append(candidate.id)
        rows += 1 + candidate.rows
    if group:
        yield tuple(group)
