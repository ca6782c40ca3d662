"""Who is connected and looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hub.core.model import Attention, InboxKey

PRESENCE_TTL = 45_000
"""Milliseconds after which a connection that was not refreshed is gone (refreshed every 15 s)."""

OFFLINE_AFTER = 60_000
"""Milliseconds without any connection after which a user is offline."""


@dataclass(frozen=True, slots=True)
class PresenceEntry:
    """One connection's sign of life."""

    key: InboxKey
    connection: str
    attention: Attention
    """ACTIVE or AWAY."""


@dataclass(frozen=True, slots=True)
class PresenceState:
    """A user's presence, as all nodes together know it."""

    attention: Attention
    connections: int
    last_seen_at: int | None


class Presence(Protocol):
    """Who is connected and whether they look; a hint, never the truth. Connections that stop refreshing fade."""

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record signs of life (batched). A connection not refreshed for `PRESENCE_TTL` counts as gone.

        Nodes call it every 15 s, also with no entries: when nobody has reported for `PRESENCE_TTL`, the next report
        makes the shared state young again (after an outage, what it holds proves nothing).
        """
        ...

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record that connections ended."""
        ...

    async def read(self, keys: Sequence[InboxKey], now: int) -> Mapping[InboxKey, PresenceState]:
        """Read users' presence. OFFLINE means no connection for `OFFLINE_AFTER`.

        UNKNOWN when the shared state is younger than that, or out of reach; a user whose last connection ended
        less than `OFFLINE_AFTER` ago is AWAY with zero connections.
        """
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...
