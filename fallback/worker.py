"""The worker: everything of the fallback side that runs, put together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from fallback.dispatch import Dispatcher
from fallback.lanes import IDLE, LEASE, LanePool
from fallback.loops import Loop, Wait, wait_for
from fallback.providers.base import Surroundings
from fallback.providers.smtp import sender
from fallback.registry import ProviderRegistry
from fallback.render import Renderer
from fallback.rescuer import Rescuer
from fallback.scheduler import TICK, Scheduler
from fallback.settler import Settler
from hub.core.mailbox import DevMailbox
from hub.core.model import InboxKey
from hub.core.retry import Random
from hub.core.wire import LiveChange
from hub.ports import DeliveryQueue, Presence, Settlement
from hub.service import Hub
from hub.settings import Settings

GRACE = 20.0
"""Seconds that sends under way have to end when the worker stops: longer than a call to a provider may take."""

log = structlog.get_logger(__name__)


class Worker:
    """Sends what is due, rescues what crashed workers held, applies timers. Any number of processes may run one.

    It is a `BusListener`: the process that runs it passes the bus's `on_due` on. `run` runs it for good; `run_once`
    does one round of deliveries, for tests.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        queue: DeliveryQueue,
        presence: Presence,
        providers: ProviderRegistry,
        renderer: Renderer,
        concurrency: int = 8,
        lease: int = LEASE,
        wait: Wait = wait_for,
        random: Random = random.random,
    ) -> None:
        """`concurrency`: deliveries of one lane at once; `lease`: milliseconds. `wait` and `random` are for tests."""
        clock = hub.clock
        self._clock = clock
        self._providers = providers
        self._stopping = asyncio.Event()
        self._settler = Settler(queue, clock, wait=wait, random=random)
        dispatcher = Dispatcher(
            queue=queue, presence=presence, providers=providers, clock=clock, renderer=renderer, random=random
        )
        self._pool = LanePool(
            queue, dispatcher, self._settler, clock, more=self.nudge, concurrency=concurrency, lease=lease
        )
        rescuer = Rescuer(queue, clock, rescued=self.nudge)
        self._scheduler = scheduler = Scheduler(hub.upkeep, clock)
        self._deliveries = Loop("deliveries", self._fill, wait=wait, random=random)
        self._timers = Loop("timers", self._apply_timers, wait=wait, random=random)
        self._leases = Loop("leases", self._pool.renew, wait=wait, random=random)
        self._others = [
            Loop("rescuer", rescuer.round, wait=wait, random=random),
            Loop("leftovers", scheduler.leftovers, wait=wait, random=random),
            Loop("housekeeping", scheduler.housekeeping, wait=wait, random=random),
        ]
        self._deliveries_at = 0
        self._timers_at = 0
        """When they look next, if nobody wakes them."""

    async def run(self) -> None:
        """Run until `stop`; then let sends under way end, settle them, and close the providers."""
        log.info("worker_started", **{c.value: name for c, name in self._providers.names().items()})
        claiming = [self._deliveries, self._timers, *self._others]
        try:
            async with asyncio.TaskGroup() as group:
                filling, *_ = [group.create_task(loop.run()) for loop in [*claiming, self._leases]]
                await self._stopping.wait()
                for loop in claiming:
                    loop.stop()
                await asyncio.wait((filling,))  # the round under way may still claim
                await self._pool.drain(GRACE)
                self._leases.stop()
        finally:
            await self._pool.abandon()
            await self._settler.close()
            await self._providers.close()
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
        """Claim what is due now, see it through, and return what was settled."""
        await self._pool.fill()
        return await self._pool.drain()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def nudge(self) -> None:
        """Look for due deliveries now."""
        self._deliveries.nudge()

    def on_due(self, due_at: int) -> None:
        """Look for due deliveries and timers now, where `due_at` comes before the next look anyway."""
        if due_at < self._deliveries_at:
            self._deliveries.nudge()
        if due_at < self._timers_at:
            self._timers.nudge()

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Do nothing: the worker reads inboxes when it claims."""

    def on_gap(self) -> None:
        """Look now: a lost message may have told of something due."""
        self._deliveries.nudge()
        self._timers.nudge()

    async def _fill(self) -> int:
        # The round may miss what is stored meanwhile; what is due after a whole pause the next round finds anyway.
        self._deliveries_at = self._clock.now() + IDLE
        pause = await self._pool.fill()
        self._deliveries_at = self._clock.now() + pause
        return pause

    async def _apply_timers(self) -> int:
        self._timers_at = self._clock.now() + TICK
        pause = await self._scheduler.timers()
        self._timers_at = self._clock.now() + pause
        return pause


def build_worker(hub: Hub, queue: DeliveryQueue, settings: Settings, mailbox: DevMailbox, presence: Presence) -> Worker:
    """Make a worker as the settings say.

    Raises:
        ConfigurationError: a provider cannot be made; the message says what to change.

    """
    providers = ProviderRegistry.from_settings(settings, Surroundings(mailbox, hub.clock))
    origin = sender(settings.mail_from)
    renderer = Renderer(brand=origin.display_name or origin.domain, public_url=settings.public_url)
    return Worker(
        hub=hub,
        queue=queue,
        presence=presence,
        providers=providers,
        renderer=renderer,
        lease=round(settings.lease_seconds * 1000),
    )
