"""From requests to schedules, and from schedules to what their runs store. The interface's tests have the refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from hub.core import scheduling, wire
from hub.core.errors import InvalidRequest
from hub.core.model import Every, Move, Publication, RunOutcome
from hub.core.schedule import turn
from tests.support.clock import START
from tests.support.schedules import DAY, HOUR, MINUTE, NOTIFICATION, move_of, moved, run_of, schedule


def patch(**fields: Any) -> wire.SchedulePatchIn:
    return msgspec.convert(fields, wire.SchedulePatchIn)


class TestBehindAClockThatWasSetBack:
    """What has fired by the clock of one process does not fire again by that of another, which is behind it."""

    fired = moved(schedule(every="1h"), move_of(schedule(every="1h")), START + HOUR)
    behind = START + MINUTE

    def test_a_patch_begins_after_what_has_fired(self) -> None:
        anew = patch(every="10m", start="2027-01-15T08:00:00Z")
        assert scheduling.patch(self.fired, anew, self.behind).schedule.next_at == START + HOUR + 10 * MINUTE
        at = patch(at="2027-01-15T08:30:00Z")
        with pytest.raises(InvalidRequest, match="has passed"):
            scheduling.patch(self.fired, at, self.behind)

    def test_a_pause_leaves_it_where_it_was(self) -> None:
        paused = scheduling.pause(self.fired, self.behind).schedule
        resumed = scheduling.resume(paused, self.behind)
        assert resumed.schedule.next_at == START + 2 * HOUR
        assert resumed.records == ()

    def test_what_was_dropped_while_it_was_paused_stays_dropped(self) -> None:
        paused = scheduling.pause(self.fired, START + HOUR).schedule
        resumed = scheduling.resume(paused, START + 5 * HOUR + MINUTE).schedule
        anew = patch(every="1h", start="2027-01-15T08:00:00Z")
        assert scheduling.patch(resumed, anew, self.behind).schedule.next_at == START + 6 * HOUR


def test_every_without_a_start_begins_with_one_interval() -> None:
    one = schedule(every="90m")
    assert one.timing == Every(90 * MINUTE, START)
    assert one.next_at == START + 90 * MINUTE


def test_a_change_is_another_revision_and_nothing_is_none() -> None:
    one = schedule()
    assert scheduling.patch(one, patch(name="x"), START).schedule.revision == 1
    paused = scheduling.pause(one, START).schedule
    assert paused.revision == 1
    assert scheduling.pause(paused, START + 1).schedule == paused
    assert scheduling.resume(one, START).schedule == one
    ended = replace(one, next_at=None, ended_at=START)
    assert scheduling.pause(ended, START).schedule == ended


def test_a_run_is_what_a_publish_at_that_time_would_be() -> None:
    one = schedule(notification=NOTIFICATION | {"fallback": [{"channel": "email", "after": "5m"}]})
    run = run_of(one, START + HOUR + 700)
    assert (run.content.created_at, run.users) == (START + HOUR + 700, ("ada", "grace"))
    assert [delivery.due_at for delivery in run.deliveries] == [START + HOUR + 700 + 5 * MINUTE] * 2
    assert run.idempotency == ()
    assert run.move is not None
    [record] = run.move.records
    assert (record.due_at, record.at, record.outcome) == (START + HOUR, START + HOUR + 700, RunOutcome.FIRED)
    assert record.notification == run.content.id


@pytest.mark.parametrize(
    "stored",
    [
        b'{"recipients": ["ada"], "title": ""}',
        b'{"recipients": ["ada"], "title": "t", "of_another_version": 1}',
        b"{",
    ],
)
def test_what_cannot_be_published_any_more_is_a_failed_run(stored: bytes) -> None:
    """A newer version may be stricter than the one that took it."""
    one = replace(schedule(), notification=stored)
    made = scheduling.due_run(one, turn(one, START + HOUR), START + HOUR)
    assert isinstance(made, Move)
    [record] = made.records
    assert record.outcome is RunOutcome.FAILED
    assert record.reason
    assert (made.next_at, made.dealt_with) == (START + 2 * HOUR, START + HOUR)


def test_a_long_reason_is_cut() -> None:
    one = schedule()
    failed = scheduling.failed_run(one, turn(one, START + HOUR), START + HOUR, "x" * 10_000)
    assert len(failed.records[0].reason or "") == 500


def test_what_is_skipped_before_a_run_is_told_with_it() -> None:
    one = schedule()
    made = scheduling.due_run(one, turn(one, START + 4 * HOUR), START + 4 * HOUR)
    assert isinstance(made, Publication)
    assert made.move is not None
    assert [(each.outcome, each.due_at, each.through) for each in made.move.records] == [
        (RunOutcome.SKIPPED, START + HOUR, START + 3 * HOUR),
        (RunOutcome.FIRED, START + 4 * HOUR, None),
    ]
    late = scheduling.due_run(skip := schedule(missed="skip"), turn(skip, START + HOUR + DAY // 48), START + DAY)
    assert isinstance(late, Move)
    assert [(each.outcome, each.due_at, each.through) for each in late.records] == [
        (RunOutcome.SKIPPED, START + HOUR, None)
    ]


@pytest.mark.parametrize(
    ("recipients", "users", "left"),
    [
        (["ada", "grace", "ada"], ["ada", "grace"], ["grace"]),
        (["grace"], ["grace"], ["grace"]),
        (["ada"], ["ada"], None),
        ({"topic": "ada"}, [], {"topic": "ada"}),
        ({"broadcast": True}, [], {"broadcast": True}),
        ([{"email": "ada@example.com"}], [], [{"email": "ada@example.com"}]),
        (["ada", {"email": "ada@example.com"}], ["ada"], [{"email": "ada@example.com"}]),
    ],
)
def test_taking_a_user_out(recipients: object, users: list[str], left: object) -> None:
    stored = msgspec.json.encode(msgspec.convert({"recipients": recipients, "title": "t"}, wire.PublishIn))
    assert scheduling.named_users(stored) == users
    without = scheduling.without_user(stored, "ada")
    remaining = None if without is None else msgspec.json.decode(without)["recipients"]
    if isinstance(remaining, list):
        for each in remaining:
            if isinstance(each, dict):
                each.pop("phone")
    assert remaining == left
