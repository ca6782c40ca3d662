"""Archives kept in memory, and a keeper that writes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hub.core.archives import file_of
from hub.core.model import InboxChange, SharedEvent, Untold
from hub.service.retention import Keeper, Summary, Tell
from hub.store.engine import Database
from hub.store.retention import SqlRetention
from tests.support.clock import START, ManualClock

DAY = 86_400_000
MUCH_LATER = START + 100 * DAY
"""When things of START are old, and everything due has been."""


class MemoryShelf:
    """A `Shelf`; `before_keeping` is called when a file is about to be finished."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.discarded = 0
        self.before_keeping: Callable[[], Awaitable[object]] | None = None

    async def open(self, tenant: str, name: str) -> MemoryFile:
        return MemoryFile(self, tenant, name)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines of all files."""
        return [line for lines in self.files.values() for line in lines]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["kind"] == kind]

    @property
    def kinds(self) -> dict[str, int]:
        return dict(Counter(line["kind"] for line in self.lines))


class MemoryFile:
    def __init__(self, shelf: MemoryShelf, tenant: str, name: str) -> None:
        self._shelf = shelf
        self._key = (tenant, name)
        self._lines: list[dict[str, Any]] = []

    async def write(self, lines: Sequence[bytes]) -> None:
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
        self._lines += map(json.loads, lines)

    async def keep(self) -> str:
        if self._shelf.before_keeping is not None:
            await self._shelf.before_keeping()
        tenant, name = self._key
        taken = sum(file[0] == tenant and file[1].startswith(name) for file in self._shelf.files)
        key = (tenant, file_of(name, taken + 1))
        self._shelf.files[key] = self._lines
        return "/".join(key)

    async def discard(self) -> None:
        self._shelf.discarded += 1


class Told:
    """Takes what is to be told."""

    def __init__(self) -> None:
        self.changes: list[InboxChange] = []
        self.events: list[SharedEvent] = []

    async def __call__(self, untold: Sequence[Untold]) -> None:
        for what, _ in untold:
            if isinstance(what, InboxChange):
                self.changes.append(what)
            else:
                self.events.append(what)


async def archive(
    database: Database,
    shelf: MemoryShelf,
    *,
    older_than: int = START + DAY,
    now: int = MUCH_LATER,
    told: Tell | None = None,
    tenant: str | None = None,
) -> Summary:
    """Archive what was made before a moment, of all tenants or of one."""
    keeper = Keeper(SqlRetention(database), ManualClock(now), shelf, told or Told())
    for each in await keeper.tenants() if tenant is None else [tenant]:
        async for _ in keeper.run(each, older_than):
            pass
    return keeper.summary
