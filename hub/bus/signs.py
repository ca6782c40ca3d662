"""What a user's signs of life add up to; the same for every adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hub.core.model import Attention
from hub.ports import OFFLINE_AFTER, PRESENCE_TTL, PresenceState

KEEP_MS = 24 * 3600 * 1000
"""How long a user's last sign of life is remembered after the last change of it."""


class Sign(NamedTuple):
    """One connection's newest sign of life."""

    at: int
    attention: Attention


@dataclass(slots=True)
class Signs:
    """All that is known of a user: each connection's newest sign, and when the last one left."""

    connections: dict[str, Sign] = field(default_factory=dict)
    left_at: int | None = None

    @property
    def last_seen_at(self) -> int | None:
        """The newest sign of life, be it of leaving."""
        times = [sign.at for sign in self.connections.values()]
        if self.left_at is not None:
            times.append(self.left_at)
        return max(times, default=None)


def present(sign: Sign, now: int) -> bool:
    """Tell whether a connection still counts, or has faded for want of a refresh."""
    return now - sign.at < PRESENCE_TTL


def state_at(signs: Signs, now: int, born: int) -> PresenceState:
    """Judge a user's presence.

    `born` is when the adapter's state began: until it is `OFFLINE_AFTER` old, connections may exist that have not
    reported to it yet, so what would be OFFLINE is UNKNOWN. A faded connection ended `PRESENCE_TTL` after its
    last sign of life.
    """
    alive = [sign for sign in signs.connections.values() if present(sign, now)]
    if alive:
        active = any(sign.attention is Attention.ACTIVE for sign in alive)
        attention = Attention.ACTIVE if active else Attention.AWAY
        return PresenceState(attention, len(alive), signs.last_seen_at)
    ends = [sign.at + PRESENCE_TTL for sign in signs.connections.values()]
    if signs.left_at is not None:
        ends.append(signs.left_at)
    if ends and now - max(ends) < OFFLINE_AFTER:
        return PresenceState(Attention.AWAY, 0, signs.last_seen_at)
    young = now - born < OFFLINE_AFTER
    return PresenceState(Attention.UNKNOWN if young else Attention.OFFLINE, 0, signs.last_seen_at)
