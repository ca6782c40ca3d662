"""One node's gateway: who is connected, what they hear, and what keeps them right when the bus loses something."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from dataclasses import replace

import msgspec
import structlog
from starlette.requests import HTTPConnection

from hub.core.cursor import Cursor
from hub.core.effects import Mark
from hub.core.errors import DataError, Forbidden, RequestError, StoreUnavailable, Unavailable
from hub.core.frames import CloseCode
from hub.core.ids import connection_id
from hub.core.model import Attention, InboxKey, TopicKey
from hub.core.session import Session
from hub.core.wire import LiveChange, PresenceIn, SharedChange
from hub.gateway.admission import Admission
from hub.gateway.attendance import REFRESH_INTERVAL, Attendance
from hub.gateway.connection import Connection
from hub.gateway.drain import Drain
from hub.gateway.flusher import Flusher
from hub.gateway.lane import Lane, LaneConnection
from hub.gateway.lane_sse import LaneStream
from hub.gateway.lane_websocket import LaneWebSocket
from hub.gateway.limits import Limits
from hub.gateway.metrics import GatewayMetrics, Kind
from hub.gateway.queued import QueuedConnection
from hub.gateway.reads import Reads
from hub.gateway.reconciler import Reconciler
from hub.gateway.registry import Registry
from hub.gateway.revoking import Revoking
from hub.gateway.tasks import Tasks
from hub.gateway.topics import Topics
from hub.http.auth import Guard
from hub.http.origins import Origins
from hub.ports import Authenticator, Bus, Identity, Presence
from hub.service import DISCONNECT_EVENT, Hub

ATTENTION_EVENT = "presence"
"""Marks what travels over a user's channel of the bus but is for the node that holds a connection, not for clients."""

log = structlog.get_logger(__name__)


class Gateway:
    """Implements `BusListener`, and `Host` for its connections. `start` does not start the bus."""

    def __init__(
        self,
        hub: Hub,
        authenticator: Authenticator,
        bus: Bus,
        presence: Presence,
        *,
        limits: Limits | None = None,
        origins: Origins | None = None,
        presence_interval: float = REFRESH_INTERVAL,
    ) -> None:
        self.hub = hub
        self.limits = limits or Limits()
        self.guard = Guard(authenticator, hub.clock)
        self._pages = origins or Origins()
        self.draining = False
        self._authenticator = authenticator
        self._bus = bus
        self._tasks = Tasks()
        self._loops = Tasks()
        self._flusher = Flusher()
        self._registry = Registry(bus, self._flusher)
        self._attendance = Attendance(presence, hub.clock, presence_interval)
        self.metrics = GatewayMetrics(connections=lambda: self.connections, users=lambda: len(self._registry))
        self._revoking = Revoking(self._registry, hub.revoked, self._tasks)
        self._topics = Topics(hub, self._registry, bus, self._tasks, self._has_room, self._delivered)
        self._reads = Reads(hub, self._registry, self._topics, self._tasks, self.metrics)
        self._reconciler = Reconciler(
            hub, self._registry, self._topics, on_change=self.on_change, limits=self.limits, metrics=self.metrics
        )
        self._admission = Admission(self.limits.admission_rate, self.limits.admission_burst)
        self._lane: Lane | None = None
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, str | None] = {}
        """Who is not registered yet, and from where; None if the transport has checked who it is."""
        self._origins: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._unsubscribing = False

    async def start(self) -> None:
        """Begin the background work."""
        self._loops.spawn(self._attendance.run(), "attendance")
        self._loops.spawn(self._reconciler.run(), "reconcile")

    async def drain(self) -> None:
        """Send all clients elsewhere, spread over time; returns when they have gone, or after `drain_timeout`."""
        self.draining = True
        if not self._connections:
            return
        self._empty.clear()
        await Drain(self.limits).run(tuple(self._connections), self._empty)
        log.info("gateway_drained", left=len(self._connections))

    async def close(self) -> None:
        """Drain if nobody has, end the background work and leave the shared presence. Idempotent."""
        if not self.draining:
            await self.drain()
        for connection in tuple(self._connections):
            connection.cut("stopped")
            self.disconnect(connection)
        await self._tasks.finish(self.limits.drain_timeout)
        await self._loops.cancel()
        await self._attendance.tell()
        if self._lane is not None:
            self._lane.close()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def busy(self) -> bool:
        """Whether anything is under way for connections that are here or have been."""
        return len(self._tasks) > 0

    # For transports

    @property
    def full(self) -> bool:
        """Whether no more connections are taken."""
        return self.draining or len(self._connections) >= self.limits.connections

    def admit(self, request: HTTPConnection) -> None:
        """Count somebody who comes in; call it before anything that costs.

        Raises:
            Forbidden: it comes from a page that may not.
            Unavailable: too many come at once; with the time after which there is room.

        """
        if not self._pages.admit(request):
            self.metrics.refused("origin")
            raise Forbidden("pages of this origin may not connect; add it to BELLWIRE_ALLOWED_ORIGINS")
        wait = self._admission.admit(asyncio.get_running_loop().time())
        if wait:
            self.metrics.refused("admission")
            # Whoever is told to come back is not to meet all the others there again.
            after = math.ceil(wait) + _pick(self.limits.comeback_spread) // 10_000
            raise Unavailable("too many connect at once; come back a little later", retry_after=after)

    def open(
        self, name: str | None = None, *, kind: Kind = "websocket", known: bool = False, origin: str = ""
    ) -> QueuedConnection:
        """Make a connection; `disconnect` it whatever happens. When there is no room it is sent elsewhere at once.

        `known`: the transport has checked who it is, and calls `connect` next. Else `origin` is where it comes from.
        """
        connection = QueuedConnection(self, self._session(name), self.limits.outbox_bytes, kind)
        self._enter(connection, None if known else origin)
        return connection

    def open_websocket(self, *, known: bool, origin: str) -> LaneWebSocket:
        """Make a connection for the fast lane; it disconnects itself. For the rest see `open`."""
        connection = LaneWebSocket(self.lane, self._session())
        self._enter(connection, None if known else origin)
        return connection

    def open_stream(self) -> LaneStream:
        """Make a stream for the fast lane, of somebody known; it disconnects itself."""
        connection = LaneStream(self.lane, self._session())
        self._enter(connection, None)
        return connection

    @property
    def lane(self) -> Lane:
        """What connections on the fast lane share; there is none before the first of them."""
        if self._lane is None:
            self._lane = Lane(self, self.limits, self._flusher)
        return self._lane

    def _session(self, name: str | None = None) -> Session:
        jitter = random.random()  # noqa: S311 - not for secrecy: pings must not come in step
        return Session(name or connection_id(), self.monotonic(), jitter=jitter)

    def _enter(self, connection: Connection, origin: str | None) -> None:
        """Count a connection; `origin` None: it is known."""
        self.metrics.opened(connection.kind)
        if self.full or (origin is not None and self._crowded(origin)):
            self.metrics.refused("full")
            connection.drain(_pick(self.limits.comeback_spread))
        else:  # who is sent away takes nobody's place
            self._strangers[connection] = origin
            if origin is not None:
                self._origins[origin] += 1
        self._connections.add(connection)

    def _crowded(self, origin: str) -> bool:
        return (
            len(self._strangers) >= self.limits.strangers or self._origins[origin] >= self.limits.strangers_per_address
        )

    def _no_stranger(self, connection: Connection) -> bool:
        """Count a connection among the strangers no more; False if it was none."""
        if connection not in self._strangers:
            return False
        origin = self._strangers.pop(connection)
        if origin is not None:
            self._origins[origin] -= 1
            if not self._origins[origin]:
                del self._origins[origin]
        return True

    def disconnect(self, connection: Connection, *, reason: str | None = None, fade: bool = False) -> None:
        """Forget a connection, and everything it caused. Idempotent.

        `reason` is for the metrics. With `fade`, its presence is left to fade instead of ended: it is expected back
        at once.
        """
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self.metrics.closed(connection.kind, reason or connection.reason())
        self._no_stranger(connection)
        self._attendance.leave(connection, fade=fade)
        key = connection.session.key
        if key is not None and self._registry.remove(key, connection):
            self._topics.forget(key)
            if not self._unsubscribing:
                self._unsubscribing = True
                self._tasks.spawn(self._unsubscribe(), "unsubscribe")
        connection.lost()
        if not self._connections:
            self._empty.set()

    async def _unsubscribe(self) -> None:
        """Hear no more of who has left: with the loop's next round, once for all who left in this one."""
        self._unsubscribing = False
        await self._registry.unsubscribe()
        await self._topics.unsubscribe()

    def _delivered(self, count: int) -> None:
        self.metrics.delivered += count

    async def _has_room(self) -> None:
        await self._reads.has_room()

    async def mark(self, connection: Connection, mark: Mark) -> None:
        """Apply what a client wants marked; it is applied whole even if the caller is cancelled meanwhile."""
        await asyncio.shield(self._tasks.spawn(self.apply(connection, mark), "mark"))

    def later(self, connection: LaneConnection) -> None:
        """See `LaneHost.later`."""
        self._tasks.spawn(connection.work_off(), "mark")

    async def attend(self, key: InboxKey, attention: PresenceIn) -> None:
        """Take the attention of one of the user's connections, here or at another node."""
        change = LiveChange("", 0, ATTENTION_EVENT, msgspec.json.encode(attention))
        if not self._attended_here(key, attention):
            await self._bus.publish([(key, change)])

    # Host

    def monotonic(self) -> int:
        """Return the loop's time in milliseconds: it goes by the same clock, and is asked for thousands a second."""
        return int(time.monotonic() * 1000)

    def identify(self, token: str) -> Identity:
        """Verify a user's token.

        Raises:
            Unauthenticated: it proves nothing.

        """
        return self.by_session_clock(self._authenticator.user(token, self.hub.clock.now()))

    def by_session_clock(self, identity: Identity) -> Identity:
        """Put a token's end into the clock of sessions."""
        return replace(identity, expires_at=self.monotonic() + identity.expires_at - self.hub.clock.now())

    def attended(self, connection: Connection) -> None:
        """Note who it is and whether they look."""
        key = connection.session.key
        if key is None or connection not in self._connections:
            return
        if self._no_stranger(connection):
            if not self._revoking.admits(key, connection):
                return
            if self._registry.count(key) >= self.limits.per_user:
                connection.fail("too_many", "this user has too many connections", CloseCode.TOO_MANY)
                return
            self._registry.add(key, connection)
        self._attendance.note(connection)

    def read(self, connection: Connection, after: Cursor | None) -> None:
        """Read the inbox for a connection."""
        key = connection.session.key
        if key is not None and not connection.ended:
            self._reads.ask(key, after, connection)

    # BusListener

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Pass a change on to the user's connections."""
        if change.event == ATTENTION_EVENT:
            self._on_attention(key, change)
            return
        if change.event == DISCONNECT_EVENT:
            self._revoking.disconnect(key)
            return
        self.metrics.delivered += self._registry.tell(key, change)

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        """Tell the topic's members here, or have them read."""
        self._topics.heard(key, change)

    def on_gap(self) -> None:
        """Compare everybody with the database soon."""
        self.metrics.gaps += 1
        self._reconciler.wake()

    async def reconcile(self) -> None:
        """Compare everybody with the database now; whoever lags reads what they missed.

        Raises:
            StoreUnavailable: some have not been compared.

        """
        await self._reconciler.reconcile()

    def on_due(self, due_at: int) -> None:
        """Leave that to workers."""

    async def apply(self, connection: Connection, mark: Mark) -> None:
        """Apply a mark, and tell the client if it was refused."""
        key = connection.session.key
        if key is None:
            return
        try:
            acknowledged = await self.hub.inbox.mark(key, mark.action, mark.selection, mark.until)
        except RequestError as error:
            connection.mark_refused(mark, error.slug.replace("-", "_"), error.detail)
        except DataError:
            connection.mark_refused(mark, "invalid_request", "a value cannot be stored")
        except StoreUnavailable:
            connection.mark_refused(mark, "unavailable", "nothing was changed as far as we know; try again")
        else:
            if acknowledged.live is not None:
                self.on_change(key, acknowledged.live)

    def _on_attention(self, key: InboxKey, change: LiveChange) -> None:
        try:
            attention = msgspec.json.decode(change.frame or b"", type=PresenceIn)
        except msgspec.DecodeError:
            log.warning("attention_not_understood")  # from a node of another version
            return
        self._attended_here(key, attention)

    def _attended_here(self, key: InboxKey, attention: PresenceIn) -> bool:
        """Tell the connection, if it is one of the user's here."""
        for connection in self._registry.connections(key):
            if connection.session.connection == attention.connection:
                connection.attend(Attention(attention.state))
                return True
        return False


def _pick(spread: int) -> int:
    """Choose a moment within `spread` milliseconds, so that clients do not come back all at once."""
    return random.randrange(spread)  # noqa: S311 - not for secrecy
