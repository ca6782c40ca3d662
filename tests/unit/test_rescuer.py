"""When vanished workers are looked for, and when nobody is taken for gone."""

from __future__ import annotations

import pytest

from fallback.loops import OUTAGE
from fallback.rescuer import BATCH, GRACE, INTERVAL, Rescuer
from hub.core.errors import StoreUnavailable
from tests.support.clock import ManualClock

LEASE = 30_000


class Queue:
    """Has so many deliveries of vanished workers; away while told so."""

    def __init__(self, left: int = 0) -> None:
        self.left = left
        self.away = False
        self.asked: list[str] = []

    async def renew(self) -> None:
        self.asked.append("renew")

    async def rescue(self, now: int, max_claims: int, limit: int) -> int:
        self.asked.append("rescue")
        if self.away:
            raise StoreUnavailable("away")
        count = min(self.left, limit)
        self.left -= count
        return count


def rescuer(queue: Queue, rescued: list[int], lease: int = LEASE) -> Rescuer:
    return Rescuer(queue, ManualClock(), lease=lease, renew=queue.renew, rescued=rescued.append)


async def test_it_goes_on_until_nothing_is_left() -> None:
    rescued: list[int] = []
    made = rescuer(Queue(BATCH + 1), rescued)
    assert [await made.round(), await made.round(), await made.round()] == [0, INTERVAL, INTERVAL]
    assert rescued == [BATCH, 1]


async def test_what_this_process_holds_is_renewed_before_it_could_be_taken_for_lost() -> None:
    queue = Queue()
    await rescuer(queue, []).round()
    assert queue.asked == ["renew", "rescue"]


@pytest.mark.parametrize(("lease", "pause"), [(LEASE, INTERVAL), (2_000, 1_000)])
async def test_no_outage_that_ends_leases_is_missed(lease: int, pause: int) -> None:
    assert await rescuer(Queue(), [], lease).round() == pause


async def test_after_an_outage_those_who_could_not_renew_have_time_to() -> None:
    queue, rescued = Queue(5), list[int]()
    made = rescuer(queue, rescued)
    queue.away = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await made.round()
    queue.away = False
    assert await made.round() == GRACE
    assert rescued == []
    assert await made.round() == INTERVAL
    assert rescued == [5]


def test_that_time_suffices_for_whoever_waits_longest() -> None:
    assert OUTAGE.cap < GRACE
