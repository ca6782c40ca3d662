"""A lane claims ahead as much as it sends in a moment: nothing at first, nothing while its provider is slow."""

from __future__ import annotations

from fallback.pace import AHEAD, AT_MOST, Pace

NOW = 1_000_000
WIDTH = 100


def pace_of(sent: int) -> Pace:
    """A pace of so many in the moment that begins now."""
    pace = Pace()
    assert pace.ahead(WIDTH, NOW) == 0, "nothing is known of it yet"
    for number in range(sent):
        pace.sent(NOW + number * AHEAD // sent)
    return pace


def test_as_much_as_it_sent_in_the_last_moment() -> None:
    assert pace_of(40).ahead(WIDTH, NOW + AHEAD) == 40
    assert pace_of(0).ahead(WIDTH, NOW + AHEAD) == 0


def test_the_moment_under_way_does_not_count_yet() -> None:
    assert pace_of(40).ahead(WIDTH, NOW + AHEAD - 1) == 0


def test_there_is_a_bound_to_it() -> None:
    assert pace_of(10_000).ahead(WIDTH, NOW + AHEAD) == WIDTH * AT_MOST


def test_a_lane_that_stood_still_begins_anew() -> None:
    assert pace_of(40).ahead(WIDTH, NOW + 2 * AHEAD) == 0
    pace = pace_of(40)
    assert pace.ahead(WIDTH, NOW + AHEAD) == 40
    assert pace.ahead(WIDTH, NOW + 2 * AHEAD) == 0


def test_a_clock_that_was_set_back_begins_anew() -> None:
    assert pace_of(40).ahead(WIDTH, NOW - 5_000) == 0
