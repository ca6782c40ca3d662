"""Bus, presence and rate limits inside one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.bus.signs import KEEP_MS, Sign, Signs, present, state_at
from hub.core.model import InboxKey, TopicKey
from hub.core.rates import Leave, Rate, Window
from hub.core.wire import LiveChange, SharedChange
from hub.ports import OFFLINE_AFTER, BusListener, News, PresenceEntry, PresenceState


class Switchboard:
    """What connects the memory buses of one process with each other."""

    def __init__(self) -> None:
        self.buses: list[MemoryBus] = []


class MemoryBus:
    """Implements `Bus` by plain calls: when `publish` returns, every listener has been called.

    Buses on one switchboard hear each other, as nodes of a cluster would; by default a bus has one to itself.
    """

    def __init__(self, switchboard: Switchboard | None = None) -> None:
        self._switchboard = switchboard or Switchboard()
        self._listener: BusListener | None = None
        self._inboxes: set[InboxKey] = set()
        self._topics: set[TopicKey] = set()

    async def start(self, listener: BusListener) -> None:
        """Begin to listen."""
        self._listener = listener
        self._switchboard.buses.append(self)

    async def publish(self, news: Sequence[News]) -> bool:
        """Tell every subscribed listener; always handed over whole."""
        for bus in tuple(self._switchboard.buses):
            for told in news:
                bus._hear(told)  # noqa: SLF001 - a sibling of the same class
        return True

    def hears(self, key: InboxKey) -> bool:
        """Tell whether any of the buses is subscribed to this inbox."""
        return any(key in bus._inboxes for bus in self._switchboard.buses)  # noqa: SLF001 - a sibling of the same class

    async def announce_due(self, due_at: int) -> None:
        """Tell every listener that something is due at `due_at`."""
        for bus in tuple(self._switchboard.buses):
            if bus._listener is not None:  # noqa: SLF001 - a sibling of the same class
                bus._listener.on_due(due_at)  # noqa: SLF001 - a sibling of the same class

    async def subscribe(self, keys: Sequence[InboxKey | TopicKey]) -> None:
        """Hear of these inboxes and topics from now on."""
        for key in keys:
            if isinstance(key, InboxKey):
                self._inboxes.add(key)
            else:
                self._topics.add(key)

    async def unsubscribe(self, keys: Sequence[InboxKey | TopicKey]) -> None:
        """Stop hearing of these inboxes and topics."""
        for key in keys:
            if isinstance(key, InboxKey):
                self._inboxes.discard(key)
            else:
                self._topics.discard(key)

    async def healthy(self) -> bool:
        """Tell that the bus can be reached: it is right here."""
        return True

    async def close(self) -> None:
        """Hang up."""
        self._listener = None
        if self in self._switchboard.buses:
            self._switchboard.buses.remove(self)

    def _hear(self, told: News) -> None:
        if self._listener is None:
            return
        match told:
            case (InboxKey() as inbox, LiveChange() as change) if inbox in self._inboxes:
                self._listener.on_change(inbox, change)
            case (TopicKey() as topic, SharedChange() as event) if topic in self._topics:
                self._listener.on_shared(topic, event)


class MemoryPresence:
    """Implements `Presence` in a dictionary.

    `born` is when the process started (by the `Clock`); left out, it is the time of the first call. After a restart
    clients take a while to come back, and until `OFFLINE_AFTER` has passed they are UNKNOWN, not OFFLINE.
    """

    def __init__(self, born: int | None = None) -> None:
        self._born = born
        self._users: dict[InboxKey, Signs] = {}
        self._swept_at = 0

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record signs of life."""
        self._begin(now)
        for entry in entries:
            signs = self._users.setdefault(entry.key, Signs())
            signs.connections[entry.connection] = Sign(now, entry.attention)

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        """Record that connections ended."""
        self._begin(now)
        for entry in entries:
            signs = self._users.setdefault(entry.key, Signs())
            signs.connections.pop(entry.connection, None)
            signs.left_at = now

    async def read(self, keys: Sequence[InboxKey], now: int) -> Mapping[InboxKey, PresenceState]:
        """Read users' presence."""
        born = self._begin(now)
        return {key: state_at(self._users.get(key, Signs()), now, born) for key in keys}

    async def close(self) -> None:
        """Release nothing; here so that all adapters end alike."""

    def _begin(self, now: int) -> int:
        """Return when the state began, and once a minute forget what is long over."""
        if self._born is None:
            self._born = now
        if now - self._swept_at >= OFFLINE_AFTER:
            self._swept_at = now
            for key, signs in list(self._users.items()):
                kept = {name: sign for name, sign in signs.connections.items() if present(sign, now)}
                if not kept and now - (signs.last_seen_at or 0) >= KEEP_MS:
                    del self._users[key]
                elif kept:
                    signs.connections = kept
        return self._born


class MemoryRateLimiter:
    """Implements `RateLimiter` for the one process that there is."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, tuple[Rate, ...]], Window] = {}

    async def take(self, name: str, rates: Sequence[Rate], now: int, calls: int, patience: int) -> Leave:
        """Give leave for calls; see the port."""
        window = self._windows.setdefault((name, tuple(rates)), Window(rates))
        return window.take(now, calls, patience)

    async def close(self) -> None:
        """Release nothing; here so that all adapters end alike."""
