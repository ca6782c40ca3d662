from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.breaker import Breaker, BreakerPolicy, BreakerState, Sign, Ticket
from tests.support.clock import START

POLICY = BreakerPolicy(in_a_row=3, window=6, share=0.5, pause=1_000, longest=4_000)


def call(breaker: Breaker, sign: Sign, now: int = START, *, hold: int = 0) -> None:
    ticket = breaker.admit(now)
    assert ticket is not None
    breaker.report(ticket, sign, now, hold=hold)


def opened(now: int = START) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        call(breaker, Sign.FAILED, now)
    assert breaker.state(now) is BreakerState.OPEN
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(POLICY)
    for sign in (Sign.FAILED, Sign.FAILED, Sign.ALIVE, Sign.FAILED, Sign.FAILED):
        call(breaker, sign)
        assert breaker.state(START) is BreakerState.CLOSED
    call(breaker, Sign.FAILED)
    assert breaker.state(START) is BreakerState.OPEN


def test_half_of_the_last_calls_open_it_too_once_there_were_enough() -> None:
    breaker = Breaker(POLICY)
    for sign in (Sign.FAILED, Sign.ALIVE) * 2:
        call(breaker, sign)
    call(breaker, Sign.FAILED)
    assert breaker.state(START) is BreakerState.CLOSED
    call(breaker, Sign.ALIVE)
    assert breaker.state(START) is BreakerState.OPEN


def test_nothing_says_nothing() -> None:
    breaker = Breaker(POLICY)
    for _ in range(10):
        call(breaker, Sign.NOTHING)
    assert breaker.state(START) is BreakerState.CLOSED


def test_while_open_nobody_is_admitted() -> None:
    breaker = opened()
    assert breaker.admit(START + 999) is None
    assert breaker.ready_at(START + 1) == START + 1_000


def test_one_trial_at_a_time() -> None:
    breaker = opened()
    now = START + 1_000
    assert breaker.state(now) is BreakerState.HALF_OPEN
    trial = breaker.admit(now)
    assert trial is not None
    assert breaker.admit(now) is None
    assert breaker.ready_at(now) is None
    breaker.report(trial, Sign.NOTHING, now)
    assert breaker.ready_at(now) == now


def test_a_trial_that_is_answered_closes_it_and_all_is_forgotten() -> None:
    breaker = opened()
    call(breaker, Sign.ALIVE, START + 1_000)
    assert breaker.state(START + 1_000) is BreakerState.CLOSED
    call(breaker, Sign.FAILED, START + 1_000)
    call(breaker, Sign.FAILED, START + 1_000)
    assert breaker.state(START + 1_000) is BreakerState.CLOSED


def test_it_knows_since_when_it_has_been_out_and_when_it_was_last_answered() -> None:
    breaker = Breaker(POLICY)
    assert (breaker.out_since, breaker.answered_at) == (None, None)
    call(breaker, Sign.ALIVE, START - 1)
    for _ in range(3):
        call(breaker, Sign.FAILED)
    call(breaker, Sign.FAILED, START + 1_000)
    call(breaker, Sign.NOTHING, START + 3_000)
    assert (breaker.out_since, breaker.answered_at) == (START, START - 1)
    call(breaker, Sign.ALIVE, START + 3_000)
    assert (breaker.out_since, breaker.answered_at) == (None, START + 3_000)


def test_each_trial_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now, pauses = opened(), START, []
    for _ in range(4):
        ready_at = breaker.ready_at(now)
        assert ready_at is not None
        pauses.append(ready_at - now)
        now = ready_at
        call(breaker, Sign.FAILED, now)
    assert pauses == [1_000, 2_000, 4_000, 4_000]
    now = breaker.ready_at(now) or 0
    call(breaker, Sign.ALIVE, now)
    for _ in range(3):
        call(breaker, Sign.FAILED, now)
    assert breaker.ready_at(now) == now + 1_000  # it begins anew


def test_who_refuses_us_is_left_alone_at_once_and_long() -> None:
    breaker = Breaker(POLICY)
    call(breaker, Sign.BROKEN)
    assert breaker.ready_at(START) == START + 4_000


@pytest.mark.parametrize(("hold", "pause"), [(0, 1_000), (500, 1_000), (3_000, 3_000), (60_000, 4_000)])
def test_the_pause_is_as_long_as_the_provider_wants_up_to_the_longest(hold: int, pause: int) -> None:
    breaker = Breaker(POLICY)
    for _ in range(3):
        call(breaker, Sign.FAILED, hold=hold)
    assert breaker.ready_at(START) == START + pause


def test_asking_to_wait_does_not_open_it_alone() -> None:
    breaker = Breaker(POLICY)
    call(breaker, Sign.FAILED, hold=60_000)
    assert breaker.state(START) is BreakerState.CLOSED


@pytest.mark.parametrize("sign", list(Sign))
def test_what_was_admitted_before_it_opened_comes_too_late(sign: Sign) -> None:
    breaker = Breaker(POLICY)
    late = breaker.admit(START)
    assert late is not None
    for _ in range(3):
        call(breaker, Sign.FAILED)
    trial = breaker.admit(START + 1_000)
    breaker.report(late, sign, START + 1_000)
    assert breaker.state(START + 1_000) is BreakerState.HALF_OPEN
    assert breaker.ready_at(START + 1_000) is None  # the trial is still on its way
    assert trial is not None
    breaker.report(trial, Sign.ALIVE, START + 1_000)
    breaker.report(late, sign, START + 1_000)
    assert breaker.state(START + 1_000) is BreakerState.CLOSED


actions = st.one_of(
    st.tuples(st.just("admit"), st.none()),
    st.tuples(st.just("report"), st.sampled_from(list(Sign))),
    st.tuples(st.just("wait"), st.sampled_from([1, 999, 1_000, 4_000])),
)


@given(st.lists(actions, max_size=80))
def test_whatever_happens_it_keeps_its_promises(history: list[tuple[str, object]]) -> None:
    """Open means no call; half-open means one; it is never open for longer than the longest pause."""
    breaker, now = Breaker(POLICY), START
    under_way: list[tuple[Ticket, BreakerState]] = []
    for action, argument in history:
        state = breaker.state(now)
        if action == "admit":
            ticket = breaker.admit(now)
            assert ticket is None or state is not BreakerState.OPEN
            if ticket is not None:
                trials = [each for each, at in under_way if at is BreakerState.HALF_OPEN and each == ticket]
                assert state is BreakerState.CLOSED or not trials
                under_way.append((ticket, state))
            else:
                assert state is not BreakerState.CLOSED
        elif action == "report" and under_way:
            assert isinstance(argument, Sign)
            breaker.report(under_way.pop(0)[0], argument, now)
            if argument is Sign.ALIVE and state is BreakerState.CLOSED:
                assert breaker.state(now) in {BreakerState.CLOSED, BreakerState.OPEN}
        elif action == "wait":
            assert isinstance(argument, int)
            now += argument
        ready_at = breaker.ready_at(now)
        assert ready_at is None or now <= ready_at <= now + POLICY.longest
    for ticket, _ in under_way:
        breaker.report(ticket, Sign.ALIVE, now)
    assert breaker.admit(now + POLICY.longest) is not None  # it always comes back
