"""Keeping to a provider's rate limit: whoever wants to call stands in line, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from hub.core.model import Priority
from hub.core.rates import Rate
from hub.ports import Clock, RateLimiter

PATIENCE = 10_000
"""Milliseconds that a claim may wait for the next call; beyond that it goes back to the queue, or to the next
provider. Long enough for any limit by the second or the minute, shorter than the grace of a worker that stops."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(order=True, slots=True)
class _Waiter:
    """Somebody in line; sorts by urgency, then by arrival."""

    priority: Priority
    number: int
    calls: int = field(compare=False)
    served: asyncio.Future[bool] = field(compare=False)


class Pacer:
    """The line of one process before one provider.

    It asks the limiter for one thing at a time, and what it gets goes to the most urgent. So no process gets ahead
    of the others, and bulk that stands in line does not get ahead of what is critical. Who needs several calls is
    served when all of them may be made: with less than that they could but wait, and let others wait.
    """

    def __init__(
        self, name: str, rates: Sequence[Rate], limiter: RateLimiter, clock: Clock, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        """`name` is the provider's: all processes that limit it share the limit."""
        self._name = name
        self._rates = tuple(rates)
        self._most = min(rate.calls for rate in rates)
        self._limiter = limiter
        self._clock = clock
        self._sleep = sleep
        self._line: list[_Waiter] = []
        self._numbers = count()
        self._closed_until = 0
        self._server: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def width(self) -> int:
        """How many deliveries of a lane may be on their way: no more than there may be calls within `PATIENCE`."""
        return min(max(1, rate.calls * PATIENCE // rate.period) for rate in self._rates)

    def ready_at(self, now: int) -> int:
        """Tell when to stand in line: `now`, or when a limit that is used up for long lets calls through again."""
        return max(now, self._closed_until)

    async def enter(self, priority: Priority, calls: int) -> bool:
        """Wait for leave for so many calls; False if it does not come soon.

        More calls than the limit counts can never be made within it; they need leave for as many as it does.
        """
        if self._stopped or self.ready_at(now := self._clock.now()) > now:
            return False
        served: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, _Waiter(priority, next(self._numbers), min(calls, self._most), served))
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve(), name=f"pacer {self._name}")
        return await served

    def stop(self) -> None:
        """Send everybody in line away, now and from now on: the worker ends."""
        self._stopped = True
        if self._server is not None:
            self._server.cancel()
        self._dismiss()

    async def _serve(self) -> None:
        try:
            while line := self._present():
                now = self._clock.now()
                leave = await self._limiter.take(self._name, self._rates, now, self._at_once(line), 0)
                if leave.calls == 0:
                    leave = await self._limiter.take(self._name, self._rates, now, line[0].calls, PATIENCE)
                if leave.calls == 0:
                    self._closed_until = leave.at
                    return
                if leave.at > now:
                    await self._sleep((leave.at - now) / 1000)
                self._hand_out(leave.calls)
        finally:
            self._dismiss()  # nobody waits for a server that has gone, whatever took it away

    def _present(self) -> list[_Waiter]:
        """Return who is still in line; who gave up (their lease was lost) leaves."""
        self._line = [waiter for waiter in self._line if not waiter.served.done()]
        heapq.heapify(self._line)
        return self._line

    def _at_once(self, line: list[_Waiter]) -> int:
        """Return how many calls the first of the line need who may all be served at once."""
        wanted = 0
        for waiter in sorted(line):
            if wanted + waiter.calls > self._most:
                break
            wanted += waiter.calls
        return wanted

    def _hand_out(self, calls: int) -> None:
        """Serve the first of the line. What does not suffice for the next is not kept: leave is for now only."""
        line = self._present()
        while line and line[0].calls <= calls:
            calls -= line[0].calls
            heapq.heappop(line).served.set_result(True)

    def _dismiss(self) -> None:
        for waiter in self._present():
            waiter.served.set_result(False)
        self._line = []
