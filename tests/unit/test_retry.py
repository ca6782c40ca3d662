from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.model import Channel
from hub.core.retry import MAX_RETRY_AFTER, POLICIES, RetryPolicy, parse_retry_after, policies

NOW = 1_800_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT

NEARLY_ONE = 1 - 2**-53


def test_waits_grow_by_the_factor_up_to_the_cap() -> None:
    policy = RetryPolicy(max_attempts=6, base=1_000, factor=4, cap=30_000)
    waits = [policy.next_due(attempts, 0, lambda: NEARLY_ONE) for attempts in range(1, 7)]
    assert waits == [999, 3_999, 15_999, 29_999, 29_999, None]


def test_the_last_attempt_is_the_last() -> None:
    assert RetryPolicy(max_attempts=1).next_due(1, NOW, lambda: 0.5) is None
    assert RetryPolicy(max_attempts=1).next_due(1, NOW, lambda: 0.5, retry_after=1) is None
    assert RetryPolicy(max_attempts=2).next_due(1, NOW, lambda: 0.0) == NOW


def test_what_is_about_now_is_tried_less_often() -> None:
    attempts = {channel.value: POLICIES[channel].max_attempts for channel in Channel}
    assert attempts == {"email": 5, "chat": 4, "push": 3, "webpush": 3, "sms": 3}


def test_settings_change_the_limit_of_single_channels() -> None:
    changed = policies({Channel.SMS: 1})
    assert changed[Channel.SMS] == RetryPolicy(max_attempts=1)
    assert {**changed, Channel.SMS: POLICIES[Channel.SMS]} == POLICIES


def test_retry_after_is_a_floor_with_jitter_on_top() -> None:
    policy = RetryPolicy(base=1_000)
    assert policy.next_due(1, NOW, lambda: 0.0, retry_after=60_000) == NOW + 60_000
    assert policy.next_due(1, NOW, lambda: 0.5, retry_after=60_000) == NOW + 60_500


def test_a_day_is_the_most_that_a_provider_can_ask_for() -> None:
    assert RetryPolicy().next_due(1, NOW, lambda: 0.0, retry_after=10**15) == NOW + MAX_RETRY_AFTER


@given(
    attempts=st.integers(0, 10**9),
    chance=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.integers(-(10**12), 10**15),
)
def test_never_in_the_past_and_never_beyond_the_caps(attempts: int, chance: float, retry_after: int | None) -> None:
    policy = RetryPolicy(max_attempts=10**10)
    due = policy.next_due(attempts, NOW, lambda: chance, retry_after)
    assert due is not None
    assert NOW <= due <= NOW + MAX_RETRY_AFTER + policy.cap


@pytest.mark.parametrize(
    ("header", "milliseconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120_000),
        (" 7 ", 7_000),
        ("Fri, 15 Jan 2027 08:01:30 GMT", 90_000),
        ("Fri, 15 Jan 2027 08:01:30 -0000", 90_000),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 15 Jan 2094 07:00:00 GMT", MAX_RETRY_AFTER),
        ("9" * 5_000, MAX_RETRY_AFTER),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_headers(header: str | None, milliseconds: int | None) -> None:
    assert parse_retry_after(header, NOW) == milliseconds


@given(st.text())
def test_no_header_raises(header: str) -> None:
    parsed = parse_retry_after(header, NOW)
    assert parsed is None or 0 <= parsed <= MAX_RETRY_AFTER
