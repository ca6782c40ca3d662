"""Where a process of the hub is wired: settings in, adapters opened, use cases and routes on top.

`bellwire serve` opens it; a Python app can mount `create_app()` instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from hub.api.metrics import node_registry
from hub.api.problems import exception_handlers
from hub.api.routes import api_routes
from hub.core.errors import ConfigurationError, StoreUnavailable
from hub.core.mailbox import DevMailbox
from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange
from hub.credentials import load_credentials
from hub.gateway.gateway import Gateway
from hub.gateway.limits import Limits
from hub.gateway.routes import gateway_routes
from hub.http.origins import Origins
from hub.keyring import Keyring
from hub.ports import Bus, BusListener, Presence, RateLimiter
from hub.revoked import RevokedTokens, RevokingAuthenticator
from hub.service import Hub, Operations, Upkeep
from hub.service.retention import Caretaker
from hub.settings import Settings
from hub.store.alerts import SqlAlerts
from hub.store.clock import DatabaseClock
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.directory import SqlDirectory
from hub.store.engine import Database, open_database
from hub.store.expansions import SqlExpansions
from hub.store.inbox import SqlInboxStore
from hub.store.migrate import migrate, schema_is_current
from hub.store.outages import SqlOutages
from hub.store.personal import SqlPersonalData
from hub.store.queue_control import SqlQueueControl
from hub.store.retention import SqlRetention
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore
from hub.store.worker_reports import SqlWorkerReports

log = structlog.get_logger(__name__)

SWEEP_INTERVAL = 1.0
"""Seconds between looks for what a crash left untold; with `LEFTOVER_AGE` it is made up for within 5 s."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process is made of, opened."""

    settings: Settings
    database: Database
    hub: Hub
    queue: SqlDeliveryQueue
    expansions: SqlExpansions
    caretaker: Caretaker
    bus: Bus
    presence: Presence
    limiter: RateLimiter
    alerts: SqlAlerts
    outages: SqlOutages
    revoked: RevokedTokens
    """Knows of none until it has begun to listen."""
    operations: Operations
    reports: SqlWorkerReports
    metrics: CollectorRegistry
    """What this process shows at `/metrics`."""


@dataclass(frozen=True, slots=True)
class Node:
    """A gateway node, opened: the ASGI app, and what its server needs to drain it."""

    app: Starlette
    parts: Parts
    gateway: Gateway
    keyring: Keyring


StartBackground = Callable[[Parts, DevMailbox], AbstractAsyncContextManager[BusListener]]
"""Starts the background work of a node once its parts are open."""


class Listeners:
    """One bus, several listeners in the process."""

    def __init__(self, listeners: Sequence[BusListener]) -> None:
        self._listeners = listeners

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """See `BusListener.on_change`."""
        for listener in self._listeners:
            listener.on_change(key, change)

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        """See `BusListener.on_shared`."""
        for listener in self._listeners:
            listener.on_shared(key, change)

    def on_gap(self) -> None:
        """See `BusListener.on_gap`."""
        for listener in self._listeners:
            listener.on_gap()

    def on_due(self, due_at: int) -> None:
        """See `BusListener.on_due`."""
        for listener in self._listeners:
            listener.on_due(due_at)


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open database, bus and presence, and bring the schema up to date (SQLite) or refuse (PostgreSQL).

    Raises:
        ConfigurationError: the schema is not current, or another process owns the SQLite file.

    """
    async with AsyncExitStack() as stack:
        database = await open_database(settings.resolved_database_url)
        stack.push_async_callback(database.close)
        if not await schema_is_current(database):
            if settings.postgres:
                raise ConfigurationError("the database's schema is not current; run `bellwire migrate` first")
            await migrate(settings.resolved_database_url)
            await database.identify()
        if settings.redis_url is None:
            await database.stand_alone()
        clock = DatabaseClock(database)
        await clock.sync()
        bus, presence, limiter = _open_bus(settings, clock.now())
        stack.push_async_callback(bus.close)
        stack.push_async_callback(presence.close)
        stack.push_async_callback(limiter.close)
        revoked = RevokedTokens(SqlRevocations(database), clock)
        hub = Hub(
            inbox=SqlInboxStore(database),
            log=SqlSharedLog(database),
            directory=SqlDirectory(database),
            personal=SqlPersonalData(database),
            tickets=SqlTicketStore(database),
            schedules=SqlScheduleStore(database),
            bus=bus,
            presence=presence,
            clock=clock,
            revoked=revoked,
            schedules_per_tenant=settings.schedules_per_tenant,
        )
        stack.push_async_callback(_cancelled, asyncio.create_task(clock.keep(), name="clock"))
        reports = SqlWorkerReports(database)
        yield Parts(
            settings=settings,
            database=database,
            hub=hub,
            queue=SqlDeliveryQueue(database),
            expansions=SqlExpansions(database),
            caretaker=Caretaker(SqlRetention(database), clock, hub.upkeep.tell, settings.retention_ms),
            bus=bus,
            presence=presence,
            limiter=limiter,
            alerts=SqlAlerts(database),
            outages=SqlOutages(database),
            revoked=revoked,
            operations=Operations(SqlQueueControl(database), reports, presence, bus, clock),
            reports=reports,
            metrics=node_registry(),
        )


def _open_bus(settings: Settings, now: int) -> tuple[Bus, Presence, RateLimiter]:
    if settings.redis_url is None:
        from hub.bus.memory import MemoryBus, MemoryPresence, MemoryRateLimiter  # noqa: PLC0415 - one of the two

        return MemoryBus(), MemoryPresence(born=now), MemoryRateLimiter()
    from hub.bus.presence import RedisPresence  # noqa: PLC0415 - the same
    from hub.bus.rates import RedisRateLimiter  # noqa: PLC0415 - the same
    from hub.bus.redis import RedisBus  # noqa: PLC0415 - the same

    url = settings.redis_url
    return RedisBus(url), RedisPresence(url), RedisRateLimiter(url)


@asynccontextmanager
async def open_node(settings: Settings, background: StartBackground | None = None) -> AsyncIterator[Node]:
    """Open a gateway node; its app serves the whole interface.

    Raises:
        ConfigurationError: see `open_parts` and `load_credentials`.
        StoreUnavailable: the revoked tokens cannot be read; without them nobody may be let in.

    """
    credentials = load_credentials(settings)
    keyring = Keyring.from_settings(settings, credentials.api_key, credentials.jwt_secret)
    mailbox = DevMailbox()
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(open_parts(settings))
        authenticator = RevokingAuthenticator(keyring, parts.revoked)
        limits = Limits.from_settings(settings)
        origins = Origins(settings.origins, settings.public_url)
        gateway = Gateway(parts.hub, authenticator, parts.bus, parts.presence, limits=limits, origins=origins)
        parts.metrics.register(gateway.metrics)
        listeners: list[BusListener] = [gateway, parts.revoked]
        await parts.bus.start(Listeners(listeners))
        await parts.revoked.listen(parts.bus, keyring.tenants)
        await gateway.start()
        if background is not None:
            listeners.append(await stack.enter_async_context(background(parts, mailbox)))
        stack.push_async_callback(gateway.close)
        stack.push_async_callback(_cancelled, asyncio.create_task(_sweep(parts.hub.upkeep), name="sweep"))
        stack.push_async_callback(_cancelled, asyncio.create_task(parts.revoked.keep(), name="revocations"))
        app = Starlette(
            routes=[
                *gateway_routes(gateway),
                *api_routes(
                    parts.hub,
                    authenticator,
                    settings,
                    operations=parts.operations,
                    draining=lambda: gateway.draining,
                    metrics=parts.metrics,
                    mailbox=mailbox,
                    keyring=keyring,
                ),
            ],
            exception_handlers=exception_handlers,
            middleware=_middleware(settings),
        )
        yield Node(app, parts, gateway, keyring)


def create_app(settings: Settings | None = None, background: StartBackground | None = None) -> Starlette:
    """Make an ASGI app that opens a node in its lifespan, for other servers and for mounting.

    A mounted app's lifespan is run by whoever mounts it: `async with app.router.lifespan_context(app): …`.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_node(settings, background) as node:
            app.router.routes.extend(node.app.routes)
            try:
                yield
            finally:
                app.router.routes.clear()

    return Starlette(lifespan=lifespan, exception_handlers=exception_handlers, middleware=_middleware(settings))


def _middleware(settings: Settings) -> list[Middleware]:
    """Let pages of the allowed origins in. Credentials travel in headers of ours, never in cookies."""
    if not settings.origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key"],
            expose_headers=["Location", "Retry-After", "Idempotent-Replayed"],
            max_age=600,
        )
    ]


async def _sweep(upkeep: Upkeep) -> None:
    """Make up for what crashed publishers left untold, for as long as the process lives."""
    away = False
    while True:
        try:
            while await upkeep.republish_leftovers():
                pass
            away = False
        except StoreUnavailable:
            if not away:
                log.warning("store_away", task="sweep")
            away = True
        except Exception as error:  # noqa: BLE001 - a table that is being restored, say: the next round tries again
            if not away:  # not the message: it may quote values
                log.error("task_failed", task="sweep", error=type(error).__name__)  # noqa: TRY400 - see above
            away = True
        await asyncio.sleep(SWEEP_INTERVAL)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
