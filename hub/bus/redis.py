"""Wake-ups between processes over Redis (or Valkey) pub/sub: one server, Sentinel, or a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.bus.address import read_url
from hub.bus.link import Callbacks, Watchfulness
from hub.bus.names import DUE, DUE_PARTITION, channel_of
from hub.bus.publisher import Publisher
from hub.bus.subscriber import Subscriber
from hub.bus.topology import topology_of
from hub.core.model import InboxKey, TopicKey
from hub.ports import BusListener, News

_encode = msgspec.msgpack.Encoder().encode


class RedisBus:
    """Implements `Bus`. All times are seconds, and are parameters so that tests can be quick.

    In a cluster it speaks sharded pub/sub: each message goes to the one server that its user's or topic's partition
    lives on, and a server that is away is missed by its own users and topics only.
    """

    def __init__(
        self,
        url: str,
        *,
        probe_every: float = 3.0,
        dead_after: float = 10.0,
        confirm_within: float = 2.0,
        timeout: float = 2.0,
        linger: float = 1.0,
    ) -> None:
        """Connect to nothing yet.

        Every `probe_every` each receiving connection sends itself a message; one that heard nothing, or did not hear
        that, for `dead_after` is replaced. `linger`: an inbox or topic nobody wants any more is unsubscribed after
        once to twice as long, unless it is wanted again.

        Raises:
            ConfigurationError: the URL is not one of Redis.

        """
        self._address = read_url(url)
        self._topology = topology_of(self._address, timeout=timeout)
        self._watch = Watchfulness(probe_every, dead_after, timeout)
        self._confirm_within = confirm_within
        self._linger = linger
        self._listener: BusListener | None = None
        self._publisher = Publisher(self._address, self._topology, timeout=timeout)
        self._subscriber: Subscriber | None = None

    async def start(self, listener: BusListener) -> None:
        """Begin to listen; waits a little for Redis, and goes on without it if need be."""
        self._listener = listener
        self._subscriber = Subscriber(
            self._address,
            self._topology,
            Callbacks(listener.on_change, listener.on_shared, self._on_gap, self._publisher.publish),
            self._watch,
            linger=self._linger,
            on_moved=self._publisher.rearrange,
        )
        await self._subscriber.start(self._confirm_within)
        await self._subscriber.subscribe([(DUE_PARTITION, DUE, self._on_due)], self._confirm_within)

    async def publish(self, news: Sequence[News]) -> bool:
        """Tell every subscribed process; False if Redis did not take everything."""
        return await self._publisher.publish([(*channel_of(key), _encode(change)) for key, change in news])

    def hears(self, key: InboxKey) -> bool:  # noqa: ARG002 - the port's
        """Tell that somebody may: to ask Redis costs what telling costs."""
        return True

    async def announce_due(self, due_at: int) -> None:
        """Tell every worker that something is due at `due_at`."""
        await self._publisher.publish([(DUE_PARTITION, DUE, b"%d" % due_at)])

    async def subscribe(self, keys: Sequence[InboxKey | TopicKey]) -> None:
        """Return once news of all these inboxes and topics will be heard, or after a short wait while Redis is away."""
        if self._subscriber is not None:
            await self._subscriber.subscribe([(*channel_of(key), key) for key in keys], self._confirm_within)

    async def unsubscribe(self, keys: Sequence[InboxKey | TopicKey]) -> None:
        """Stop hearing of these inboxes and topics, at once; the server is told in its own time."""
        if self._subscriber is not None:
            self._subscriber.unsubscribe(map(channel_of, keys))

    async def healthy(self) -> bool:
        """Tell whether Redis answers now, and (once started) whether it is being listened to.

        Of a cluster that is any part of it: a shard that is away does without live changes, as would this whole
        process if it were taken out for it.
        """
        if self._subscriber is not None and not self._subscriber.listening:
            return False
        return await self._publisher.answers()

    async def close(self) -> None:
        """Hang up."""
        self._listener = None
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            await subscriber.close()
        await self._publisher.close()

    def _on_gap(self) -> None:
        self._publisher.try_again()
        if self._listener is not None:
            self._listener.on_gap()

    def _on_due(self, payload: bytes) -> None:
        due_at = int(payload)
        if self._listener is not None:
            self._listener.on_due(due_at)
