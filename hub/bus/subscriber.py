"""The receiving half of the Redis bus: one connection, watched, and made anew whenever it is in doubt.

redis-py's own `PubSub` reconnects and resubscribes by itself, even with retries switched off, and says nothing of
the gap; so this reads a bare redis-py `Connection`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from hub.bus.connect import new_connection
from hub.bus.outage import Outage
from hub.bus.subscriptions import Subscriptions

_log = structlog.get_logger(__name__)

CHUNK = 500
"""Channels per command: a command blocks the server for as long as it takes."""

_BACK_OFF_FIRST = 0.1
_BACK_OFF_MOST = 5.0


class Subscriber:
    """Keeps the wanted channels subscribed over whatever connection there is.

    A connection error, an error reply, or `dead_after` seconds without anything heard (a PING goes out every
    `ping_every`) end the connection; the next one subscribes everything again, and then `on_gap` is called.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        outage: Outage,
        *,
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[], None],
        ping_every: float,
        dead_after: float,
        timeout: float,
    ) -> None:
        """`timeout` (seconds) bounds connecting, and each command's way into the socket."""
        self._pool = pool
        self._outage = outage
        self._on_message = on_message
        self._ping_every = ping_every
        self._dead_after = dead_after
        self._timeout = timeout
        self._heard_at = 0.0
        self._failures = 0
        self._in_doubt = False
        self._on_gap = on_gap
        self.subscriptions = Subscriptions(on_gap)

    async def run(self) -> None:
        """Listen until cancelled, over as many connections as it takes."""
        while True:
            try:
                await self._listen()
            except* (RedisError, OSError) as errors:
                self._outage.failed(errors.exceptions[0])
            except* Exception:  # noqa: BLE001 - a fault in a listener must not end live delivery for good
                _log.exception("bus_listener_failed")
            self.subscriptions.connection_lost()
            await asyncio.sleep(self._back_off())

    async def subscribe(self, channel: bytes, wait: float) -> None:
        """Want a channel and wait for the confirmation, at most `wait` seconds."""
        waiter = self.subscriptions.add(channel)
        if waiter is not None:
            await asyncio.wait((waiter,), timeout=wait)
            self.subscriptions.give_up(channel)

    def doubt(self) -> None:
        """Note that a message could not be understood: `on_gap` is called with the next PING, once for many."""
        if not self._in_doubt:
            self._in_doubt = True
            _log.warning("bus_message_unreadable")

    async def _listen(self) -> None:
        connection = new_connection(self._pool)
        try:
            async with asyncio.TaskGroup() as group:
                async with asyncio.timeout(self._timeout):
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's gap
                self._heard_at = asyncio.get_running_loop().time()
                group.create_task(self._read(connection))
                group.create_task(self._write(connection))
        finally:
            await connection.disconnect(nowait=True)

    async def _read(self, connection: AbstractConnection) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            reply = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._heard_at = clock()
            match reply:
                case [b"message", bytes(channel), bytes(payload)]:
                    if self.subscriptions.wants(channel):
                        self._on_message(channel, payload)
                case [b"subscribe" | b"unsubscribe" as kind, bytes(channel), int()]:
                    self._outage.worked()
                    self.subscriptions.replied(channel, subscribed=kind == b"subscribe")
                case _:
                    self._failures = 0  # a pong: this connection has lasted for a while

    async def _write(self, connection: AbstractConnection) -> None:
        """Send what is wanted as it becomes wanted, and a PING every so often; one writer, so nothing interleaves."""
        clock = asyncio.get_running_loop().time
        ping_at = clock() + self._ping_every
        while True:
            while (command := self.subscriptions.take(CHUNK)) is not None:
                name, channels = command
                await self._send(connection, name, *channels)
            try:
                async with asyncio.timeout_at(min(ping_at, self._heard_at + self._dead_after)):
                    await self.subscriptions.dirty.wait()
            except TimeoutError:
                if clock() - self._heard_at >= self._dead_after:
                    raise RedisConnectionError("nothing heard, not even a pong") from None
                if clock() >= ping_at:
                    await self._send(connection, b"PING")
                    ping_at = clock() + self._ping_every
                    if self._in_doubt:
                        self._in_doubt = False
                        self._on_gap()

    async def _send(self, connection: AbstractConnection, *command: bytes) -> None:
        async with asyncio.timeout(self._timeout):
            await connection.send_command(*command, check_health=False)

    def _back_off(self) -> float:
        """Return seconds to wait: doubling, at random below that so that nodes do not return in step."""
        most = min(_BACK_OFF_MOST, _BACK_OFF_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        return random.uniform(most / 2, most)  # noqa: S311 - spreads load, guards nothing
