"""Time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time that everything is stored and compared with."""

    def now(self) -> int:
        """Return milliseconds since the epoch by the database's clock; never goes backwards in one process."""
        ...
