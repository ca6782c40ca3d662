"""Claims on their way, lane by lane: what one lane has to wait for, no other lane notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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


@dataclass(eq=False, slots=True)
class _Flight:
    """A claim from when it was made until it is settled."""

    claim: Claim
    leased_until: int
    task: asyncio.Task[Settlement | None] | None = None
    """None while it waits for its turn."""
    sent: bool = False
    """Decided, and sent if that was the decision: it only waits to be settled."""


@dataclass(slots=True)
class _Work:
    """What a lane has under way."""

    flights: dict[UUID, _Flight] = field(default_factory=dict)
    ahead: deque[_Flight] = field(default_factory=deque)
    """Claimed, and waiting for others of the lane to be sent."""
    sending: int = 0
    """Being decided and sent; the rest only waits to be settled."""
    few: int = 0
    """With so few unsent, or less, it claims again."""
    pace: Pace = field(default_factory=Pace)

    @property
    def unsent(self) -> int:
        return self.sending + len(self.ahead)


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
        self._work: defaultdict[Lane, _Work] = defaultdict(_Work)
        self._waiting: set[Lane] = set()

    @property
    def busy(self) -> int:
        """How many claims are being worked on."""
        return sum(len(work.flights) for work in self._work.values())

    async def fill(self) -> int:
        """Claim for every lane with something due and room for it, the most urgent first, and start the work.

        Returns the milliseconds until the next delivery is due, at most `IDLE`; none where that is not known yet. A
        due lane that gave nothing (its rows are not needed any more, or another worker has them) is looked at again
        after `IDLE`, one without room as soon as half of it is free: claims of one row each would cost more than they
        bring.
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
            self._take(lane, claims, now + self._lease)
            if len(claims) == room:
                self._waiting.add(lane)
            elif claims:
                pause = 0  # what is due next in this lane stood behind these: to be looked up, or it would be late
        return pause

    def _room(self, lane: Lane, now: int) -> int:
        """Tell how many deliveries of a lane to claim; none while less than half of it is free."""
        route, work = self._routes.of(lane.channel), self._work[lane]
        if route.on_trial(now):
            work.few = 0
            return 0 if any(self._work[other].flights for other in self._work if other.channel is lane.channel) else 1
        width = self._width(lane)
        wanted = width + (0 if route.width(now) is not None else work.pace.ahead(width, now))
        work.few = wanted // 2
        if work.unsent > work.few or len(work.flights) > width * UNSETTLED:
            return 0
        return wanted - work.unsent

    def _width(self, lane: Lane) -> int:
        """Tell how many deliveries of a lane may be under way: no more than its providers take within seconds."""
        width = self._routes.of(lane.channel).width(self._clock.now())
        return self._most(lane) if width is None else min(self._most(lane), width)

    def _most(self, lane: Lane) -> int:
        return self._concurrency.get(lane.channel, CONCURRENCY)

    async def renew(self) -> int:
        """Extend the leases of what is being worked on; drop the work on what is not ours any more.

        What only waits to be settled is not dropped: it may be that very settlement that ended the claim just now, and
        if it is not, the settlement is refused.
        """
        held = [(work, delivery, flight) for work in self._work.values() for delivery, flight in work.flights.items()]
        if held:
            claims = [(delivery, flight.claim.delivery.fence) for _, delivery, flight in held]
            now = self._clock.now()
            ours = set(await self._queue.renew(claims, now, self._lease))
            for work, delivery, flight in held:
                if delivery in ours:
                    flight.leased_until = now + self._lease
                elif work.flights.get(delivery) is flight and not flight.sent:
                    log.warning("lease_lost", delivery=str(delivery))
                    self._drop(work, flight)
        return self._lease // RENEWALS

    async def drain(self, seconds: float | None = None) -> list[Settlement]:
        """Wait until the work under way is done, at most so long; returns what was settled."""
        settled: list[Settlement] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while tasks := self._tasks():  # those that waited for their turn have it next
                    await asyncio.wait(tasks)
                    results = [task.result() for task in tasks if not task.cancelled()]
                    settled += [settlement for settlement in results if settlement is not None]
        return settled

    async def abandon(self) -> None:
        """Drop what is still under way; the leases will run out and the rescuer will return it."""
        tasks = self._tasks()
        for work in self._work.values():
            for flight in list(work.flights.values()):
                self._drop(work, flight)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[asyncio.Task[Settlement | None]]:
        flights = [flight for work in self._work.values() for flight in work.flights.values()]
        return [flight.task for flight in flights if flight.task is not None]

    def _take(self, lane: Lane, claims: Sequence[Claim], leased_until: int) -> None:
        work = self._work[lane]
        flights = [_Flight(claim, leased_until) for claim in claims]
        work.flights.update((flight.claim.delivery.id, flight) for flight in flights)
        work.ahead.extend(flights)
        self._begin(lane, work)

    def _begin(self, lane: Lane, work: _Work) -> None:
        """Let those have their turn that there is room for; the route's width bounds what is claimed, not this."""
        while work.ahead and work.sending < self._most(lane):
            flight = work.ahead.popleft()
            work.sending += 1
            flight.task = asyncio.create_task(self._see_through(lane, work, flight))
            flight.task.add_done_callback(partial(self._landed, lane, work, flight))

    def _drop(self, work: _Work, flight: _Flight) -> None:
        if flight.task is not None:
            flight.task.cancel()
        else:
            work.ahead.remove(flight)
            del work.flights[flight.claim.delivery.id]

    def _landed(self, lane: Lane, work: _Work, flight: _Flight, _task: asyncio.Task[Settlement | None]) -> None:
        if work.flights.get(flight.claim.delivery.id) is flight:  # it may have been lost, and claimed again
            del work.flights[flight.claim.delivery.id]
        self._sent(lane, work, flight)  # one that was dropped before it began never came to that

    def _sent(self, lane: Lane, work: _Work, flight: _Flight) -> None:
        if not flight.sent:
            flight.sent = True
            work.sending -= 1
            self._begin(lane, work)
        self._look(lane, work)

    async def _dispatch(self, lane: Lane, work: _Work, flight: _Flight) -> Settlement:
        try:
            return await self._dispatcher.dispatch(flight.claim, lambda: self._clock.now() < flight.leased_until)
        finally:
            work.pace.sent(self._clock.now())
            self._sent(lane, work, flight)

    def _look(self, lane: Lane, work: _Work) -> None:
        """Ask for more, if that is what the lane waits for and it has room now."""
        if lane in self._waiting and work.unsent <= work.few and self._room(lane, self._clock.now()):
            self._waiting.discard(lane)
            self._more()

    async def _see_through(self, lane: Lane, work: _Work, flight: _Flight) -> Settlement | None:
        """Dispatch and settle one claim; None if nothing was written (the lease runs out, and it is rescued)."""
        delivery = flight.claim.delivery
        try:
            settlement = await self._dispatch(lane, work, flight)
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
        self._ended(flight.claim, settlement)
        return settlement

    def _ended(self, claim: Claim, settlement: Settlement) -> None:
        """Tell of an end that has been written."""
        log.debug(
            "delivery_settled",
            delivery=str(claim.delivery.id),
            channel=claim.delivery.channel.value,
            state=settlement.state.value,
            provider=settlement.provider,
        )
        self._settled(claim, settlement)
        if settlement.pull_next:
            self._more()
        if settlement.failure is not None:
            self._failed()
