"""What a listener still has to say of what was handled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from hub.client.types import Item

GATHER: Final = 0.2
"""Seconds for which acknowledgements are gathered: the hub minds too many frames, not many ids."""
MOST_IDS: Final = 500
"""Ids of one frame, well below what the hub takes."""


class Acknowledgements:
    """Items that were handled, and of which the hub is to know."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self.due_at: float | None = None

    def add(self, item: Item, handed_at: float) -> None:
        """Note an item; those that the user has seen elsewhere need no word. Who took long over it says so at once."""
        if item.seen_at is None and item.read_at is None:
            self.due_at = handed_at + GATHER if self.due_at is None else self.due_at
            self._ids[item.id] = None

    @property
    def due(self) -> bool:
        """Whether it is time to say so."""
        return len(self._ids) >= MOST_IDS or (self.due_at is not None and time.monotonic() >= self.due_at)

    def some(self) -> list[str]:
        """Return what one frame can say."""
        return list(self._ids)[:MOST_IDS]

    def said(self, ids: Sequence[str]) -> None:
        """Note that these were said; more may be left."""
        for identifier in ids:
            del self._ids[identifier]
        self.due_at = time.monotonic() if self._ids else None
