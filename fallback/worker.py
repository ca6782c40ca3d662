"""The worker: everything of the fallback side that runs, put together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from fallback.dispatch import Dispatcher
from fallback.expander import CHUNK, Expander
from fallback.expander import IDLE as REST
from fallback.lanes import IDLE, LEASE, LanePool
from fallback.loops import DueLoop, Loop, Wait, wait_for
from fallback.providers.base import Surroundings
from fallback.providers.smtp import sender
from fallback.registry import ProviderRegistry
from fallback.render import Renderer
from fallback.rescuer import Rescuer
from fallback.scheduler import TICK, Aging, Caretaker, Scheduler
from fallback.settler import Settler
from hub.core.mailbox import DevMailbox
from hub.core.model import InboxKey, TopicKey
from hub.core.retry import Random
from hub.core.wire import LiveChange, SharedChange
from hub.ports import DeliveryQueue, Expansions, Presence, Settlement
from hub.service import Hub
from hub.settings import Settings

GRACE = 20.0
"""Seconds that sends under way have to end when the worker stops: longer than a call to a provider may take."""

log = structlog.get_logger(__name__)


class Worker:
    """Sends what is due, expands shared plans, rescues what crashed workers held, applies timers.

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
        caretaker: Caretaker | None = None,
        concurrency: int = 8,
        lease: int = LEASE,
        chunk: int = CHUNK,
        wait: Wait = wait_for,
        random: Random = random.random,
    ) -> None:
        """`concurrency`: deliveries of one lane at once; `lease`: milliseconds; `chunk`: members expanded at once.

        `wait` and `random` are for tests.
        """
        clock = hub.clock
        self._providers = providers
        self._stopping = asyncio.Event()
        self._settler = Settler(queue, clock, wait=wait, random=random)
        dispatcher = Dispatcher(
            queue=queue, presence=presence, providers=providers, clock=clock, renderer=renderer, random=random
        )
        self._pool = LanePool(
            queue, dispatcher, self._settler, clock, more=self.nudge, concurrency=concurrency, lease=lease
        )
        self._expander = Expander(
            expansions, clock, channels=frozenset(providers.names()), made=self.nudge, chunk=chunk
        )
        rescuer = Rescuer(queue, clock, rescued=self.nudge)
        scheduler = Scheduler(hub.upkeep, clock)
        self._deliveries = DueLoop("deliveries", self._pool.fill, clock, at_most=IDLE, wait=wait, random=random)
        self._expansions = DueLoop("expansions", self._expander.round, clock, at_most=REST, wait=wait, random=random)
        self._timers = DueLoop("timers", scheduler.timers, clock, at_most=TICK, wait=wait, random=random)
        self._leases = Loop("leases", self._pool.renew, wait=wait, random=random)
        self._others = [
            Loop("rescuer", rescuer.round, wait=wait, random=random),
            Loop("leftovers", scheduler.leftovers, wait=wait, random=random),
            Loop("housekeeping", scheduler.housekeeping, wait=wait, random=random),
        ]
        if caretaker is not None:
            self._others.append(Loop("retention", Aging(caretaker).round, wait=wait, random=random))

    async def run(self) -> None:
        """Run until `stop`; then let sends under way end, settle them, and close the providers."""
        log.info("worker_started", **{c.value: name for c, name in self._providers.names().items()})
        claiming = [self._deliveries, self._expansions, self._timers, *self._others]
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
        for loop in (self._deliveries, self._expansions, self._timers):
            loop.told(due_at)

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        """Do nothing: the worker reads inboxes when it claims."""

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        """Do nothing, for the same reason."""

    def on_gap(self) -> None:
        """Look now: a lost message may have told of something due."""
        self._look()

    def _look(self) -> None:
        self._deliveries.nudge()
        self._expansions.nudge()
        self._timers.nudge()


def build_worker(
    hub: Hub,
    queue: DeliveryQueue,
    expansions: Expansions,
    settings: Settings,
    *,
    mailbox: DevMailbox,
    presence: Presence,
    caretaker: Caretaker,
) -> Worker:
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
        expansions=expansions,
        presence=presence,
        providers=providers,
        renderer=renderer,
        caretaker=caretaker,
        lease=round(settings.lease_seconds * 1000),
    )
