"""One receiving connection to one server: watched, and made anew whenever it is in doubt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog

from hub.bus.address import Login, Server
from hub.bus.connection import REDIS_ERRORS, connect, pack
from hub.bus.names import partition_in, probe_channel
from hub.bus.outage import Outage
from hub.bus.receiver import Receiver
from hub.bus.subscriptions import Entry, Subscriptions, Waiter
from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange

_log = structlog.get_logger(__name__)

_VERBS = {False: (b"UNSUBSCRIBE", b"SUBSCRIBE"), True: (b"SUNSUBSCRIBE", b"SSUBSCRIBE")}
_PING = pack((b"PING",))

_BACK_OFF_FIRST = 0.1
_BACK_OFF_MOST = 5.0


class DeafConnectionError(ConnectionError):
    """The server answers on this connection, but does not deliver what is published."""


class BackOff:
    """Seconds to wait after a failure: doubling, at random below that so that nodes do not return in step."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        """Begin anew: it has worked for a while."""
        self._failures = 0

    def next(self) -> float:
        """Return how long to wait now."""
        most = min(_BACK_OFF_MOST, _BACK_OFF_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        return random.uniform(most / 2, most)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class Watchfulness:
    """How closely a link watches itself, in seconds."""

    probe_every: float
    dead_after: float
    """Nothing heard, or no probe delivered, in so long: the connection is given up."""
    timeout: float
    """For connecting and logging in."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom a link tells."""

    on_change: Callable[[InboxKey, LiveChange], None]
    on_shared: Callable[[TopicKey, SharedChange], None]
    on_gap: Callable[[], None]
    publish: Callable[[Sequence[tuple[int, bytes, bytes]]], Awaitable[bool]]
    """Sends a probe: partition, channel, payload; by the publishing side, as every message goes."""


class Link:
    """Keeps its channels subscribed at one server, over whatever connection there is.

    A connection error, an error reply, `dead_after` seconds without anything heard, or as long without a probe
    delivered, end the connection; the next one subscribes everything again, and then `on_gap` is called. (After a
    failover a connection can answer PING and deliver nothing; only a message to oneself shows it.)

    Without a server it only keeps what is wanted, until one is known.
    """

    def __init__(
        self,
        server: Server | None,
        login: Login,
        callbacks: Callbacks,
        watch: Watchfulness,
        *,
        sharded: bool,
        on_trouble: Callable[[], None],
    ) -> None:
        """`on_trouble` is called when the server may have lost its part to another."""
        self.server = server
        self.partitions: frozenset[int] = frozenset()
        """Those that its server is responsible for; `Subscriber` keeps it."""
        self.subscriptions = Subscriptions(callbacks.on_gap, self._dirty, sharded=sharded)
        self._login = login
        self._callbacks = callbacks
        self._watch = watch
        self._outage = Outage("subscribing", str(server))
        self._on_trouble = on_trouble
        self._verbs = _VERBS[sharded]
        self._back_off = BackOff()
        self._name = uuid4().hex.encode()
        self._probe: bytes | None = None
        self._probing: asyncio.Task[None] | None = None
        self._sent = 0
        self._proved = 0
        self._unproved_since: float | None = None
        self._receiver: Receiver | None = None
        self._transport: asyncio.Transport | None = None
        self._flushing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen until stopped; without a server there is nothing to do."""
        if self.server is None:
            return
        self._task = asyncio.create_task(self._run(), name=f"bellwire-bus-{self.server}")

    async def stop(self) -> None:
        """Hang up."""
        tasks = [task for task in (self._task, self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @property
    def listening(self) -> bool:
        """Whether the server has confirmed a subscription of ours on the connection there is."""
        return self._probe is not None and self.subscriptions.confirmed(self._probe)

    def hand_over(self, partitions: Collection[int]) -> dict[bytes, Entry]:
        """Give away the channels of some partitions; a probe is one's own."""
        if self._probe is not None and partition_in(self._probe) in partitions:
            self._drop_probe(self._probe)
        return self.subscriptions.hand_over(partitions)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except REDIS_ERRORS as error:
                self._outage.failed(error)
            except Exception:  # noqa: BLE001 - whatever it is, live delivery must not end for good
                _log.exception("bus_link_failed")
            self.subscriptions.connection_lost()
            self._on_trouble()
            await asyncio.sleep(self._back_off.next())

    async def _listen(self) -> None:
        assert self.server is not None  # noqa: S101 - started only with a server
        async with asyncio.timeout(self._watch.timeout):
            connection = await connect(self.server, self._login)
        receiver = self._receiver = Receiver(
            self.subscriptions,
            on_change=self._callbacks.on_change,
            on_shared=self._callbacks.on_shared,
            on_reply=self._outage.worked,
            on_trouble=self._on_trouble,
        )
        self._transport = connection.transport
        self._transport.set_protocol(receiver)
        self._unproved_since = None
        try:
            self._choose_probe()
            self._flush()
            await self._watch_over(receiver)
        finally:
            self._transport.abort()
            self._transport = self._receiver = None

    async def _watch_over(self, receiver: Receiver) -> None:
        """Probe every so often, until the connection is lost or in doubt."""
        clock = asyncio.get_running_loop().time
        probe_at = clock() + self._watch.probe_every
        while True:
            wait = min(probe_at, self._deadline(receiver)) - clock()
            await asyncio.wait((receiver.lost,), timeout=max(wait, 0))
            if receiver.lost.done():
                receiver.lost.result()
            if clock() >= self._deadline(receiver):
                silent = clock() >= receiver.heard_at + self._watch.dead_after
                raise (TimeoutError if silent else DeafConnectionError)
            if clock() >= probe_at:
                probe_at = clock() + self._watch.probe_every
                self._tick(receiver)

    def _deadline(self, receiver: Receiver) -> float:
        silent = receiver.heard_at + self._watch.dead_after
        if self._unproved_since is None:
            return silent
        return min(silent, self._unproved_since + self._watch.dead_after - self._watch.probe_every)

    def _tick(self, receiver: Receiver) -> None:
        assert self._transport is not None  # noqa: S101 - there while a receiver is
        self._transport.write(_PING)
        self._back_off.reset()  # this connection has lasted for a while
        if receiver.in_doubt:
            receiver.in_doubt = False
            self._callbacks.on_gap()
        self._choose_probe()
        if self.listening and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._send_probe())

    def _choose_probe(self) -> None:
        """Want a channel of one's own, in a partition that this server is responsible for."""
        if self._probe is not None and partition_in(self._probe) in self.partitions:
            return
        if self._probe is not None:
            self._drop_probe(self._probe)
        if self.partitions:
            self._probe = probe_channel(min(self.partitions), self._name)
            self.subscriptions.add(self._probe, self._on_probe, Waiter())

    def _drop_probe(self, probe: bytes) -> None:
        self.subscriptions.remove(probe)
        self._probe = self._unproved_since = None

    async def _send_probe(self) -> None:
        assert self._probe is not None  # noqa: S101 - sent only once subscribed
        self._sent += 1
        number, sent_at, probe = self._sent, asyncio.get_running_loop().time(), self._probe
        sent = await self._callbacks.publish([(partition_in(probe), probe, b"%d" % number)])
        # What could not be sent proves nothing about what can be heard.
        if sent and self._proved < number and self._unproved_since is None and probe == self._probe:
            self._unproved_since = sent_at

    def _on_probe(self, payload: bytes) -> None:
        self._proved = max(self._proved, int(payload))
        self._unproved_since = None

    def _dirty(self) -> None:
        """Send commands once this turn of the event loop is over: what is wanted together is asked for together."""
        if self._transport is not None and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is None:
            return
        while (command := self.subscriptions.take()) is not None:
            subscribes, channels = command
            self._transport.write(pack((self._verbs[subscribes], *channels)))
