from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.core.model import DeliveryState
from hub.core.transitions import ENDS, TRANSITIONS, Actor, may, sources

DIAGRAM = Path(__file__).parents[2] / "docs" / "fallback.md"


def test_the_diagram_is_the_table() -> None:
    """Each arrow of docs/fallback.md, with whoever may go along it."""
    text = DIAGRAM.read_text(encoding="utf-8")
    drawn = {
        (DeliveryState(before), DeliveryState(after)): frozenset(map(Actor, actors.split(", ")))
        for before, after, actors in re.findall(r"^ +(\w+) --> (\w+): ([\w, ]+)$", text, re.MULTILINE)
    }
    assert drawn == dict(TRANSITIONS)
    assert "[*] --> queued" in text


def test_every_state_is_reached_and_ends_can_be_reached_from_everywhere() -> None:
    reached = {DeliveryState.QUEUED}
    while more := {after for before, after in TRANSITIONS if before in reached} - reached:
        reached |= more
    assert reached == set(DeliveryState)
    for state in set(DeliveryState) - ENDS:
        assert any(after in ENDS for before, after in TRANSITIONS if before is state)


def test_what_is_being_sent_is_its_workers_alone() -> None:
    assert not any(Actor.OPERATOR in actors for (before, _), actors in TRANSITIONS.items() if before == "sending")
    assert not any(Actor.HUB in actors for (before, _), actors in TRANSITIONS.items() if before == "sending")


@pytest.mark.parametrize("state", [DeliveryState.SENT, DeliveryState.CLICKED, DeliveryState.CANCELLED])
def test_what_was_sent_or_is_not_needed_is_not_retried(state: DeliveryState) -> None:
    assert not may(Actor.OPERATOR, state, DeliveryState.QUEUED)
    assert sources(Actor.OPERATOR, DeliveryState.QUEUED) == {DeliveryState.FAILED, DeliveryState.SKIPPED}
