"""What processes tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange

News = tuple[InboxKey, LiveChange] | tuple[TopicKey, SharedChange]
"""What is told over the bus: of one inbox to the nodes of its user, of one topic to the nodes of its members."""


class BusListener(Protocol):
    """What a process does with the bus's news. Called on the event loop; must not block or raise."""

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Handle a change of an inbox this process subscribed to."""
        ...

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        """Handle an event of a topic this process subscribed to."""
        ...

    def on_gap(self) -> None:
        """Handle that messages may have been lost (a reconnect): compare all that is subscribed with the database."""
        ...

    def on_due(self, due_at: int) -> None:
        """Handle that a delivery or timer due at `due_at` was stored."""
        ...


class Bus(Protocol):
    """Wake-ups between processes. May lose anything at any time; never blocks or fails a publisher."""

    async def start(self, listener: BusListener) -> None:
        """Begin to listen. Called once, before anything else."""
        ...

    async def publish(self, news: Sequence[News]) -> bool:
        """Tell every subscribed process; False if it could not be handed over whole (the wake-up row stays).

        News of one inbox or topic are heard in the order of the calls; those of different ones in any.
        """
        ...

    def hears(self, key: InboxKey) -> bool:
        """Tell whether anybody may be subscribed to an inbox: news of it are for nobody if not.

        Asked after the commit. Whoever subscribes only then reads the database later, and finds it there.
        """
        ...

    async def announce_due(self, due_at: int) -> None:
        """Tell every worker that something is due at `due_at`."""
        ...

    async def subscribe(self, keys: Sequence[InboxKey | TopicKey]) -> None:
        """Return once news of all these inboxes and topics will be heard (they are confirmed). Idempotent.

        While the bus is out of reach it returns after a short wait; `on_gap` follows when it is back.
        """
        ...

    async def unsubscribe(self, keys: Sequence[InboxKey | TopicKey]) -> None:
        """Stop hearing of these inboxes and topics, at once. Idempotent.

        Like a subscription it takes effect in the call itself, before anything is awaited: of two calls for one
        key the later one wins, also while the earlier one still waits.
        """
        ...

    async def healthy(self) -> bool:
        """Tell whether the bus can be reached now."""
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...
