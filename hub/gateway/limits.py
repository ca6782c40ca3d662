"""What one node bears, and what it asks of its clients."""

from __future__ import annotations

from dataclasses import dataclass

from hub.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are seconds unless they say milliseconds."""

    connections: int = 20_000
    strangers: int = 1_000
    """Sockets that have not said who they are."""
    strangers_per_address: int = 200
    """How many of those may come from one address: with 1,000 of them one address would lock out everybody else."""
    per_user: int = 100
    outbox_bytes: int = 256 * 1024
    """What may wait for a slow client; beyond it the client is cut off, and resumes from the inbox."""
    write_deadline: float = 5.0
    """How long a client may leave all that was written unread before it is cut off."""
    close_timeout: float = 2.0
    """How long a client may take to answer a close."""
    admission_rate: float = 500.0
    """Connections accepted per second, whoever they are; 0 means all that come."""
    admission_burst: int = 1_000
    """Connections accepted at once after a quiet while."""
    message_rate: float = 50.0
    """Frames per second that one client may send on and on."""
    message_burst: int = 200
    """Frames that one client may send at once after a quiet while."""
    reconcile_interval: float = 30.0
    """Between comparisons of all connected users with the database."""
    reconcile_spread: float = 1.0
    """After a gap in the bus, nodes begin to compare at random within this time, not all at once."""
    reconcile_batch: int = 500
    drain_timeout: float = 10.0
    """How long clients may take to leave a node that stops."""
    comeback_rate: int = 500
    """How many clients of a stopping node come back to others per second, if the drain timeout allows."""
    comeback_spread: int = 30_000
    """Milliseconds over which a drained node's clients come back, at most."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """Take what operators set."""
        return cls(
            connections=settings.connections,
            strangers=settings.max_strangers,
            strangers_per_address=settings.strangers_per_address,
            per_user=settings.per_user_connections,
            outbox_bytes=settings.outbox_bytes,
            admission_rate=settings.admission_rate,
            admission_burst=settings.admission_burst,
            drain_timeout=settings.drain_timeout,
        )
