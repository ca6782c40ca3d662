"""Who shares a transaction with whom, and who hears what: the machinery of group commit, over scripted transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from hub.core.errors import DataError, IdempotencyConflict, StoreUnavailable
from hub.store.committer import Committer, Lane

MOST_WEIGHT = 10
MOST_WORKS = 4


class Disk:
    """Transactions that end when they are told to; a work is its weight and a word about what becomes of it."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, list[str]]] = []
        self.stored: list[str] = []
        self.unstuck = asyncio.Event()
        self._ends: asyncio.Queue[Exception | None] = asyncio.Queue()

    def end(self, error: Exception | None = None) -> None:
        """End the transaction under way, or the next."""
        self._ends.put_nowait(error)

    async def store(self, name: str, works: Sequence[str]) -> list[str | Exception]:
        self.begun.append((name, list(works)))
        if works == ["stuck"]:
            await self.unstuck.wait()
        if error := await self._ends.get():
            raise error
        if "bad" in works:
            raise DataError("one of them")
        self.stored += works
        return [IdempotencyConflict(work) if work == "conflict" else work.upper() for work in works]


def weigh(work: str) -> int:
    return int(work) if work.isdecimal() else 1


class World:
    def __init__(self, writers: int = 1, at_once: int = 1, times_alone: int = 1) -> None:
        self.times_alone = times_alone
        self.disk = Disk()
        self.tasks: set[asyncio.Task[None]] = set()
        committer = Committer(lambda turn: self.tasks.add(asyncio.ensure_future(turn)), writers=writers)
        self.first, self.second = (self._lane(committer, name, at_once) for name in ("first", "second"))

    def _lane(self, committer: Committer, name: str, at_once: int) -> Lane[str, str]:
        async def store(works: Sequence[str]) -> Sequence[str | Exception]:
            return await self.disk.store(name, works)

        return committer.lane(
            store,
            weigh,
            most_weight=MOST_WEIGHT,
            most_works=MOST_WORKS,
            times_alone=self.times_alone,
            at_once=at_once,
        )

    async def settled(self) -> None:
        """Let every transaction end well, and wait for the last."""
        while pending := {task for task in self.tasks if not task.done()}:
            self.disk.end()
            await asyncio.wait(pending, timeout=0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    opened = World()
    yield opened
    await opened.settled()


async def under_way() -> None:
    """Let what has been started begin."""
    await asyncio.sleep(0)


async def rounds() -> None:
    """Let whatever may happen happen."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_whoever_comes_at_once_shares_and_nobody_waits_while_idle(world: World) -> None:
    answers = [world.first.submit(work) for work in "abc"]
    await under_way()
    assert world.disk.begun == [("first", ["a", "b", "c"])]
    world.disk.end()
    assert await asyncio.gather(*answers) == ["A", "B", "C"]


async def test_what_comes_meanwhile_shares_the_next(world: World) -> None:
    first = world.first.submit("a")
    await under_way()
    later = [world.first.submit(work) for work in "bc"]
    await under_way()
    assert world.disk.begun == [("first", ["a"])]
    world.disk.end()
    assert await first == "A"
    assert not any(answer.done() for answer in later)
    await under_way()
    assert world.disk.begun[1:] == [("first", ["b", "c"])]
    world.disk.end()
    assert await asyncio.gather(*later) == ["B", "C"]


async def test_groups_are_bounded_in_number_and_weight_and_keep_the_order(world: World) -> None:
    for work in ["1", "2", "3", "4", "5", "6", "7", "99", "1", "a", "b", "c", "d"]:
        world.first.submit(work)
    await world.settled()
    groups = [["1", "2", "3", "4"], ["5"], ["6"], ["7"], ["99"], ["1", "a", "b", "c"], ["d"]]
    assert [works for _, works in world.disk.begun] == groups


async def test_one_that_spoils_it_fails_alone(world: World) -> None:
    answers = {work: world.first.submit(work) for work in ["a", "b", "bad", "c"]}
    await world.settled()
    outcomes = await asyncio.gather(*answers.values(), return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, Exception)] == ["A", "B", "C"]
    assert isinstance(outcomes[2], DataError)
    assert world.disk.stored == ["a", "b", "c"]


async def test_a_refusal_of_one_is_its_own_and_the_rest_is_stored_at_once(world: World) -> None:
    answers = [world.first.submit(work) for work in ["a", "conflict", "b"]]
    await world.settled()
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == ("A", "B")
    assert isinstance(outcomes[1], IdempotencyConflict)
    assert len(world.disk.begun) == 1


async def test_an_outage_is_everybodys_and_is_not_bisected(world: World) -> None:
    answers = [world.first.submit(work) for work in "abc"]
    later = world.first.submit("d")
    world.disk.end(StoreUnavailable("away"))
    await world.settled()
    outcomes = await asyncio.gather(*answers, later, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 4
    assert len(world.disk.begun) == 1
    assert await _stored(world, "e") == "E"


async def test_a_bug_met_by_one_is_its_own(world: World) -> None:
    answers = [world.first.submit(work) for work in "ab"]
    for error in (ZeroDivisionError(), None, ZeroDivisionError()):  # the group, its first half, its second
        world.disk.end(error)
    outcomes = await asyncio.gather(*answers, return_exceptions=True)
    assert outcomes[0] == "A"
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert await _stored(world, "c") == "C"


async def test_callers_who_go_away_cancel_nobody_and_are_stored(world: World) -> None:
    before, stays = (asyncio.ensure_future(_wait(world.first, work)) for work in "ab")
    await under_way()
    before.cancel()  # before its group sets out
    await under_way()
    waiting = asyncio.ensure_future(_wait(world.first, "c"))
    await under_way()
    waiting.cancel()  # while it waits for the group under way
    last = asyncio.ensure_future(_wait(world.first, "d"))
    await world.settled()
    assert (await stays, await last) == ("B", "D")
    assert before.cancelled()
    assert waiting.cancelled()
    assert world.disk.stored == ["a", "b", "c", "d"]


async def test_a_caller_who_goes_away_does_not_hide_that_it_was_the_bad_one(world: World) -> None:
    bad, good = (world.first.submit(work) for work in ("bad", "good"))
    bad.cancel()
    await world.settled()
    assert await good == "GOOD"


async def test_the_lane_behind_waits_and_is_not_starved(world: World) -> None:
    running = world.first.submit("0")
    await under_way()
    for work in ["10"] * 6:
        world.first.submit(work)
    for work in ["9"] * 2:
        world.second.submit(work)
    await world.settled()
    assert running.done()
    order = [name for name, _ in world.disk.begun]
    assert order == ["first", "first", "first", "second", "first", "first", "second", "first", "first"]


async def test_two_writers_serve_two_lanes_side_by_side_but_each_lane_one_at_a_time() -> None:
    world = World(writers=2)
    for lane in (world.first, world.second):
        lane.submit("10")
        lane.submit("a")
    await under_way()
    assert world.disk.begun == [("first", ["10"]), ("second", ["10"])]
    await world.settled()
    assert world.disk.begun[2:] == [("first", ["a"]), ("second", ["a"])]


async def test_a_lane_may_have_two_transactions_at_once_and_no_more() -> None:
    world = World(writers=3, at_once=2)
    for work in ("10", "9", "8"):
        world.first.submit(work)
    await under_way()
    assert world.disk.begun == [("first", ["10"]), ("first", ["9"])]
    world.second.submit("a")
    await under_way()
    assert world.disk.begun[2:] == [("second", ["a"])]
    await world.settled()
    assert world.disk.begun[3:] == [("first", ["8"])]


async def test_a_lane_that_nobody_waits_for_has_larger_groups() -> None:
    world = World(times_alone=2)
    for work in "abcdefghijklmno":
        world.second.submit(work)
    world.disk.end()
    await under_way()
    assert world.disk.begun == [("second", ["a", "b", "c", "d"])], "who may be waiting already is not known"
    await rounds()
    assert world.disk.begun[1:] == [("second", ["e", "f", "g", "h", "i", "j", "k", "l"])]
    world.first.submit("P")
    await world.settled()
    assert world.disk.begun[2:] == [("first", ["P"]), ("second", ["m", "n", "o"])]


async def test_a_lane_is_not_alone_while_another_has_anything_on_its_way() -> None:
    world = World(writers=2, times_alone=2)
    world.first.submit("stuck")
    for work in "abcdefghi":
        world.second.submit(work)
    for _ in range(3):
        world.disk.end()
    await rounds()
    assert [len(works) for _, works in world.disk.begun] == [1, 4, 4, 1]
    world.disk.unstuck.set()
    await world.settled()


async def test_a_lane_that_had_the_others_before_it_is_not_alone_at_once() -> None:
    world = World(times_alone=2)
    world.first.submit("P")
    await under_way()
    for work in "abcde":
        world.second.submit(work)
    await world.settled()
    assert world.disk.begun[1:] == [("second", ["a", "b", "c", "d"]), ("second", ["e"])]


async def test_when_the_process_ends_nobody_waits_for_ever(world: World) -> None:
    answer = world.first.submit("a")
    await under_way()
    for task in world.tasks:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer


async def _wait(lane: Lane[str, str], work: str) -> str:
    return await lane.submit(work)


async def _stored(world: World, work: str) -> str:
    answer = world.first.submit(work)
    await world.settled()
    return await answer
