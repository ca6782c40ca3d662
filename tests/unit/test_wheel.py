"""The timing wheel, on a loop whose clock the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hub.gateway.wheel import SLOT_MS, Wheel


class Loop:
    """As much of a loop as the wheel uses."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[tuple[float, Callable[[], None], Handle]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        handle = Handle()
        self.timers.append((when, callback, handle))
        return handle

    def turn_to(self, milliseconds: int) -> None:
        """Let time pass, timer by timer."""
        until = milliseconds / 1000
        while due := sorted(
            (entry for entry in self.timers if not entry[2].cancelled and entry[0] <= until), key=lambda entry: entry[0]
        ):
            when, callback, handle = due[0]
            self.now = max(self.now, when)
            handle.cancelled = True
            callback()
        self.now = max(self.now, until)
        self.timers = [entry for entry in self.timers if not entry[2].cancelled]


class Handle:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Sleeper:
    def __init__(self, loop: Loop) -> None:
        self.slot = 0
        self.woken: list[int] = []
        self.then: Callable[[], object] = lambda: None
        self._loop = loop

    def due(self) -> None:
        self.woken.append(int(self._loop.now * 1000))
        self.then()


def make() -> tuple[Loop, Wheel]:
    loop = Loop()
    return loop, Wheel(cast("asyncio.AbstractEventLoop", cast("Any", loop)))


def test_it_wakes_at_the_deadline_or_a_slot_later() -> None:
    loop, wheel = make()
    sleeper = Sleeper(loop)
    wheel.schedule(sleeper, 1_000_120)
    loop.turn_to(1_000_119)
    assert sleeper.woken == []
    loop.turn_to(1_002_000)
    assert len(sleeper.woken) == 1
    assert 1_000_120 <= sleeper.woken[0] <= 1_000_120 + SLOT_MS


def test_a_later_deadline_is_asked_for_again_when_the_earlier_one_comes() -> None:
    loop, wheel = make()
    sleeper = Sleeper(loop)
    wheel.schedule(sleeper, 1_000_100)
    wheel.schedule(sleeper, 1_005_000)
    sleeper.then = lambda: wheel.schedule(sleeper, 1_005_000) if len(sleeper.woken) == 1 else None
    loop.turn_to(1_010_000)
    assert [woken // 1000 for woken in sleeper.woken] == [1_000, 1_005]


def test_an_earlier_deadline_replaces_a_later_one() -> None:
    loop, wheel = make()
    sleeper = Sleeper(loop)
    wheel.schedule(sleeper, 1_005_000)
    wheel.schedule(sleeper, 1_000_100)
    loop.turn_to(1_010_000)
    assert [woken // 1000 for woken in sleeper.woken] == [1_000]
    assert len(wheel) == 0


def test_who_cancels_is_not_woken() -> None:
    loop, wheel = make()
    sleepers = [Sleeper(loop) for _ in range(3)]
    for sleeper in sleepers:
        wheel.schedule(sleeper, 1_000_100)
    wheel.cancel(sleepers[1])
    wheel.cancel(sleepers[1])
    loop.turn_to(1_010_000)
    assert [len(sleeper.woken) for sleeper in sleepers] == [1, 0, 1]


def test_closing_forgets_everybody() -> None:
    loop, wheel = make()
    sleeper = Sleeper(loop)
    wheel.schedule(sleeper, 1_000_100)
    wheel.close()
    loop.turn_to(1_010_000)
    assert sleeper.woken == []
    assert sleeper.slot == 0


def test_one_that_fails_does_not_stop_the_wheel() -> None:
    loop, wheel = make()
    sleepers = [Sleeper(loop) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.then = _fail
        wheel.schedule(sleeper, 1_000_100)
    last = Sleeper(loop)
    wheel.schedule(last, 1_005_000)
    with capture_logs() as logs:
        loop.turn_to(1_010_000)
    assert [len(sleeper.woken) for sleeper in [*sleepers, last]] == [1, 1, 1, 1]
    assert [entry["event"] for entry in logs] == ["timer_failed"] * 3


def _fail() -> None:
    raise RuntimeError("a bug")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3_000), st.booleans()), max_size=60))
def test_everybody_is_woken_in_time_and_nothing_is_left(steps: list[tuple[int, int, bool]]) -> None:
    loop, wheel = make()
    sleepers = [Sleeper(loop) for _ in range(10)]
    wanted: dict[int, int] = {}
    now = 1_000_000
    for number, delay, cancel in steps:
        before = {index: len(sleepers[index].woken) for index in wanted}
        now += 40
        loop.turn_to(now)
        for index, deadline in list(wanted.items()):
            if len(sleepers[index].woken) > before[index]:
                assert sleepers[index].woken[-1] <= deadline + SLOT_MS + 1
                del wanted[index]
            else:
                assert now < deadline + SLOT_MS + 1
        if cancel:
            wheel.cancel(sleepers[number])
            wanted.pop(number, None)
        else:
            deadline = now + delay
            wheel.schedule(sleepers[number], deadline)
            wanted[number] = min(deadline, wanted.get(number, deadline))
    loop.turn_to(now + 10_000)
    assert len(wheel) == 0
    assert not any(sleeper.slot for sleeper in sleepers)
    assert not wheel._order
