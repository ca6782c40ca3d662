from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.rates import Leave, Rate, Window, parse_rates
from tests.support.clock import START


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("100/second", [Rate(100, 1_000)]),
        (" 10 / seconds ", [Rate(10, 1_000)]),
        ("10/5minutes", [Rate(10, 300_000)]),
        ("10/5 minute", [Rate(10, 300_000)]),
        ("30/minute, 10000/day", [Rate(30, 60_000), Rate(10_000, 86_400_000)]),
        ("1/hour", [Rate(1, 3_600_000)]),
    ],
)
def test_rates_are_read(text: str, rates: list[Rate]) -> None:
    assert list(parse_rates(text)) == rates


@pytest.mark.parametrize(
    "text",
    ["", "100", "100/s", "0/second", "-1/second", "1/0seconds", "1.5/second", "100/second,", "100001/day", "٣/second"],
)
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        parse_rates(text)


def test_what_may_be_called_may_be_called_at_once_and_the_rest_by_its_time() -> None:
    window = Window([Rate(3, 1_000)])
    assert window.take(START, 2, 5_000) == Leave(2, START)
    assert window.take(START + 100, 1, 5_000) == Leave(1, START + 100)
    assert window.take(START + 100, 1, 5_000) == Leave(1, START + 1_000)
    assert window.take(START + 100, 2, 5_000) == Leave(2, START + 1_100)
    assert window.take(START + 100, 3, 5_000) == Leave(3, START + 2_100)


def test_what_takes_too_long_is_not_given() -> None:
    window = Window([Rate(2, 60_000)])
    assert window.take(START, 1, 10_000) == Leave(1, START)
    for _ in range(2):
        assert window.take(START + 1, 2, 10_000) == Leave(0, START + 60_000)
    assert window.take(START + 1, 1, 10_000) == Leave(1, START + 1)
    assert window.take(START + 50_000, 1, 10_000) == Leave(1, START + 60_000)


def test_of_several_rates_each_holds() -> None:
    window = Window([Rate(2, 1_000), Rate(3, 60_000)])
    given_at = [window.take(START, 1, 100_000).at - START for _ in range(5)]
    assert given_at == [0, 0, 1_000, 60_000, 60_000]


def test_more_than_there_can_ever_be_is_refused() -> None:
    with pytest.raises(ValueError, match="never allows"):
        Window([Rate(5, 1_000), Rate(2, 60_000)]).take(START, 3, 0)


rates = st.lists(
    st.builds(Rate, st.integers(3, 6), st.sampled_from([10, 25, 100])), min_size=1, max_size=2, unique=True
)
requests = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 3), st.sampled_from([0, 20, 1_000])), min_size=1, max_size=40
)


@given(rates, requests)
def test_no_span_of_time_has_more_calls_than_it_may_and_nobody_waits_without_need(
    limits: list[Rate], asked: list[tuple[int, int, int]]
) -> None:
    window, now = Window(limits), START
    calls: list[int] = []
    for pause, wanted, patience in asked:
        now += pause
        leave = window.take(now, wanted, patience)
        assert leave.calls in {0, wanted}
        assert (leave.calls == 0) == (leave.at > now + patience)
        if leave.at > now:  # one moment earlier a limit, or the order, would have been broken
            earlier = [*calls, *[leave.at - 1] * wanted]
            assert earlier != sorted(earlier) or not all(map(partial(holds, earlier), limits))
        calls += [leave.at] * leave.calls
    assert calls == sorted(calls)  # nobody is overtaken
    assert all(map(partial(holds, calls), limits))


def holds(calls: list[int], rate: Rate) -> bool:
    return all(beyond - first >= rate.period for first, beyond in zip(calls, calls[rate.calls :], strict=False))
