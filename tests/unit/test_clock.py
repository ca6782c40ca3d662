"""The database's clock: what it makes of bad samples and of time that was set back."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from hub.store import clock as module
from hub.store.clock import DatabaseClock

HOUR = 3_600_000


class Samples:
    """A database whose time is asked for: answers with (offset, round trip)."""

    dialect: ClassVar[str] = "postgresql"

    def __init__(self) -> None:
        self.answer = (0, 0)

    async def read(self, _work: object) -> tuple[int, int]:
        return self.answer

    async def identify(self) -> None:
        pass


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    time = [0]
    monkeypatch.setattr(module, "_monotonic_ms", lambda: time[0])
    return time


async def clock_of(samples: Any) -> DatabaseClock:
    clock = DatabaseClock(samples)
    await clock.sync()
    return clock


async def test_time_that_was_set_back_slows_it_down_instead_of_stopping_it(monotonic: list[int]) -> None:
    samples = Samples()
    samples.answer = (HOUR, 0)
    clock = await clock_of(samples)
    assert clock.now() == HOUR
    samples.answer = (0, 0)
    await clock.sync()
    readings = []
    for monotonic[0] in range(1_000):
        readings.append(clock.now())
    assert readings == sorted(readings)
    assert readings[-1] == pytest.approx(HOUR + 500, abs=2)
    monotonic[0] = 3 * HOUR
    assert clock.now() >= HOUR
    clock.now()
    monotonic[0] += 10
    assert clock.now() == 3 * HOUR + 10


async def test_a_sample_that_took_long_is_not_believed(monotonic: list[int]) -> None:
    samples = Samples()
    clock = await clock_of(samples)
    samples.answer = (10_000, 20_000)  # the server was frozen for 20 s: half of that is error
    await clock.sync()
    monotonic[0] = 5
    assert clock.now() == 5


async def test_the_first_sample_has_to_do(monotonic: list[int]) -> None:
    samples = Samples()
    samples.answer = (10_000, 20_000)
    clock = await clock_of(samples)
    monotonic[0] = 5
    assert clock.now() == 10_005
