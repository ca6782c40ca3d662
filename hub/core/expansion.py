"""Who of a shared audience gets a step's delivery, and when.

A direct notification has a delivery for each step and recipient from the start. A shared one has one *expansion*
for each step, which makes deliveries of it when its time comes. What a direct delivery does when its turn comes
(a needless step is passed over, one without an endpoint pulls the next forward) is decided here for each member.

A *turn* is all steps of a plan with one `after`; it is named by that `after`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from hub.core.model import Channel, Rung, Step


class Verdict(Enum):
    """What an expansion does about a member."""

    DELIVER = auto()
    HAS_IT = auto()
    """There is a delivery of this step for them already."""
    REACHED = auto()
    """They have got as far as the step's `unless`."""
    NO_ENDPOINT = auto()
    """The step's channel does not reach them, or no provider is set up for it."""
    NOT_YET = auto()
    """It is not the step's time, and nothing pulls it forward."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the audience, as they are now."""

    user: str
    rung: Rung
    channels: frozenset[Channel]
    """The channels by which they can be reached."""
    steps: frozenset[int] = frozenset()
    """The steps for which they have a delivery, whatever became of it."""


def first_turn(plan: Sequence[Step]) -> int:
    """Return the turn with which expanding any step of the plan begins."""
    return min(step.after for step in plan)


def next_turn(plan: Sequence[Step], number: int, turn: int) -> int | None:
    """Return the turn for which a step is expanded after `turn`; None if that was its own."""
    return min((step.after for step in plan if turn < step.after <= plan[number].after), default=None)


def judge(plan: Sequence[Step], number: int, turn: int, member: Member) -> Verdict:
    """Decide about a member when the step with this number is expanded for a turn.

    For its own turn, it is for everybody who still needs it. For an earlier one, it is for those for whom the
    steps from that turn up to its own have no endpoint, and so pull it forward.
    """
    step = plan[number]
    if number in member.steps:
        return Verdict.HAS_IT
    if passed_over(step, member.rung):
        return Verdict.REACHED
    if turn < step.after and not _pulled_forward(plan, turn, step.after, member):
        return Verdict.NOT_YET
    return Verdict.DELIVER if step.channel in member.channels else Verdict.NO_ENDPOINT


def passed_over(step: Step, rung: Rung) -> bool:
    """Tell whether somebody who has got so far does not need the step."""
    return step.unless is not Rung.NONE and rung >= step.unless


def following(plan: Sequence[Step], number: int, without: frozenset[int]) -> Sequence[int]:
    """Return the steps whose turn comes after a step's, side by side, as if those in `without` did not exist."""
    later = [
        (step.after, other)
        for other, step in enumerate(plan)
        if step.after > plan[number].after and other not in without
    ]
    turn = min((after for after, _ in later), default=None)
    return [other for after, other in later if after == turn]


def _pulled_forward(plan: Sequence[Step], turn: int, until: int, member: Member) -> bool:
    """Tell whether, from `turn` on, every turn before `until` has a step that cannot be sent.

    Turns of which every step is passed over do not count; but the first must have a step that pulls.
    """
    missed: dict[int, bool] = {}
    for number, step in enumerate(plan):
        if turn <= step.after < until and not passed_over(step, member.rung):
            pulls = number not in member.steps and step.channel not in member.channels
            missed[step.after] = missed.get(step.after, False) or pulls
    return turn in missed and all(missed.values())
