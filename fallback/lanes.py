"""Claims on their way, lane by lane: what one lane has to wait for, no other lane notices."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog

from fallback.dispatch import Dispatcher
from fallback.loops import origin
from fallback.pace import Pace
from fallback.routes import Routes
from fallback.settler import Settler
from hub.core.errors import StoreUnavailable
from hub.core.model import Channel
from hub.ports import Claim, Clock, DeliveryQueue, Lane, Settlement

LEASE = 30_000
"""Milliseconds that a claim is ours without renewal, if the settings do not say otherwise."""

CONCURRENCY = 8
"""Deliveries of a lane that a worker has under way at once, if the settings do not say otherwise."""

UNSETTLED = 10
"""So many times its width may a lane hold, sent and not settled: while the database is away they are kept here."""

RENEWALS = 3
"""Renewals in a lease: one may fail, and the lease still holds."""

IDLE = 1_000
"""Milliseconds after which due deliveries are looked for even if nobody told of any."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Flight:
    """A claim being worked on."""

    fence: int
    task: asyncio.Task[Settlement | None]
    leased_until: int


class LanePool:
    """Claims what is due and works on it, so many deliveries of a lane at once.

    Of a channel whose providers cannot be called (breakers, rate limits) nothing is claimed: it waits in the queue, in
    its order and with all its attempts, and other channels are not concerned.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        dispatcher: Dispatcher,
        settler: Settler,
        clock: Clock,
        *,
        routes: Routes,
        more: Callable[[], None],
        failed: Callable[[], None],
        settled: Callable[[Claim, Settlement], None] = lambda _claim, _settlement: None,
        concurrency: Mapping[Channel, int],
        lease: int = LEASE,
    ) -> None:
        """`more` is called when there may be something to claim before the pause that `fill` returned is over.

        `failed` is called when a delivery has failed. `concurrency`: of a lane of the channel; `CONCURRENCY` else.
        `settled` is called with each claim whose end has been written.
        """
        self._lease = lease
        self._queue = queue
        self._dispatcher = dispatcher
        self._settler = settler
        self._clock = clock
        self._routes = routes
        self._more = more
        self._failed = failed
        self._settled = settled
        self._concurrency = concurrency
        routes.on_ready(more)
        self._flights: defaultdict[Lane, dict[UUID, _Flight]] = defaultdict(dict)
        self._unsent: defaultdict[Lane, set[UUID]] = defaultdict(set)
        """Flights whose delivery has not been decided and sent yet; the others only wait to be settled."""
        self._slots: dict[Lane, asyncio.Semaphore] = {}
        """What is claimed ahead waits for one."""
        self._paces: defaultdict[Lane, Pace] = defaultdict(Pace)
        self._waiting: set[Lane] = set()

    @property
    def busy(self) -> int:
        """How many claims are being worked on."""
        return sum(map(len, self._flights.values()))

    async def fill(self) -> int:
        """Claim for every lane with something due and room for it, the most urgent first, and start the work.

        Returns the milliseconds until the next delivery is due, at most `IDLE`. A due lane that gave nothing (its
        rows are not needed any more, or another worker has them) is looked at again after `IDLE`, one without room
        as soon as half of it is free: claims of one row each would cost more than they bring.
        """
        pause = IDLE
        due = await self._queue.next_due()
        for lane in sorted(due, key=lambda lane: (lane.priority, lane.channel.value)):
            now = self._clock.now()
            if due[lane] > now:
                pause = min(pause, due[lane] - now)
                continue
            ready_at = self._routes.of(lane.channel).ready_at(now)
            if ready_at != now:
                pause = pause if ready_at is None else min(pause, ready_at - now)
                continue
            room = self._room(lane, now)
            if room == 0:
                self._waiting.add(lane)
                continue
            claims = await self._queue.claim(lane, now, self._lease, room)
            for claim in claims:
                self._start(lane, claim, now + self._lease)
            if len(claims) == room:
                self._waiting.add(lane)
        return pause

    def _room(self, lane: Lane, now: int) -> int:
        """Tell how many deliveries of a lane to claim; none while less than half of it is free."""
        route = self._routes.of(lane.channel)
        if route.on_trial(now):
            return 0 if any(self._flights[other] for other in self._flights if other.channel is lane.channel) else 1
        unsent, width = len(self._unsent[lane]), self._width(lane)
        wanted = width + (0 if route.width(now) is not None else self._paces[lane].ahead(width, now))
        if unsent > wanted // 2 or len(self._flights[lane]) > width * UNSETTLED:
            return 0
        return wanted - unsent

    def _width(self, lane: Lane) -> int:
        """Tell how many deliveries of a lane may be under way: no more than its providers take within seconds."""
        width = self._routes.of(lane.channel).width(self._clock.now())
        most = self._concurrency.get(lane.channel, CONCURRENCY)
        return most if width is None else min(most, width)

    async def renew(self) -> int:
        """Extend the leases of what is being worked on; drop the work on what is not ours any more.

        What only waits to be settled is not dropped: it may be that very settlement that ended the claim just now, and
        if it is not, the settlement is refused.
        """
        held = [(lane, delivery, flight) for lane, own in self._flights.items() for delivery, flight in own.items()]
        if held:
            claims = [(delivery, flight.fence) for _, delivery, flight in held]
            now = self._clock.now()
            ours = set(await self._queue.renew(claims, now, self._lease))
            for lane, delivery, flight in held:
                if delivery in ours:
                    flight.leased_until = now + self._lease
                elif self._flights[lane].get(delivery) is flight and delivery in self._unsent[lane]:
                    log.warning("lease_lost", delivery=str(delivery))
                    flight.task.cancel()
        return self._lease // RENEWALS

    async def drain(self, seconds: float | None = None) -> list[Settlement]:
        """Wait until the work under way is done, at most so long; returns what was settled."""
        tasks = [flight.task for own in self._flights.values() for flight in own.values()]
        if not tasks:
            return []
        done, _ = await asyncio.wait(tasks, timeout=seconds)
        settled = [task.result() for task in tasks if task in done and not task.cancelled()]
        return [settlement for settlement in settled if settlement is not None]

    async def abandon(self) -> None:
        """Drop what is still under way; the leases will run out and the rescuer will return it."""
        tasks = [flight.task for own in self._flights.values() for flight in own.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, lane: Lane, claim: Claim, leased_until: int) -> None:
        delivery = claim.delivery
        task = asyncio.create_task(self._work(lane, claim), name=f"delivery {delivery.id}")
        self._flights[lane][delivery.id] = _Flight(delivery.fence, task, leased_until)
        self._unsent[lane].add(delivery.id)
        task.add_done_callback(lambda _: self._landed(lane, delivery.id))

    def _landed(self, lane: Lane, delivery: UUID) -> None:
        self._flights[lane].pop(delivery, None)
        self._sent(lane, delivery)

    def _sent(self, lane: Lane, delivery: UUID) -> None:
        self._unsent[lane].discard(delivery)
        if lane in self._waiting and self._room(lane, self._clock.now()):
            self._waiting.discard(lane)
            self._more()

    def _is_held(self, lane: Lane, delivery: UUID) -> bool:
        return self._clock.now() < self._flights[lane][delivery].leased_until

    async def _dispatch(self, lane: Lane, claim: Claim) -> Settlement:
        """Dispatch a claim when it is its turn; the route's width bounds what is claimed, and this what is called."""
        slots = self._slots.setdefault(lane, asyncio.Semaphore(self._concurrency.get(lane.channel, CONCURRENCY)))
        try:
            async with slots:
                return await self._dispatcher.dispatch(claim, lambda: self._is_held(lane, claim.delivery.id))
        finally:
            self._paces[lane].sent(self._clock.now())
            self._sent(lane, claim.delivery.id)

    async def _work(self, lane: Lane, claim: Claim) -> Settlement | None:
        """Dispatch and settle one claim; None if nothing was written (the lease runs out, and it is rescued)."""
        delivery = claim.delivery
        try:
            settlement = await self._dispatch(lane, claim)
            if not await self._settler.settle(settlement):
                log.warning("settlement_too_late", delivery=str(delivery.id), state=settlement.state.value)
                return None
        except StoreUnavailable:
            # The claiming loop tells of the outage, once; nothing was sent.
            log.debug("dispatch_postponed", delivery=str(delivery.id))
            return None
        except Exception as error:  # noqa: BLE001 - a delivery that cannot be handled must not end the worker
            # Not the message: it may quote addresses. After `MAX_CLAIMS` the rescuer fails the delivery.
            log.error(  # noqa: TRY400 - see above
                "dispatch_failed", delivery=str(delivery.id), error=type(error).__name__, where=origin(error)
            )
            return None
        log.debug(
            "delivery_settled",
            delivery=str(delivery.id),
            channel=delivery.channel.value,
            state=settlement.state.value,
            provider=settlement.provider,
        )
        self._settled(claim, settlement)
        if settlement.pull_next:
            self._more()
        if settlement.failure is not None:
            self._failed()
        return settlement
