"""Group commit: whatever gathered while the last transaction was on its way shares the next.

There is no timer, and nobody waits while nothing is on its way. Here is who shares with whom and who hears what;
what a transaction does is its lane's business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from hub.core.errors import StoreUnavailable

W = TypeVar("W")
R = TypeVar("R")

Store = Callable[[Sequence[W]], Awaitable[Sequence[R | Exception]]]
"""Stores works in one transaction, and gives each its answer (or its own refusal) in their order.

What it raises is about the whole transaction, of which nothing is stored then.
"""

Start = Callable[[Coroutine[Any, Any, None]], object]
"""Runs something to its end as a task."""

_PATIENCE = 2
"""Groups for which a lane that waits lets those before it go first."""


class _Entry(NamedTuple, Generic[W, R]):
    work: W
    weight: int
    answer: asyncio.Future[R]


class Lane(Generic[W, R]):
    """Works of one kind, in the order in which they came. Made by `Committer.lane`."""

    def __init__(
        self,
        store: Store[W, R],
        weigh: Callable[[W], int],
        *,
        most_weight: int,
        most_works: int,
        times_alone: int,
        at_once: int,
        on_work: Callable[[], None],
    ) -> None:
        self._store = store
        self._weigh = weigh
        self._most_weight = most_weight
        self._most_works = most_works
        self._times_alone = times_alone
        self._at_once = at_once
        self._on_work = on_work
        self._waiting: deque[_Entry[W, R]] = deque()
        self.under_way = 0
        self.passed_over = 0

    @property
    def ready(self) -> bool:
        """Whether a group could set out."""
        return bool(self._waiting) and self.under_way < self._at_once

    @property
    def busy(self) -> bool:
        """Whether anything is stored, or waits to be."""
        return bool(self._waiting or self.under_way)

    def submit(self, work: W) -> asyncio.Future[R]:
        """Have it stored with the next group. It is stored (or not) whatever becomes of the future.

        The future raises what the lane's `store` answered or raised for this work.
        """
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(work, self._weigh(work), answer))
        self._on_work()
        return answer

    async def commit_next(self, *, alone: bool) -> None:
        """Store the next group."""
        group = self._take(self._times_alone if alone else 1)
        try:
            await self._commit(group)
        finally:
            for entry in group:
                entry.answer.cancel()  # has an effect only where we were cancelled ourselves, as the process ends

    def _take(self, times: int) -> list[_Entry[W, R]]:
        """Take what fits into one transaction; a work that is too large for any goes alone."""
        group = [self._waiting.popleft()]
        weight, most_weight, most_works = group[0].weight, self._most_weight * times, self._most_works * times
        while self._waiting and len(group) < most_works and weight + self._waiting[0].weight <= most_weight:
            group.append(self._waiting.popleft())
            weight += group[-1].weight
        return group

    async def _commit(self, group: Sequence[_Entry[W, R]]) -> None:
        """Store a group; if one of them spoils it for all, halves of it, until that one is alone."""
        answers: Sequence[R | Exception]
        try:
            answers = await self._store([entry.work for entry in group])
        except StoreUnavailable as error:
            answers = [error] * len(group)
        except Exception as error:  # noqa: BLE001 - each has its caller, who hears of it
            if len(group) > 1:
                half = len(group) // 2
                await self._commit(group[:half])
                await self._commit(group[half:])
                return
            answers = [error]
        for entry, answer in zip(group, answers, strict=True):
            if entry.answer.done():
                continue  # its caller went away
            if isinstance(answer, Exception):
                entry.answer.set_exception(answer)
            else:
                entry.answer.set_result(answer)


class Committer:
    """Lets lanes have their transactions: each so many at a time, and `writers` together."""

    def __init__(self, start: Start, *, writers: int) -> None:
        self._start = start
        self._free = writers
        self._lanes: list[Lane[Any, Any]] = []
        self._last: Lane[Any, Any] | None = None
        """Whose the last group was that set out."""

    def lane(
        self,
        store: Store[W, R],
        weigh: Callable[[W], int],
        *,
        most_weight: int,
        most_works: int,
        times_alone: int = 1,
        at_once: int = 1,
    ) -> Lane[W, R]:
        """Add a lane behind those that there are: it goes when they have nothing, or after `_PATIENCE` groups.

        With more than one transaction `at_once`, works are begun in their order, and may be stored in another.
        From its second group on without any of another lane's, who would have to wait for it, groups may be
        `times_alone` as large.
        """
        lane = Lane(
            store,
            weigh,
            most_weight=most_weight,
            most_works=most_works,
            times_alone=times_alone,
            at_once=at_once,
            on_work=self._dispatch,
        )
        self._lanes.append(lane)
        return lane

    def _dispatch(self) -> None:
        while self._free and (lane := self._next()) is not None:
            self._free -= 1
            lane.under_way += 1
            alone = self._last is lane and not any(other.busy for other in self._lanes if other is not lane)
            self._last = lane
            # What else comes before the task begins, in this round of the loop, is of the group.
            self._start(self._turn(lane, alone=alone))

    async def _turn(self, lane: Lane[Any, Any], *, alone: bool) -> None:
        try:
            await lane.commit_next(alone=alone)
        finally:
            lane.under_way -= 1
            self._free += 1
        self._dispatch()

    def _next(self) -> Lane[Any, Any] | None:
        ready = [lane for lane in self._lanes if lane.ready]
        if not ready:
            return None
        chosen = next((lane for lane in ready if lane.passed_over >= _PATIENCE), ready[0])
        for lane in ready:
            lane.passed_over += 1
        chosen.passed_over = 0
        return chosen
