"""Expanding a plan over a shared audience does for each member what direct deliveries do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.expansion import Member, Verdict, first_turn, following, judge, next_turn
from hub.core.model import Channel, Rung, Step

PUSH, EMAIL, SMS = Channel.PUSH, Channel.EMAIL, Channel.SMS
NONE: frozenset[int] = frozenset()
LADDER = [Step(PUSH, 0), Step(EMAIL, 10), Step(SMS, 20)]


def member(*channels: Channel, rung: Rung = Rung.NONE, has: Sequence[int] = ()) -> Member:
    return Member("ada", rung, frozenset(channels), frozenset(has))


@pytest.mark.parametrize(
    ("step", "turn", "whom", "verdict"),
    [
        (1, 10, member(EMAIL), Verdict.DELIVER),
        (1, 10, member(EMAIL, has=[1]), Verdict.HAS_IT),
        (1, 10, member(EMAIL, rung=Rung.SEEN), Verdict.REACHED),
        (1, 10, member(EMAIL, rung=Rung.DELIVERED), Verdict.DELIVER),
        (1, 10, member(PUSH, SMS), Verdict.NO_ENDPOINT),
        # Before its own turn: only where the steps before it cannot be sent.
        (1, 0, member(PUSH, EMAIL), Verdict.NOT_YET),
        (1, 0, member(EMAIL), Verdict.DELIVER),
        (1, 0, member(SMS), Verdict.NO_ENDPOINT),
        (2, 0, member(SMS), Verdict.DELIVER),
        (2, 0, member(EMAIL, SMS), Verdict.NOT_YET),
        (2, 0, member(PUSH, SMS), Verdict.NOT_YET),
        (2, 10, member(PUSH, SMS), Verdict.DELIVER),
        # A step that was tried has not been without an endpoint, even if it would be now.
        (2, 10, member(SMS, has=[1]), Verdict.NOT_YET),
    ],
)
def test_a_member_gets_a_step_in_its_turn_or_when_nothing_before_it_can_be_sent(
    step: int, turn: int, whom: Member, verdict: Verdict
) -> None:
    assert judge(LADDER, step, turn, whom) is verdict


def test_steps_that_are_passed_over_pull_nothing_and_hold_nothing_up() -> None:
    plan = [Step(PUSH, 0, Rung.READ), Step(EMAIL, 10, Rung.DELIVERED), Step(SMS, 20, Rung.READ)]
    arrived = member(SMS, rung=Rung.DELIVERED)

    assert judge(plan, 2, 0, arrived) is Verdict.DELIVER  # the push pulls, the e-mail is passed over
    assert judge(plan, 2, 10, arrived) is Verdict.NOT_YET  # nothing is left in that turn that could pull


def test_a_step_without_unless_is_for_everybody() -> None:
    assert judge([Step(EMAIL, 0, Rung.NONE)], 0, 0, member(EMAIL, rung=Rung.READ)) is Verdict.DELIVER


def test_a_step_is_expanded_for_every_turn_up_to_its_own() -> None:
    plan = [Step(SMS, 20), Step(PUSH, 5), Step(EMAIL, 10), Step(EMAIL, 5)]

    assert first_turn(plan) == 5
    assert [next_turn(plan, 0, turn) for turn in (5, 10, 20)] == [10, 20, None]
    assert next_turn(plan, 1, 5) is None


def test_the_next_turn_is_side_by_side_and_without_what_is_passed_over() -> None:
    plan = [Step(PUSH, 0), Step(EMAIL, 10), Step(SMS, 10), Step(EMAIL, 20)]

    assert following(plan, 0, NONE) == [1, 2]
    assert following(plan, 0, frozenset({1})) == [2]
    assert following(plan, 0, frozenset({1, 2})) == [3]
    assert following(plan, 1, NONE) == [3]
    assert following(plan, 3, NONE) == []


plans = st.lists(
    st.builds(Step, st.sampled_from([PUSH, EMAIL, SMS]), st.integers(0, 3), st.sampled_from(Rung)),
    min_size=1,
    max_size=6,
)
members = st.builds(Member, st.just("ada"), st.sampled_from(Rung), st.frozensets(st.sampled_from([PUSH, EMAIL, SMS])))


@given(plans, members)
def test_a_member_gets_the_same_steps_at_the_same_times_as_a_direct_recipient(plan: list[Step], whom: Member) -> None:
    assert by_expansion(plan, whom) == directly(plan, whom)


def by_expansion(plan: Sequence[Step], whom: Member) -> dict[int, int]:
    """Expand every step for every turn; returns when each is sent."""
    sent: dict[int, int] = {}
    for turn in sorted({step.after for step in plan}):
        for number, step in enumerate(plan):
            now = Member(whom.user, whom.rung, whom.channels, frozenset(sent))
            if turn <= step.after and judge(plan, number, turn, now) is Verdict.DELIVER:
                sent[number] = turn
    return sent


def directly(plan: Sequence[Step], whom: Member) -> dict[int, int]:
    """Play what a worker does with deliveries that are all there from the start."""
    cancelled = frozenset(
        number for number, step in enumerate(plan) if step.unless is not Rung.NONE and whom.rung >= step.unless
    )
    due = {number: step.after for number, step in enumerate(plan) if number not in cancelled}
    sent: dict[int, int] = {}
    while due:
        number = min(due, key=lambda each: (due[each], each))
        now = due.pop(number)
        if plan[number].channel in whom.channels:
            sent[number] = now
            continue
        for other in following(plan, number, cancelled):
            if other in due:
                due[other] = min(due[other], now)
    return sent
