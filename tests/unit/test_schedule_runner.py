"""When schedules are looked at again, and which are left alone meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID, uuid4

import pytest

from fallback.schedules import BATCH, HOUSEKEEPING, PUT_OFF, TICK, ScheduleRunner
from hub.service import Fired
from tests.support.clock import START, ManualClock


class Schedules:
    """What the next looks come to, and what they left out."""

    def __init__(self, *looks: Fired, due: int | None = None, ended: int = 0) -> None:
        self.looks = list(looks)
        self.due = due
        self.ended = ended
        self.left_out: list[set[UUID]] = []

    async def fire_due(self, limit: int, but: Collection[UUID] = ()) -> Fired:
        assert limit == BATCH
        self.left_out.append(set(but))
        return self.looks.pop(0) if self.looks else Fired(0, [])

    async def next_due(self) -> int | None:
        return self.due

    async def forget_ended(self) -> int:
        ended, self.ended = self.ended, 0
        return ended


def test_what_nobody_told_of_fires_within_a_second() -> None:
    assert TICK <= 500


@pytest.mark.parametrize(
    ("due", "pause"),
    [(None, TICK), (START - 1, TICK), (START, TICK), (START + 1, 1), (START + TICK, TICK), (START + 3_600_000, TICK)],
)
async def test_it_looks_again_when_the_next_is_due(due: int | None, pause: int) -> None:
    assert await ScheduleRunner(Schedules(due=due), ManualClock()).round() == pause


async def test_while_there_are_more_it_goes_on() -> None:
    assert await ScheduleRunner(Schedules(Fired(1, []), due=START), ManualClock()).round() == 0


async def test_what_others_hold_is_left_alone_for_a_while() -> None:
    """Or a hundred that a stopped worker holds would be in the way of all others."""
    first, second = uuid4(), uuid4()
    schedules, clock = Schedules(Fired(1, [first]), Fired(0, [second]), due=START), ManualClock()
    runner = ScheduleRunner(schedules, clock)
    assert await runner.round() == 0
    clock.advance(PUT_OFF - 1)
    assert await runner.round() == TICK
    clock.advance(1)
    await runner.round()
    clock.advance(PUT_OFF)
    await runner.round()
    assert schedules.left_out == [set(), {first}, {second}, set()]


async def test_ended_ones_are_forgotten_until_there_are_none() -> None:
    runner = ScheduleRunner(Schedules(ended=500), ManualClock())
    assert await runner.forget() == 0
    assert await runner.forget() == HOUSEKEEPING
