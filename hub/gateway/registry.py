"""Which users are connected here, and keeping the bus subscribed to exactly those."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from hub.core.model import InboxKey
from hub.gateway.connection import Connection
from hub.ports import Bus


class _User:
    """One user's connections at this node."""

    __slots__ = ("connections", "lock", "subscribed")

    def __init__(self) -> None:
        self.connections: dict[Connection, None] = {}
        self.lock = asyncio.Lock()
        self.subscribed = False


class Registry:
    """Users by key. `settle` has to be awaited after `add` and after `remove`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._users: dict[InboxKey, _User] = {}

    def add(self, key: InboxKey, connection: Connection) -> None:
        """Count a connection among its user's; it is found from now on."""
        self._users.setdefault(key, _User()).connections[connection] = None

    def remove(self, key: InboxKey, connection: Connection) -> None:
        """Forget a connection. Idempotent."""
        user = self._users.get(key)
        if user is not None:
            user.connections.pop(connection, None)

    def connections(self, key: InboxKey) -> Collection[Connection]:
        """Return a user's connections; a copy, because calling them may end them."""
        user = self._users.get(key)
        return () if user is None else tuple(user.connections)

    def keys(self) -> list[InboxKey]:
        """Return everybody who is known here (for a moment also whoever has just left)."""
        return list(self._users)

    async def settle(self, key: InboxKey) -> None:
        """Subscribe or unsubscribe as the user's connections need; returns once the bus has confirmed it.

        Calls for one user take turns, so that a subscription never overtakes the unsubscription before it.
        """
        user = self._users.get(key)
        if user is None or (user.subscribed and user.connections):
            return
        async with user.lock:
            if user.connections and not user.subscribed:
                await self._bus.subscribe([key])
                user.subscribed = True
            elif user.subscribed and not user.connections:
                user.subscribed = False  # first, so that whoever comes now waits for a new subscription
                await self._bus.unsubscribe([key])
            if not user.connections and not user.subscribed and self._users.get(key) is user:
                del self._users[key]
