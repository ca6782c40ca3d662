"""When a schedule is due, and what it does then."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.model import Cron, Every, Missed, Once, Schedule, Timing
from hub.core.schedule import CATCH_UP, LATE, Skipped, Turn, next_after, turn, upcoming
from tests.support.clock import START

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def schedule(timing: Timing, next_at: int, missed: Missed = Missed.ONCE) -> Schedule:
    return Schedule(
        tenant="default",
        id=uuid4(),
        name=None,
        timing=timing,
        missed=missed,
        notification=b"{}",
        next_at=next_at,
        dealt_with=next_at - 1,
        created_at=0,
        updated_at=0,
    )


def test_once() -> None:
    assert next_after(Once(START), START - 1) == START
    assert next_after(Once(START), START) is None


def test_every_keeps_to_its_start() -> None:
    every = Every(90 * SECOND, START)
    assert next_after(every, START - 10 * DAY) == START
    assert next_after(every, START) == START + 90 * SECOND
    assert next_after(every, START + 90 * SECOND - 1) == START + 90 * SECOND
    assert next_after(every, START + 1_000_000 * 90 * SECOND + 7) == START + 1_000_001 * 90 * SECOND
    assert upcoming(every, START + 1, 3) == [START + number * 90 * SECOND for number in (1, 2, 3)]


def test_the_end_is_the_last_time() -> None:
    assert upcoming(Every(HOUR, START, START + 2 * HOUR), START, 9) == [START + HOUR, START + 2 * HOUR]
    assert upcoming(Every(HOUR, START, START + 2 * HOUR - 1), START, 9) == [START + HOUR]
    assert upcoming(Cron("0 * * * *", "UTC", None, START + HOUR), START - 1, 9) == [START, START + HOUR]


def test_the_start_may_be_the_first_time() -> None:
    assert next_after(Cron("0 * * * *", "UTC", START), 0) == START
    assert next_after(Cron("0 * * * *", "UTC", START + 1), 0) == START + HOUR


@given(
    timing=st.one_of(
        st.builds(Every, st.integers(SECOND, DAY), st.integers(START - DAY, START + DAY)),
        st.builds(Cron, st.sampled_from(["*/7 * * * *", "30 1,2 * * *", "0 */5 * * *"]), st.just("Europe/Berlin")),
    ),
    after=st.integers(START - DAY, START + 90 * DAY),
    ahead=st.floats(0, 0.999),
)
def test_it_makes_no_difference_when_one_asks(timing: Timing, after: int, ahead: float) -> None:
    due = next_after(timing, after)
    assert due is not None
    assert due > after
    later = after + int((due - after) * ahead)
    assert next_after(timing, later) == due


class TestTurn:
    every = Every(HOUR, START)

    def test_on_time(self) -> None:
        for missed in Missed:
            on_time = Turn(None, START, START + HOUR, START)
            assert turn(schedule(self.every, START, missed), START + 300) == on_time

    def test_the_last_one(self) -> None:
        assert turn(schedule(Once(START), START), START) == Turn(None, START, None, START)

    def test_once_makes_up_by_the_latest(self) -> None:
        decided = turn(schedule(self.every, START), START + 3 * HOUR + 5)
        assert decided == Turn(Skipped(START, START + 2 * HOUR), START + 3 * HOUR, START + 4 * HOUR, START + 3 * HOUR)

    def test_a_single_one_is_made_up_for_however_late(self) -> None:
        assert turn(schedule(Once(START), START), START + 300 * DAY) == Turn(None, START, None, START)

    def test_skip_makes_only_what_is_on_time(self) -> None:
        late = schedule(self.every, START, Missed.SKIP)
        assert turn(late, START + LATE) == Turn(None, START, START + HOUR, START)
        assert turn(late, START + LATE + 1) == Turn(Skipped(START, START), None, START + HOUR, START)
        decided = turn(late, START + 2 * HOUR + 5)
        assert decided.skipped == Skipped(START, START + HOUR)
        assert decided.due_at == START + 2 * HOUR
        decided = turn(late, START + 2 * HOUR + 2 * LATE)
        assert decided == Turn(Skipped(START, START + 2 * HOUR), None, START + 3 * HOUR, START + 2 * HOUR)

    def test_all_makes_one_after_the_other(self) -> None:
        made, at = [], START
        while at <= START + 3 * HOUR + 5:
            decided = turn(schedule(self.every, at, Missed.ALL), START + 3 * HOUR + 5)
            assert decided.skipped is None
            assert decided.next_at is not None
            made.append(decided.due_at)
            at = decided.next_at
        assert made == [START + number * HOUR for number in range(4)]

    @pytest.mark.parametrize("timing", [Every(MINUTE, START), Cron("* * * * *")])
    def test_all_is_bounded_by_the_latest(self, timing: Timing) -> None:
        """After a year's outage the answer does not take a year's walk."""
        now = START + 365 * DAY + 1
        decided = turn(schedule(timing, START, Missed.ALL), now)
        first = START + 365 * DAY - (CATCH_UP - 1) * MINUTE
        assert decided == Turn(Skipped(START, first - MINUTE), first, first + MINUTE, first)

    def test_a_time_that_a_zone_knows_no_more_still_runs(self) -> None:
        """Its rules were changed between the telling and the time."""
        told = START + 30 * MINUTE
        assert turn(schedule(Cron("0 0 * * *"), told), told) == Turn(None, told, START + 16 * HOUR, told)


@given(
    interval=st.integers(1, 90),
    behind=st.integers(0, 500),
    now=st.integers(0, 30_000),
    missed=st.sampled_from(Missed),
)
def test_every_due_time_is_made_or_skipped_once(interval: int, behind: int, now: int, missed: Missed) -> None:
    """Against a list of all due times."""
    every = Every(interval * SECOND, START)
    first = START + behind * SECOND * interval
    now = first + now * SECOND
    current, made, skipped = schedule(every, first, missed), [], []
    while current.next_at is not None and current.next_at <= now:
        decided = turn(current, now)
        if decided.skipped is not None:
            skipped += [decided.skipped]
        if decided.due_at is not None:
            made.append(decided.due_at)
        assert decided.dealt_with < (decided.next_at or 0)
        current = replace(current, next_at=decided.next_at)
    due = [*range(first, now + 1, interval * SECOND)]
    wanted = {
        Missed.ALL: due[-CATCH_UP:],
        Missed.ONCE: due[-1:],
        Missed.SKIP: [at for at in due[-1:] if now - at <= LATE],
    }
    assert made == wanted[missed]
    covered = [at for at in due if any(span.first <= at <= span.last for span in skipped)]
    assert sorted(covered + made) == due
    assert current.next_at == due[0] + interval * SECOND * bisect_right(due, now)
