"""Wake-ups between processes over Redis (or Valkey) pub/sub."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.bus.connect import PREFIX, compound, connection_pool, where
from hub.bus.outage import Outage
from hub.bus.publisher import Publisher
from hub.bus.subscriber import Subscriber
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from hub.ports import BusListener

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LiveChange).decode

_INBOX = f"{PREFIX}inbox:".encode()
_DUE = f"{PREFIX}due".encode()


def channel_of(key: InboxKey) -> bytes:
    """Name the channel of one inbox."""
    return _INBOX + compound(*key)


class RedisBus:
    """Implements `Bus`. All times are seconds, and are parameters so that tests can be quick."""

    def __init__(
        self,
        url: str,
        *,
        ping_every: float = 5.0,
        dead_after: float = 10.0,
        confirm_within: float = 2.0,
        timeout: float = 2.0,
    ) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: the URL is not one of Redis.

        """
        pool = connection_pool(url)
        self._client = Redis.from_pool(pool)
        self._confirm_within = confirm_within
        self._keys: dict[bytes, InboxKey] = {}
        self._listener: BusListener | None = None
        self._running: asyncio.Task[None] | None = None
        self._timeout = timeout
        self._publisher = Publisher(self._client, Outage("publishing", where(pool)), timeout=timeout)
        self._subscriber = Subscriber(
            pool,
            Outage("subscribing", where(pool)),
            on_message=self._on_message,
            on_gap=self._on_gap,
            ping_every=ping_every,
            dead_after=dead_after,
            timeout=timeout,
        )

    async def start(self, listener: BusListener) -> None:
        """Begin to listen; waits a little for Redis, and goes on without it if need be."""
        self._listener = listener
        self._running = asyncio.create_task(self._subscriber.run(), name="bellwire-bus")
        await self._subscriber.subscribe(_DUE, self._confirm_within)

    async def publish(self, changes: Sequence[tuple[InboxKey, LiveChange]]) -> bool:
        """Tell every subscribed process; False if Redis did not take everything."""
        return await self._publisher.publish([(channel_of(key), _encode(change)) for key, change in changes])

    async def announce_due(self, due_at: int) -> None:
        """Tell every worker that something is due at `due_at`."""
        await self._publisher.publish([(_DUE, b"%d" % due_at)])

    async def subscribe(self, keys: Sequence[InboxKey]) -> None:
        """Return once changes of this inbox will be heard, or after a short wait while Redis is away."""
        for key in keys:
            self._keys[channel_of(key)] = key
        await asyncio.gather(*(self._subscriber.subscribe(channel_of(key), self._confirm_within) for key in keys))

    async def unsubscribe(self, keys: Sequence[InboxKey]) -> None:
        """Stop hearing of this inbox, at once; the server is told in its own time."""
        for key in keys:
            channel = channel_of(key)
            self._keys.pop(channel, None)
            self._subscriber.subscriptions.remove(channel)

    async def healthy(self) -> bool:
        """Tell whether Redis answers now, and (once started) whether it is being listened to."""
        if self._running is not None and not self._subscriber.subscriptions.confirmed(_DUE):
            return False
        try:
            async with asyncio.timeout(self._timeout):
                await self._client.ping()
        except (RedisError, OSError):
            return False
        return True

    async def close(self) -> None:
        """Hang up."""
        self._listener = None
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))
        self._subscriber.subscriptions.release_all()
        await self._publisher.close()
        await self._client.aclose()

    def _on_gap(self) -> None:
        self._publisher.try_again()
        if self._listener is not None:
            self._listener.on_gap()

    def _on_message(self, channel: bytes, payload: bytes) -> None:
        if self._listener is None:
            return
        try:
            news = int(payload) if channel == _DUE else _decode(payload)
        except (ValueError, msgspec.DecodeError):
            self._subscriber.doubt()  # another version of Bellwire, or not Bellwire at all
            return
        if isinstance(news, int):
            self._listener.on_due(news)
        else:
            self._listener.on_change(self._keys[channel], news)
