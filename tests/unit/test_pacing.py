from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fallback.pacing import PATIENCE, Pacer
from hub.bus.memory import MemoryRateLimiter
from hub.core.model import Priority
from hub.core.rates import Leave, Rate
from tests.support.clock import START, ManualClock

FAST = (Rate(2, 1_000),)
NORMAL, CRITICAL = Priority.NORMAL, Priority.CRITICAL


class Time:
    """Manual time that goes on by itself, to the next moment that somebody waits for, once nobody has work left."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._until: list[int] = []
        self.waited_for = asyncio.Event()
        self.runs = asyncio.Event()
        self.runs.set()

    async def sleep(self, seconds: float) -> None:
        until = self.clock.now() + round(seconds * 1000)
        self._until.append(until)
        self.waited_for.set()
        await self.runs.wait()
        while (now := self.clock.now()) < until:
            for _ in range(10):
                await asyncio.sleep(0)  # whoever has been served notes the time
            if until == min(self._until) and self.clock.now() == now:
                self.clock.advance(until - self.clock.now())
        self._until.remove(until)


class Line:
    """A pacer, and the order in which those in it were served."""

    def __init__(
        self, rates: Sequence[Rate] = FAST, limiter: MemoryRateLimiter | None = None, time: Time | None = None
    ) -> None:
        self.time = time or Time()
        self.clock = self.time.clock
        self.pacer = Pacer("sendgrid", rates, limiter or MemoryRateLimiter(), self.clock, sleep=self.time.sleep)
        self.served: list[tuple[str, bool, int]] = []

    def enter(self, name: str, priority: Priority = NORMAL, calls: int = 1) -> asyncio.Task[None]:
        async def stand() -> None:
            served = await self.pacer.enter(priority, calls)
            self.served.append((name, served, self.clock.now() - START))

        return asyncio.create_task(stand())


async def test_calls_go_out_as_fast_as_the_limit_allows() -> None:
    line = Line()
    await asyncio.gather(*(line.enter(name) for name in "abcde"))
    assert line.served == [("a", True, 0), ("b", True, 0), ("c", True, 1_000), ("d", True, 1_000), ("e", True, 2_000)]


async def test_what_is_critical_overtakes_who_stands_in_line() -> None:
    line = Line()
    line.time.runs.clear()
    tasks = [line.enter(name) for name in "abcd"]
    await line.time.waited_for.wait()
    tasks.append(line.enter("critical", CRITICAL))
    await asyncio.sleep(0)  # it stands in line
    line.time.runs.set()
    await asyncio.gather(*tasks)
    assert [name for name, _, _ in line.served] == ["a", "b", "critical", "c", "d"]


async def test_who_needs_several_calls_gets_them_together() -> None:
    line = Line()
    await asyncio.gather(line.enter("one"), line.enter("two", calls=2), line.enter("last"))
    assert line.served == [("one", True, 0), ("two", True, 1_000), ("last", True, 2_000)]


async def test_who_needs_more_calls_than_the_limit_counts_takes_all_of_it() -> None:
    line = Line()
    await asyncio.gather(line.enter("five", calls=5), line.enter("one"))
    assert line.served == [("five", True, 0), ("one", True, 1_000)]


async def test_who_needs_several_calls_of_a_slow_limit_does_not_use_it_up_in_vain() -> None:
    line = Line([Rate(3, 3_600_000)])
    await line.enter("first")
    line.clock.advance(600_000)
    for _ in range(3):
        await line.enter("all", calls=3)
    assert {served for name, served, _ in line.served if name == "all"} == {False}
    line.clock.advance(3_000_000)
    await line.enter("all", calls=3)
    assert line.served[-1] == ("all", True, 3_600_000)


async def test_a_limit_that_is_used_up_for_long_sends_everybody_back_and_says_until_when() -> None:
    line = Line([Rate(1, 60_000)])
    await asyncio.gather(*(line.enter(name) for name in "abc"))
    assert line.served == [("a", True, 0), ("b", False, 0), ("c", False, 0)]
    assert line.pacer.ready_at(START) == START + 60_000
    await line.enter("too early")
    line.clock.advance(60_000 - PATIENCE)
    assert line.pacer.ready_at(line.clock.now()) == START + 60_000
    line.clock.advance(PATIENCE)
    await line.enter("in time")
    assert line.served[-2:] == [("too early", False, 0), ("in time", True, 60_000)]


async def test_who_gives_up_takes_no_call_with_them() -> None:
    line = Line([Rate(1, 1_000)])
    line.time.runs.clear()
    tasks = [line.enter(name) for name in "abc"]
    await line.time.waited_for.wait()
    tasks[1].cancel()
    await asyncio.sleep(0)  # it has gone
    line.time.runs.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert line.served == [("a", True, 0), ("c", True, 1_000)]


async def test_a_worker_that_stops_keeps_nobody_in_line() -> None:
    line = Line([Rate(1, 1_000)])
    line.time.runs.clear()
    tasks = [line.enter(name) for name in "ab"]
    await line.time.waited_for.wait()
    line.pacer.stop()
    await asyncio.gather(*tasks)
    await line.enter("late")
    assert line.served == [("a", True, 0), ("b", False, 0), ("late", False, 0)]


async def test_two_processes_take_turns() -> None:
    limiter, time = MemoryRateLimiter(), Time()
    first, second = (Line([Rate(1, 1_000)], limiter, time) for _ in range(2))
    await asyncio.gather(*(line.enter(name) for name in "abcd" for line in (first, second)))
    served = sorted([(at, 1) for _, _, at in first.served] + [(at, 2) for _, _, at in second.served])
    assert [at for at, _ in served] == [1_000 * n for n in range(8)]
    assert [who for _, who in served] == [1, 1, 2, 1, 2, 1, 2, 2]  # neither is more than one call ahead of its turn


@pytest.mark.parametrize(
    ("rates", "width"),
    [
        ([Rate(100, 1_000)], 1_000),
        ([Rate(10, 60_000)], 1),
        ([Rate(30, 60_000)], 5),
        ([Rate(9, 1_000), Rate(6, 60_000)], 1),
    ],
)
def test_no_more_is_claimed_than_may_be_sent_soon(rates: list[Rate], width: int) -> None:
    assert Pacer("x", rates, MemoryRateLimiter(), ManualClock()).width == width


async def test_a_limiter_that_fails_leaves_nobody_waiting() -> None:
    class Broken(MemoryRateLimiter):
        async def take(self, name: str, rates: Sequence[Rate], now: int, calls: int, patience: int) -> Leave:
            raise RuntimeError

    line = Line(limiter=Broken())
    await line.enter("a")
    assert line.served == [("a", False, 0)]
    assert line.pacer._server is not None
    with pytest.raises(RuntimeError):
        await line.pacer._server
