"""Cron in time zones, against a walk over every minute."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.core.cron import check_expression, check_timezone, next_match
from hub.core.errors import InvalidRequest
from hub.core.model import Cron
from tests.support.cron import MINUTE, walked

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # by half an hour
    "America/Havana",  # at midnight
    "Africa/Cairo",  # at midnight, to one o'clock
    "Asia/Kolkata",
    "Asia/Tokyo",
]
CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],
    "America/Havana": ["2026-03-08", "2026-11-01"],
    "Africa/Cairo": ["2026-04-24", "2026-10-30"],
}


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def shown(at: int | None, zone: str) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat(" ", "minutes")


def runs(expression: str, zone: str, after: str, until: str) -> list[str | None]:
    found, at = [], next_match(Cron(expression, zone), ms(after))
    while at is not None and at < ms(until):
        found.append(shown(at, zone))
        at = next_match(Cron(expression, zone), at)
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "after", "until", "expected"),
    [
        # Berlin goes from 2:00 to 3:00 on 29 March 2026, and from 3:00 back to 2:00 on 25 October.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00+01:00",
            "2026-03-31T00:00+02:00",
            ["2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00+02:00",
            "2026-10-27T00:00+01:00",
            ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"],
        ),
        # Out of the second 2:10, the 2:30 before it is not to come again.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T02:10+01:00",
            "2026-10-26T12:00+01:00",
            ["2026-10-26 02:30+01:00"],
        ),
        # Hourly is every hour, whatever clocks show.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:00+02:00",
            "2026-10-25T03:00+01:00",
            ["2026-10-25 01:30+02:00", "2026-10-25 02:30+02:00", "2026-10-25 02:30+01:00"],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29T01:00+01:00",
            "2026-03-29T04:00+02:00",
            ["2026-03-29 01:30+01:00", "2026-03-29 03:30+02:00"],
        ),
        # Out of the first 2:45, the second 2:30 is still to come.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T02:45+02:00",
            "2026-10-25T03:00+01:00",
            ["2026-10-25 02:30+01:00"],
        ),
        # Two times within the gap: one run.
        (
            "0,30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00-05:00",
            "2026-03-09T00:00-04:00",
            ["2026-03-08 03:00-04:00"],
        ),
        (
            "59 1 * * *",
            "America/New_York",
            "2026-11-01T00:00-04:00",
            "2026-11-02T00:00-05:00",
            ["2026-11-01 01:59-04:00"],
        ),
        # Lord Howe moves by half an hour: from 2:00 to 2:30, and from 2:00 back to 1:30.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00+10:30",
            "2026-10-06T00:00+11:00",
            ["2026-10-04 02:30+11:00", "2026-10-05 02:15+11:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-05T00:00+11:00",
            "2026-04-06T00:00+10:30",
            ["2026-04-05 01:45+11:00"],
        ),
        (
            "*/20 3 * * *",
            "Australia/Lord_Howe",
            "2026-10-04T00:00+10:30",
            "2026-10-04T12:00+11:00",
            ["2026-10-04 03:00+11:00", "2026-10-04 03:20+11:00", "2026-10-04 03:40+11:00"],
        ),
        # No midnight in Cairo that day.
        (
            "0 0 * * *",
            "Africa/Cairo",
            "2026-04-23T12:00+02:00",
            "2026-04-26T00:00+03:00",
            ["2026-04-24 01:00+03:00", "2026-04-25 00:00+03:00"],
        ),
        (
            "0 9 * * MON-FRI",
            "Asia/Tokyo",
            "2026-03-27T09:00+09:00",
            "2026-03-31T00:00+09:00",
            ["2026-03-30 09:00+09:00"],
        ),
        (
            "0 0 29 2 *",
            "UTC",
            "2026-01-01T00:00+00:00",
            "2033-01-01T00:00+00:00",
            ["2028-02-29 00:00+00:00", "2032-02-29 00:00+00:00"],
        ),
    ],
)
def test_runs(expression: str, zone: str, after: str, until: str, expected: list[str]) -> None:
    assert runs(expression, zone, after, until) == expected


@st.composite
def expressions(draw: st.DrawFn) -> str:
    minute = draw(st.sampled_from(["*", "*/20", "0", "30", "15,45", "0-59/25", "59"]))
    hour = draw(st.sampled_from(["*", "*/2", "0", "1", "2", "3", "1-3", "23", "0,2"]))
    day = draw(st.sampled_from(["*", "*", "*", "1", "*/2", "L"]))
    weekday = draw(st.sampled_from(["*", "*", "*", "SUN", "MON-FRI", "0#1"]))
    return f"{minute} {hour} {day} * {weekday}"


@given(
    expression=expressions(),
    place=st.sampled_from(
        [(zone, day) for zone, days in CHANGES.items() for day in days] + [(zone, "2026-06-01") for zone in ZONES]
    ),
    minutes=st.integers(-26 * 60, 12 * 60),
    extra=st.integers(0, MINUTE - 1),
)
@example(expression="30 2 * * *", place=("Europe/Berlin", "2026-10-25"), minutes=70, extra=1)
@settings(max_examples=150)
def test_whatever_is_asked_from_whenever(expression: str, place: tuple[str, str], minutes: int, extra: int) -> None:
    zone, day = place
    after = ms(f"{day}T00:00+00:00") + minutes * MINUTE + extra
    until = after + 30 * 60 * MINUTE
    expected = next(walked(expression, zone, after, until), None)
    found = next_match(Cron(expression, zone), after)
    assert shown(found if found is not None and found <= until else None, zone) == shown(expected, zone)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "61 * * * *",
        "0 0 30 2 *",
        "0 0 0 * *",
        "x * * * *",
        "*/0 * * * *",
        "1-0 * * * *",
        "* * * * MON#6",
        "* * * * ²L",
        "9" * 200 + " * * * *",
        "٣ * * * *",
        "0 0 31 4,6 *",
        "\x00 * * * *",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_expression(expression, "$.cron")
    assert refused.value.pointer == "$.cron"


@given(st.text(alphabet="0123456789*/,-#LWMONFRI ²٣\x00ß", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = check_expression(text, "$.cron")
    except InvalidRequest:
        return
    next_match(Cron(expression), ms("2026-01-01T00:00+00:00"))


def test_one_that_never_matches_is_found_out() -> None:
    assert next_match(Cron(check_expression("* * */20 * 1L", "$.cron")), ms("2026-01-01T00:00+00:00")) is None


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "EST5EDT"])
def test_a_zone_is_a_zone(name: str) -> None:
    assert check_timezone(name, "$.timezone") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "Europe",
        "europe/../UTC",
        "../../etc/passwd",
        "/etc/localtime",
        "localtime",
        "leapseconds",
        "right/Europe/Berlin",
        "posix/UTC",
        "A" * 5000,
        "Europe/Berlin\x00",
        "Zürich",
        "+02:00",
    ],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="time zone"):
        check_timezone(name, "$.timezone")
