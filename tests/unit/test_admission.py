"""Admission is a token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.gateway.admission import Admission


def test_a_burst_comes_in_and_the_next_waits() -> None:
    bucket = Admission(rate=10, burst=3)
    assert [bucket.admit(100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.admit(100.0) == pytest.approx(0.1)
    assert bucket.admit(100.05) == pytest.approx(0.05)
    assert bucket.admit(100.1) == 0


def test_who_is_refused_takes_nobodys_place() -> None:
    bucket = Admission(rate=1, burst=1)
    assert bucket.admit(0.0) == 0
    for _ in range(50):
        assert bucket.admit(0.5) > 0
    assert bucket.admit(1.0) == 0


def test_a_quiet_night_gives_no_more_than_one_burst() -> None:
    bucket = Admission(rate=10, burst=5)
    assert sum(bucket.admit(50_000.0) == 0 for _ in range(100)) == 5


def test_no_rate_lets_everybody_in() -> None:
    bucket = Admission(rate=0, burst=1)
    assert all(bucket.admit(1.0) == 0 for _ in range(10_000))


@given(
    rate=st.floats(0.5, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_never_more_than_rate_and_burst_over_any_stretch(rate: float, burst: int, gaps: list[float]) -> None:
    bucket = Admission(rate, burst)
    now, admitted = 1_000.0, []
    for gap in gaps:
        now += gap
        if bucket.admit(now) == 0:
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + rate * (admitted[last] - admitted[first]) + 1e-3
