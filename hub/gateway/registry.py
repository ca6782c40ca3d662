"""Which users are connected here, and keeping the bus subscribed to exactly those."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from hub.gateway.connection import Connection
from hub.gateway.flusher import Flusher
from hub.gateway.news import News, in_step
from hub.ports import Bus


class _User:
    """One user's connections at this node."""

    __slots__ = ("connections", "news", "subscribed")

    def __init__(self, connection: Connection) -> None:
        self.news: list[LiveChange] | None = None
        """What was heard since the last flush."""
        self.connections: Connection | dict[Connection, None] = connection
        """Most users have one here: a container for it would cost more than the connection's own object."""
        self.subscribed = False

    def flush(self) -> None:
        """Tell the news to all connections."""
        changes, self.news = self.news, None
        if changes is None:
            return
        news = News(changes) if in_step(changes) else None
        listening = self.connections
        # A copy, because calling them may end them.
        for connection in tuple(listening) if isinstance(listening, dict) else (listening,):
            if news is None or not connection.hear(news):
                for change in changes:
                    connection.live(change)


class Registry:
    """Users by key. After `add`, `subscribe` has to be awaited; after `remove`, `unsubscribe`."""

    def __init__(self, bus: Bus, flusher: Flusher) -> None:
        self._bus = bus
        self._flusher = flusher
        self._users: dict[InboxKey, _User] = {}
        self._left: dict[InboxKey, None] = {}
        """Users whose last connection has gone."""

    def __len__(self) -> int:
        """Return how many users are known here."""
        return len(self._users)

    def add(self, key: InboxKey, connection: Connection) -> None:
        """Count a connection among its user's; it is found from now on."""
        user = self._users.get(key)
        if user is None:
            self._users[key] = _User(connection)
        elif isinstance(user.connections, dict):
            user.connections[connection] = None
        else:
            user.connections = {user.connections: None, connection: None}

    def remove(self, key: InboxKey, connection: Connection) -> bool:
        """Forget a connection; True if it was the user's last one here. Idempotent."""
        user = self._users.get(key)
        if user is None:
            return False
        if isinstance(user.connections, dict):
            user.connections.pop(connection, None)
            if user.connections:
                return False
        elif user.connections is not connection:
            return False
        del self._users[key]
        if user.subscribed:
            self._left[key] = None
        return bool(self._left)

    def tell(self, key: InboxKey, change: LiveChange) -> int:
        """Tell a user's connections of a change, together with what else is heard until the next flush.

        Returns how many there are.
        """
        user = self._users.get(key)
        if user is None:
            return 0
        if user.news is None:
            user.news = [change]
            self._flusher.ask(user)
        else:
            user.news.append(change)
        return len(user.connections) if isinstance(user.connections, dict) else 1

    def connections(self, key: InboxKey) -> Collection[Connection]:
        """Return a user's connections; a copy, because calling them may end them."""
        user = self._users.get(key)
        if user is None:
            return ()
        return tuple(user.connections) if isinstance(user.connections, dict) else (user.connections,)

    def count(self, key: InboxKey) -> int:
        """Return how many connections a user has."""
        user = self._users.get(key)
        if user is None:
            return 0
        return len(user.connections) if isinstance(user.connections, dict) else 1

    def keys(self) -> list[InboxKey]:
        """Return everybody who is connected here."""
        return list(self._users)

    async def subscribe(self, keys: Sequence[InboxKey]) -> None:
        """Return once the bus has confirmed that these users' changes are heard, or after its short wait."""
        asked = {key: user for key in keys if (user := self._users.get(key)) is not None and not user.subscribed}
        if not asked:
            return
        await self._bus.subscribe(list(asked))
        for key, user in asked.items():
            user.subscribed = True
            if self._users.get(key) is not user:  # gone meanwhile, and not subscribed then
                self._left[key] = None

    async def unsubscribe(self) -> None:
        """Hear no more of those who have left and have not come back."""
        left, self._left = self._left, {}
        gone = [key for key in left if key not in self._users]
        if gone:
            await self._bus.unsubscribe(gone)
