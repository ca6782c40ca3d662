from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

import pytest
import structlog.testing

from fallback.loops import DueLoop, Loop
from fallback.settler import Settler
from hub.core.errors import DataError, StoreUnavailable
from hub.core.model import DeliveryState
from hub.ports import Settlement
from tests.support.clock import ManualClock


class Script:
    """Rounds that return or raise what is written; the last one stops the loop."""

    def __init__(self, *steps: int | Exception) -> None:
        self.steps = list(steps)
        self.pauses: list[int] = []
        self.loop = Loop("test", self.round, wait=self.wait, random=lambda: 0.5)

    async def round(self) -> int:
        step = self.steps.pop(0)
        if not self.steps:
            self.loop.stop()
        if isinstance(step, Exception):
            raise step
        return step

    async def wait(self, event: asyncio.Event, milliseconds: int) -> None:
        self.pauses.append(milliseconds)


async def test_a_loop_waits_as_long_as_its_round_says_and_ends_without_waiting() -> None:
    script = Script(5, 7, 9)
    await script.loop.run()
    assert script.pauses == [5, 7]


async def test_an_outage_is_logged_once_and_waited_out_with_growing_pauses() -> None:
    away = StoreUnavailable("away")
    script = Script(1, away, away, away, 2, 3)
    with structlog.testing.capture_logs() as logs:
        await script.loop.run()
    assert script.pauses == [1, 250, 500, 1_000, 2]
    assert [line["event"] for line in logs] == ["store_unavailable", "store_back"]


async def test_a_bug_does_not_end_a_loop_and_its_message_is_not_logged() -> None:
    script = Script(ValueError("ada@example.com"), 1, 2)
    with structlog.testing.capture_logs() as logs:
        await script.loop.run()
    assert script.steps == []
    assert logs[0]["event"] == "round_failed"
    assert logs[0]["error"] == "ValueError"
    assert "test_loops.py" in logs[0]["where"]
    assert "ada" not in repr(logs)


async def test_a_nudge_during_a_round_is_not_lost_and_one_during_an_outage_waits() -> None:
    woken: list[bool] = []

    async def wait(event: asyncio.Event, milliseconds: int) -> None:
        woken.append(event.is_set())

    rounds: Iterator[int | StoreUnavailable] = iter([1, StoreUnavailable("away"), StoreUnavailable("away"), 1])

    async def round_() -> int:
        loop.nudge()
        step = next(rounds)
        if isinstance(step, Exception):
            raise step
        if len(woken) == 3:
            loop.stop()
        return step

    loop = Loop("test", round_, wait=wait, random=lambda: 0.5)
    await loop.run()
    assert woken == [True, False, False]


class Book:
    """Settlements as they were written; refuses and goes away as told."""

    def __init__(self, *, refused: frozenset[UUID] = frozenset(), lost: frozenset[UUID] = frozenset()) -> None:
        self.refused = refused
        self.lost = lost
        self.outages = 0
        self.batches: list[list[UUID]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def settle(self, settlements: Sequence[Settlement], now: int) -> Sequence[UUID]:
        self.entered.set()
        await self.gate.wait()
        if self.outages:
            self.outages -= 1
            raise StoreUnavailable("away")
        ids = [settlement.delivery for settlement in settlements]
        if self.refused & set(ids):
            raise DataError("refused")
        self.batches.append(ids)
        return [each for each in ids if each not in self.lost]


def settlement(delivery: UUID) -> Settlement:
    return Settlement(delivery, "default", 1, DeliveryState.SENT, None)


def settler(book: Book) -> Settler:
    async def wait(event: asyncio.Event, milliseconds: int) -> None:
        await asyncio.sleep(0)

    return Settler(book, ManualClock(), wait=wait, random=lambda: 0.5)


async def test_what_gathers_during_a_write_shares_the_next() -> None:
    book, ids = Book(), [uuid4() for _ in range(4)]
    book.gate.clear()
    writing = settler(book)
    first = asyncio.create_task(writing.settle(settlement(ids[0])))
    await book.entered.wait()
    others = [asyncio.create_task(writing.settle(settlement(each))) for each in ids[1:]]
    await asyncio.sleep(0)
    book.gate.set()
    assert await asyncio.gather(first, *others) == [True] * 4
    assert book.batches == [ids[:1], ids[1:]]


async def test_an_outage_loses_no_settlement() -> None:
    book, delivery = Book(), uuid4()
    book.outages = 3
    with structlog.testing.capture_logs() as logs:
        assert await settler(book).settle(settlement(delivery))
    assert book.batches == [[delivery]]
    assert [line["event"] for line in logs] == ["store_unavailable", "store_back"]


@pytest.mark.parametrize("culprit", range(5))
async def test_a_refused_settlement_does_not_hold_up_the_others(culprit: int) -> None:
    ids = [uuid4() for _ in range(5)]
    book = Book(refused=frozenset({ids[culprit]}))
    writing = settler(book)
    with structlog.testing.capture_logs() as logs:
        written = await asyncio.gather(*(writing.settle(settlement(each)) for each in ids))
    assert written == [number != culprit for number in range(5)]
    assert [line["delivery"] for line in logs] == [str(ids[culprit])]


async def test_a_lost_claim_is_told() -> None:
    delivery = uuid4()
    assert not await settler(Book(lost=frozenset({delivery}))).settle(settlement(delivery))


async def test_closing_lets_nobody_wait_for_ever() -> None:
    book = Book()
    book.gate.clear()
    writing = settler(book)
    waiting = asyncio.create_task(writing.settle(settlement(uuid4())))
    await book.entered.wait()
    await writing.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_loop_is_woken_only_for_what_is_due_before_its_next_look() -> None:
    clock = ManualClock()
    told: list[bool] = []

    async def round_() -> int:
        told.append(told_of(999))  # stored while the round is under way: it may have missed it
        return 300

    def told_of(after: int) -> bool:
        loop._wake.clear()
        loop.told(clock.now() + after)
        return loop._wake.is_set()

    loop = DueLoop("test", round_, clock, at_most=1_000)
    assert await loop._look() == 300
    assert told == [True]
    assert [told_of(after) for after in (-5, 299, 300, 999)] == [True, True, False, False]
