"""Where the fallback plans of shared audiences wait to be expanded into deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from hub.core.model import Channel
from hub.ports.queue import Lane


class ExpansionKey(NamedTuple):
    """One step of one shared notification."""

    tenant: str
    notification: UUID
    step: int


@dataclass(frozen=True, slots=True)
class Expanded:
    """What one chunk came to. `made`: deliveries that are due now; `ended`: no further chunk follows."""

    made: int
    ended: bool


class Expansions(Protocol):
    """Steps of shared notifications, expanded member by member when they are due.

    All state is in the row of the expansion, and changes with the deliveries in one transaction: a crash leaves
    nothing to repair, and any number of workers may call this at once.
    """

    async def due(self, now: int, limit: int, depth: int) -> Sequence[tuple[ExpansionKey, Lane]]:
        """Read up to `limit` due expansions of each lane, the earliest first.

        None of a lane in which `depth` deliveries or more are due already: the audience is expanded as fast as it
        is sent to, and who sees the notification meanwhile costs nothing.
        """
        ...

    async def expand(
        self, expansion: ExpansionKey, now: int, channels: frozenset[Channel], limit: int
    ) -> Expanded | None:
        """Make the deliveries of the next `limit` members, where they need one, and remember how far it got.

        `channels` are those with a provider: the others reach nobody. Ends an expansion whose notification has
        expired or is gone. None if there is nothing to do: another worker is at it, it has ended, it is not due, or
        its notification has not appeared yet.
        """
        ...

    async def next_due(self) -> int | None:
        """Return when the earliest expansion that has not ended is due."""
        ...
