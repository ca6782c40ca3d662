"""One node's gateway: who is connected, what they hear, and what keeps them right when the bus loses something."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec
import structlog

from hub.core.cursor import Cursor
from hub.core.effects import Mark
from hub.core.errors import DataError, RequestError, StoreUnavailable
from hub.core.frames import CloseCode
from hub.core.ids import connection_id
from hub.core.model import Attention, InboxKey
from hub.core.session import Session
from hub.core.wire import LiveChange, PresenceIn
from hub.gateway.attendance import REFRESH_INTERVAL, Attendance
from hub.gateway.connection import OUTBOX_BYTES, Connection
from hub.gateway.metrics import GatewayMetrics
from hub.gateway.reads import Reads
from hub.gateway.registry import Registry
from hub.gateway.revoking import Revoking
from hub.gateway.tasks import Tasks
from hub.http.auth import Guard
from hub.ports import Authenticator, Bus, Identity, Presence
from hub.service import DISCONNECT_EVENT, Hub

ATTENTION_EVENT = "presence"
"""Marks what travels over a user's channel of the bus but is for the node that holds a connection, not for clients."""

RECONCILE_RETRY = 1.0
"""Seconds until the comparison is tried again after the database was away."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one node bears."""

    connections: int = 20_000
    strangers: int = 1_000
    """Sockets that have not said who they are."""
    strangers_per_address: int = 200
    """How many of those may come from one address: with 1,000 of them one address would lock out everybody else."""
    per_user: int = 100
    outbox_bytes: int = OUTBOX_BYTES
    reconcile_interval: float = 30.0
    """Seconds between comparisons of all connected users with the database."""
    reconcile_batch: int = 500
    drain_timeout: float = 5.0
    """Seconds that clients get for taking their leave."""
    comeback_spread: int = 30_000
    """Milliseconds over which a drained node's clients come back, at most."""


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
        presence_interval: float = REFRESH_INTERVAL,
    ) -> None:
        self.hub = hub
        self.limits = limits or Limits()
        self.guard = Guard(authenticator, hub.clock)
        self.draining = False
        self._authenticator = authenticator
        self._bus = bus
        self._tasks = Tasks()
        self._loops = Tasks()
        self._registry = Registry(bus)
        self._attendance = Attendance(presence, hub.clock, presence_interval)
        self.metrics = GatewayMetrics(connections=lambda: self.connections, users=lambda: len(self._registry))
        self._revoking = Revoking(self._registry, hub.revoked, self._tasks)
        self._reads = Reads(hub, self._registry, self._tasks)
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, str | None] = {}
        """Who is not registered yet, and from where; None if the transport has checked who it is."""
        self._origins: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._gap = asyncio.Event()

    async def start(self) -> None:
        """Begin the background work."""
        self._loops.spawn(self._attendance.run(), "attendance")
        self._loops.spawn(self._keep_reconciled(), "reconcile")

    async def drain(self) -> None:
        """Send all clients elsewhere, spread over time; returns when they have gone, or after `drain_timeout`."""
        self.draining = True
        spread = min(self.limits.comeback_spread, max(1_000, len(self._connections)))
        for connection in tuple(self._connections):
            connection.drain(_pick(spread))
        if self._connections:
            self._empty.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.drain_timeout):
                    await self._empty.wait()
        log.info("gateway_drained", left=len(self._connections))

    async def close(self) -> None:
        """Drain if nobody has, end the background work and leave the shared presence. Idempotent."""
        if not self.draining:
            await self.drain()
        for connection in tuple(self._connections):
            self.disconnect(connection)
            connection.lost()
        await self._tasks.finish(self.limits.drain_timeout)
        await self._loops.cancel()
        await self._attendance.tell()

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

    def open(self, name: str | None = None, *, known: bool = False, origin: str = "") -> Connection:
        """Make a connection; `disconnect` it whatever happens. When there is no room it is sent elsewhere at once.

        `known`: the transport has checked who it is, and calls `connect` next. Else `origin` is where it comes from.
        """
        jitter = random.random()  # noqa: S311 - not for secrecy: pings must not come in step
        session = Session(name or connection_id(), self.monotonic(), jitter=jitter)
        connection = Connection(self, session, self.limits.outbox_bytes)
        if self.full or (not known and self._crowded(origin)):
            connection.drain(_pick(self.limits.comeback_spread))
        else:  # who is sent away takes nobody's place
            self._strangers[connection] = None if known else origin
            if not known:
                self._origins[origin] += 1
        self._connections.add(connection)
        return connection

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

    def disconnect(self, connection: Connection, *, fade: bool = False) -> None:
        """Forget a connection, and everything it caused. Idempotent.

        With `fade`, its presence is left to fade instead of ended: it is expected back at once.
        """
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._no_stranger(connection)
        self._attendance.leave(connection, fade=fade)
        key = connection.session.key
        if key is not None:
            self._registry.remove(key, connection)
            if not self._registry.connections(key):
                self._tasks.spawn(self._registry.settle(key), "unsubscribe")
        connection.lost()
        if not self._connections:
            self._empty.set()

    async def mark(self, connection: Connection, mark: Mark) -> None:
        """Apply what a client wants marked; it is applied whole even if the caller is cancelled meanwhile."""
        await asyncio.shield(self._tasks.spawn(self._mark(connection, mark), "mark"))

    async def attend(self, key: InboxKey, attention: PresenceIn) -> None:
        """Take the attention of one of the user's connections, here or at another node."""
        change = LiveChange("", 0, ATTENTION_EVENT, msgspec.json.encode(attention))
        if not self._attended_here(key, attention):
            await self._bus.publish([(key, change)])

    # Host

    def monotonic(self) -> int:
        """Return the loop's time in milliseconds."""
        return int(asyncio.get_running_loop().time() * 1000)

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
            if len(self._registry.connections(key)) >= self.limits.per_user:
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
        for connection in self._registry.connections(key):
            connection.live(change)

    def on_gap(self) -> None:
        """Compare everybody with the database now."""
        self.metrics.gaps += 1
        self._gap.set()

    def on_due(self, due_at: int) -> None:
        """Leave that to workers."""

    # Background

    async def reconcile(self) -> None:
        """Compare all connected users with the database; whoever lags reads what they missed.

        Raises:
            StoreUnavailable: some have not been compared.

        """
        keys = self._registry.keys()
        for start in range(0, len(keys), self.limits.reconcile_batch):
            versions = await self.hub.versions(keys[start : start + self.limits.reconcile_batch])
            for key, cursor in versions.items():
                self.on_change(key, LiveChange(cursor.epoch, cursor.version, "change"))
        self.metrics.reconciles += 1

    async def _keep_reconciled(self) -> None:
        delay = self.limits.reconcile_interval
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._gap.wait()
            self._gap.clear()
            try:
                await self.reconcile()
            except StoreUnavailable:
                log.warning("store_away", task="reconcile")
                delay = min(delay, RECONCILE_RETRY)
            except Exception as error:  # noqa: BLE001 - without this task a connection could stay behind for ever
                # Not the message: it may quote values.
                log.error("task_failed", task="reconcile", error=type(error).__name__)  # noqa: TRY400 - see above
                delay = min(delay, RECONCILE_RETRY)
            else:
                delay = self.limits.reconcile_interval

    async def _mark(self, connection: Connection, mark: Mark) -> None:
        key = connection.session.key
        if key is None:
            return
        try:
            acknowledged = await self.hub.mark(key, mark.action, mark.selection, mark.until)
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
