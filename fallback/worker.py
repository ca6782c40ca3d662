"""The worker: everything of the fallback side that runs, put together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from fallback.alert_targets import targets
from fallback.alerter import Alerter
from fallback.breaker_metrics import BreakerMetrics
from fallback.dispatch import Dispatcher
from fallback.expander import CHUNK, Expander
from fallback.expander import IDLE as REST
from fallback.lanes import CONCURRENCY, IDLE, LEASE, LanePool
from fallback.loops import DueLoop, Loop, Wait, wait_for
from fallback.metrics import WorkerMetrics
from fallback.providers.base import Surroundings
from fallback.providers.smtp import sender
from fallback.registry import ProviderRegistry
from fallback.render import Renderer
from fallback.reporter import Reporter
from fallback.rescuer import Rescuer
from fallback.routes import Routes
from fallback.scheduler import TICK, Aging, Caretaker, Scheduler
from fallback.schedules import TICK as LOOK
from fallback.schedules import ScheduleRunner
from fallback.settler import Settler
from hub.core.errors import ConfigurationError, StoreUnavailable
from hub.core.mailbox import DevMailbox
from hub.core.model import Channel, InboxKey, TopicKey
from hub.core.rates import Rate, parse_rates
from hub.core.retry import POLICIES, Random, RetryPolicy, policies
from hub.core.wire import LiveChange, SharedChange
from hub.ports import Alerts, Claim, DeliveryQueue, Expansions, Outages, Presence, RateLimiter, Settlement
from hub.ports.operating import WorkerReports
from hub.service import Hub
from hub.settings import Settings

GRACE = 20.0
"""Seconds that sends under way have to end when the worker stops: longer than a call to a provider may take."""

log = structlog.get_logger(__name__)


class Worker:
    """Sends what is due, expands shared plans, rescues what crashed workers held, applies timers, runs schedules.

    Any number of processes may run one.

    It is a `BusListener`: the process that runs it passes the bus's `on_due` on. `run` runs it for good; `run_once`
    does one round of deliveries, for tests.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        queue: DeliveryQueue,
        expansions: Expansions,
        presence: Presence,
        providers: ProviderRegistry,
        renderer: Renderer,
        limiter: RateLimiter | None = None,
        rates: Mapping[str, Sequence[Rate]] | None = None,
        policies: Mapping[Channel, RetryPolicy] = POLICIES,
        alerter: Alerter | None = None,
        caretaker: Caretaker | None = None,
        concurrency: int = CONCURRENCY,
        concurrencies: Mapping[Channel, int] | None = None,
        lease: int = LEASE,
        chunk: int = CHUNK,
        reports: WorkerReports | None = None,
        wait: Wait = wait_for,
        random: Random = random.random,
    ) -> None:
        """`concurrency`: deliveries of one lane at once; `lease`: milliseconds; `chunk`: members expanded at once.

        `rates`: those of the providers that have any, kept by `limiter`. `concurrencies`: channels that have their own.
        With `reports` the worker tells of itself, and its metrics show the whole queue.
        `wait` and `random` are for tests.
        """
        clock = hub.clock
        self._providers = providers
        self._stopping = asyncio.Event()
        self._settler = Settler(queue, clock, wait=wait, random=random)
        self.routes = Routes(providers, clock, limiter=limiter, rates=rates)
        self.breakers = BreakerMetrics(self.routes)
        dispatcher = Dispatcher(
            queue=queue,
            presence=presence,
            routes=self.routes,
            clock=clock,
            renderer=renderer,
            policies=policies,
            random=random,
        )
        self.metrics = WorkerMetrics(clock)
        self._reporter = (
            None
            if reports is None
            else Reporter(reports, self.metrics, clock, providers=providers.names(), signs=self.routes.signs)
        )
        self._pool = LanePool(
            queue,
            dispatcher,
            self._settler,
            clock,
            routes=self.routes,
            more=self.nudge,
            failed=self._alert,
            settled=self._on_settled,
            concurrency=dict.fromkeys(Channel, concurrency) | dict(concurrencies or {}),
            lease=lease,
        )
        self._expander = Expander(
            expansions, clock, channels=frozenset(providers.names()), made=self.nudge, chunk=chunk
        )
        self._rescuer = Rescuer(queue, clock, lease=lease, renew=self._pool.renew, rescued=self._on_rescued)
        scheduler = Scheduler(hub.upkeep, clock)
        runner = ScheduleRunner(hub.schedules, clock)
        self._deliveries = DueLoop("deliveries", self._pool.fill, clock, at_most=IDLE, wait=wait, random=random)
        self._expansions = DueLoop("expansions", self._expander.round, clock, at_most=REST, wait=wait, random=random)
        self._timers = DueLoop("timers", scheduler.timers, clock, at_most=TICK, wait=wait, random=random)
        self._schedules = DueLoop("schedules", runner.round, clock, at_most=LOOK, wait=wait, random=random)
        self._leases = Loop("leases", self._pool.renew, wait=wait, random=random)
        self._others = [
            Loop("rescuer", self._rescuer.round, wait=wait, random=random),
            Loop("leftovers", scheduler.leftovers, wait=wait, random=random),
            Loop("housekeeping", scheduler.housekeeping, wait=wait, random=random),
            Loop("ended schedules", runner.forget, wait=wait, random=random),
        ]
        self._alerter = alerter
        self._alerts: Loop | None = None
        if alerter is not None:
            self._alerts = Loop("alerts", alerter.round, wait=wait, random=random)
            self._others.append(self._alerts)
        if self._reporter is not None:
            self._others += [
                Loop("report", self._reporter.report, wait=wait, random=random),
                Loop("gauges", self._reporter.gauge, wait=wait, random=random),
            ]
        if caretaker is not None:
            self._others.append(Loop("retention", Aging(caretaker).round, wait=wait, random=random))

    async def run(self) -> None:
        """Run until `stop`; then let sends under way end, settle them, and close the providers."""
        log.info("worker_started", **{c.value: name for c, name in self._providers.names().items()})
        claiming = [self._deliveries, self._expansions, self._timers, self._schedules, *self._others]
        try:
            async with asyncio.TaskGroup() as group:
                filling, *_ = [group.create_task(loop.run()) for loop in [*claiming, self._leases]]
                await self._stopping.wait()
                for loop in claiming:
                    loop.stop()
                self.routes.stop()
                await asyncio.wait((filling,))  # the round under way may still claim
                await self._pool.drain(GRACE)
                self._leases.stop()
        finally:
            await self._pool.abandon()
            await self._settler.close()
            await self._providers.close()
            if self._alerter is not None:
                await self._alerter.close()
            await self._take_leave()
            log.info("worker_stopped")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Run in the background for as long as the block lasts."""
        task = asyncio.create_task(self.run(), name="fallback worker")
        try:
            yield self
        finally:
            self.stop()
            await task

    async def run_once(self) -> list[Settlement]:
        """Expand and claim what is due now, see it through, and return what was settled."""
        await self._expander.round()
        await self._pool.fill()
        return await self._pool.drain()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def nudge(self) -> None:
        """Look for due deliveries now."""
        self._deliveries.nudge()

    def on_due(self, due_at: int) -> None:
        """Look for what is due now, where `due_at` comes before the next look anyway."""
        for loop in (self._deliveries, self._expansions, self._timers, self._schedules):
            loop.told(due_at)

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Do nothing: the worker reads inboxes when it claims."""

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        """Do nothing, for the same reason."""

    def on_gap(self) -> None:
        """Look now: a lost message may have told of something due."""
        self._look()

    def _alert(self) -> None:
        if self._alerts is not None:
            self._alerts.nudge()

    def _on_settled(self, claim: Claim, settlement: Settlement) -> None:
        self.metrics.settled(claim, settlement)
        if self._reporter is not None:
            self._reporter.settled(claim, settlement)

    def _on_rescued(self, count: int) -> None:
        self.metrics.expired(count)
        self.nudge()

    async def _take_leave(self) -> None:
        if self._reporter is not None:
            with suppress(StoreUnavailable):  # it is taken for gone a little later then
                await self._reporter.leave()

    def _look(self) -> None:
        self._deliveries.nudge()
        self._expansions.nudge()
        self._timers.nudge()
        self._schedules.nudge()


def build_worker(
    hub: Hub,
    queue: DeliveryQueue,
    expansions: Expansions,
    settings: Settings,
    *,
    mailbox: DevMailbox,
    presence: Presence,
    limiter: RateLimiter,
    alerts: Alerts,
    outages: Outages,
    reports: WorkerReports | None = None,
    caretaker: Caretaker,
) -> Worker:
    """Make a worker as the settings say.

    Raises:
        ConfigurationError: a provider or a target of alerts cannot be made; the message says what to change.

    """
    told = targets(settings)
    providers = ProviderRegistry.from_settings(settings, Surroundings(mailbox, hub.clock))
    origin = sender(settings.mail_from)
    renderer = Renderer(brand=origin.display_name or origin.domain, public_url=settings.public_url)
    return Worker(
        hub=hub,
        queue=queue,
        expansions=expansions,
        presence=presence,
        providers=providers,
        renderer=renderer,
        limiter=limiter,
        rates=_rates(settings, providers),
        policies=policies(settings.max_attempts),
        alerter=Alerter(alerts, outages, told, hub.clock, every=settings.alert_every * 1000) if told else None,
        concurrencies=settings.concurrency,
        caretaker=caretaker,
        lease=round(settings.lease_seconds * 1000),
        reports=reports,
    )


def _rates(settings: Settings, providers: ProviderRegistry) -> Mapping[str, Sequence[Rate]]:
    """Read the rate limits; one of a provider that sends nothing here is most likely a slip.

    Raises:
        ConfigurationError: naming it.

    """
    chosen = {provider.name for channel in Channel for provider in providers.of(channel)}
    for name in settings.rate_limits:
        if name not in chosen:
            raise ConfigurationError(
                f"BELLWIRE_RATE_LIMITS names {name!r}, which is not in use; in use are: {', '.join(sorted(chosen))}"
            )
    return {name: parse_rates(text) for name, text in settings.rate_limits.items()}
