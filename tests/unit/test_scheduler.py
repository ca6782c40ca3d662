"""When the scheduler wants to be asked again: in time for the next timer, whoever stored it."""

from __future__ import annotations

import pytest

from fallback.scheduler import HOUSEKEEPING, LEFTOVERS, TICK, Aging, Scheduler
from tests.support.clock import START, ManualClock


class Upkeep:
    """What there is to do: how many changes the next rounds make, and when the next timer is due."""

    def __init__(self, *changes: int, due: int | None = None) -> None:
        self.changes = list(changes)
        self.due = due

    async def apply_timers(self) -> int:
        return self.changes.pop(0) if self.changes else 0

    async def next_timer(self) -> int | None:
        return self.due

    async def republish_leftovers(self) -> int:
        return self.changes.pop(0) if self.changes else 0

    async def forget_expired(self) -> None:
        pass


def test_what_is_told_to_nobody_is_found_within_a_second() -> None:
    """With a round before and one after it, which take their time too."""
    assert TICK <= 500


@pytest.mark.parametrize(
    ("due", "pause"),
    [
        (None, TICK),
        (START - 1, TICK),  # in another process's hands
        (START, TICK),
        (START + 1, 1),
        (START + TICK, TICK),
        (START + 3_600_000, TICK),
    ],
)
async def test_it_looks_again_when_the_next_timer_is_due(due: int | None, pause: int) -> None:
    assert await Scheduler(Upkeep(due=due), ManualClock()).timers() == pause


async def test_after_a_full_round_it_looks_again_at_once() -> None:
    scheduler = Scheduler(Upkeep(100, due=START), ManualClock())
    assert await scheduler.timers() == 0
    assert await scheduler.timers() == TICK


async def test_leftovers_are_told_until_there_are_none() -> None:
    scheduler = Scheduler(Upkeep(1), ManualClock())
    assert await scheduler.leftovers() == 0
    assert await scheduler.leftovers() == LEFTOVERS


class Steps:
    """A round of so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    async def step(self) -> bool:
        self.left -= 1
        return self.left > 0


async def test_what_grows_old_is_seen_to_step_by_step() -> None:
    aging = Aging(Steps(3))
    assert [await aging.round() for _ in range(3)] == [0, 0, HOUSEKEEPING]
