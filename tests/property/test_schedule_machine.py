"""Random histories of schedules: each due time is dealt with once, as chosen, whatever clocks and workers do.

Two workers with clocks of their own, which jump forward and back, over DST in Berlin. Schedules are made, patched,
paused, resumed, run by hand, deleted; a worker decides on runs and makes them much later, or never (it was killed).
Beside it a plain model: for each schedule the list of its due times, and how far it has got.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from hub.core import scheduling, wire
from hub.core.errors import InvalidRequest, NotFound, RunTaken
from hub.core.model import Move, Publication
from hub.core.schedule import CATCH_UP, LATE, turn
from hub.core.views import rfc3339
from hub.store.inbox import SqlInboxStore
from hub.store.schedules import SqlScheduleStore
from hub.store.tables import notifications
from tests.support.cron import walked
from tests.support.machines import hub_over, open_emptied, play

TENANT = "default"
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
BEGIN = 1_806_148_800_000
"""2027-03-27T08:00:00Z: clocks in Berlin are set forward on the next day."""
HORIZON = BEGIN + 90 * HOUR

TIMINGS: list[dict[str, Any]] = [
    {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
    {"cron": "*/20 1-4 * * *", "timezone": "Europe/Berlin"},
    {"cron": "0 */6 * * *"},
    {"every": "25m"},
    {"every": 40},
    {"every": "7h"},
    {"in": 3 * HOUR},
    {"in": 30 * SECOND},
]


class JumpingClock:
    """A clock that is set as people set clocks."""

    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> int:
        return self.at


@dataclass
class Model:
    """One schedule as it should be."""

    id: UUID
    category: str
    missed: str
    times: list[int]
    dealt_with: int
    next: int | None
    paused: bool = False
    published: int = 0
    revision: int = 0

    def after(self, moment: int) -> int | None:
        place = bisect_right(self.times, moment)
        return self.times[place] if place < len(self.times) else None

    def fire(self, now: int) -> None:
        """Do what a worker does that looks now."""
        if self.paused or self.next is None or self.next > now:
            return
        due = [at for at in self.times if self.next <= at <= now]
        made = {
            "all": due[-CATCH_UP:][:1],
            "once": due[-1:],
            "skip": [at for at in due[-1:] if now - at <= LATE],
        }[self.missed]
        self.published += len(made)
        self.dealt_with = made[0] if made else due[-1]
        self.next = self.after(self.dealt_with)
        self.revision += 1


class Decided(NamedTuple):
    """Runs that a worker has worked out and not made yet."""

    worker: int
    at: int
    runs: list[Publication | Move]
    revisions: dict[UUID, int]


@cache
def matches(expression: str, zone: str) -> list[int]:
    return list(walked(expression, zone, BEGIN - HOUR, HORIZON + 48 * HOUR))


def times_of(timing: dict[str, Any], now: int) -> list[int]:
    """List all due times of a timing that is asked for now."""
    if "in" in timing:
        return [now + timing["in"]]
    if "cron" in timing:
        return matches(timing["cron"], timing.get("timezone", "UTC"))
    interval = {"25m": 25 * MINUTE, "7h": 7 * HOUR, 40: 40 * SECOND}[timing["every"]]
    return list(range(now, HORIZON + 48 * HOUR, interval))


def asked(timing: dict[str, Any], now: int) -> dict[str, Any]:
    return {"at": rfc3339(now + timing["in"])} if "in" in timing else timing


class ScheduleMachine(RuleBasedStateMachine):
    url: ClassVar[str]
    schedules: Bundle[Model] = Bundle("schedules")
    decided: Bundle[Decided] = Bundle("decided")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.models: dict[UUID, Model] = {}
        self.gone: Counter[str] = Counter()
        self.fired: set[tuple[UUID, int]] = set()
        self.run(self.open())

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    async def open(self) -> None:
        self.database = await open_emptied(self.url)
        self.store = SqlScheduleStore(self.database)
        self.clocks = [JumpingClock(), JumpingClock()]
        self.inboxes = [SqlInboxStore(self.database) for _ in self.clocks]
        self.hubs = [
            hub_over(self.database, clock, inbox=inbox, schedules=self.store)
            for inbox, clock in zip(self.inboxes, self.clocks, strict=True)
        ]

    workers = st.integers(0, 1)

    @rule(
        target=schedules,
        worker=workers,
        timing=st.sampled_from(TIMINGS),
        missed=st.sampled_from(["skip", "once", "all"]),
    )
    def create(self, worker: int, timing: dict[str, Any], missed: str) -> Model:
        now = self.clocks[worker].at
        category = f"schedule-{len(self.models) + len(self.gone)}"
        request = msgspec.convert(
            {
                "notification": {"recipients": ["ada"], "title": "t", "category": category},
                "missed": missed,
                **asked(timing, now),
            },
            wire.ScheduleIn,
        )
        made = msgspec.json.decode(self.run(self.hubs[worker].schedules.create(TENANT, request)).body)
        model = Model(UUID(made["id"]), category, missed, times_of(timing, now), now, None)
        model.next = model.after(now)
        self.models[model.id] = model
        return model

    @rule(
        worker=workers,
        by=st.sampled_from(
            [SECOND, 40 * SECOND, 5 * MINUTE, HOUR, 6 * HOUR, 30 * HOUR, -SECOND, -10 * MINUTE, -5 * HOUR]
        ),
    )
    def jump(self, worker: int, by: int) -> None:
        clock = self.clocks[worker]
        clock.at = min(max(clock.at + by, BEGIN), HORIZON)

    @rule(worker=workers)
    def look(self, worker: int) -> None:
        """Fire what is due."""
        now = self.clocks[worker].at
        fired = self.run(self.hubs[worker].schedules.fire_due(100))
        assert fired.passed_over == []
        due = [each for each in self.models.values() if not each.paused and each.next is not None and each.next <= now]
        assert fired.done == len(due)
        for model in due:
            model.fire(now)

    @rule(target=decided, worker=workers)
    def decide(self, worker: int) -> Decided | Any:
        """Work out runs, and get no further for a while."""
        now = self.clocks[worker].at
        due = self.run(self.store.due(now, 100))
        if not due:
            return multiple()
        runs = [scheduling.due_run(each, turn(each, now), now) for each in due]
        return Decided(worker, now, runs, {each.id: self.models[each.id].revision for each in due})

    @rule(decided=consumes(decided))
    def go_on(self, decided: Decided) -> None:
        """Make runs that were worked out before, whatever has happened since; some are others' by now."""
        publications = [each for each in decided.runs if isinstance(each, Publication)]
        moves = [each for each in decided.runs if isinstance(each, Move)]
        made: dict[UUID, bool] = {}
        outcomes = self.run(self.inboxes[decided.worker].publish_all(publications, decided.at))
        for publication, outcome in zip(publications, outcomes, strict=True):
            assert publication.move is not None
            assert not isinstance(outcome, Exception) or isinstance(outcome, RunTaken)
            made[publication.move.schedule] = not isinstance(outcome, Exception)
        made |= zip((move.schedule for move in moves), self.run(self.store.move(moves)), strict=True)
        for schedule, was_made in made.items():
            model = self.models.get(schedule)
            assert was_made == (model is not None and model.revision == decided.revisions[schedule])
            if was_made and model is not None:
                model.fire(decided.at)

    @rule(worker=workers, model=schedules)
    def pause(self, worker: int, model: Model) -> None:
        if model.id not in self.models:
            return
        self.run(self.hubs[worker].schedules.pause(TENANT, model.id))
        if not model.paused and model.next is not None:
            model.paused = True
            model.revision += 1

    @rule(worker=workers, model=schedules)
    def resume(self, worker: int, model: Model) -> None:
        if model.id not in self.models:
            return
        now = self.clocks[worker].at
        was_due = model.paused and model.next is not None and model.next <= now
        try:
            self.run(self.hubs[worker].schedules.resume(TENANT, model.id))
        except InvalidRequest:
            assert was_due
            assert model.after(now) is None
            return
        if model.paused:
            model.paused = False
            model.revision += 1
        if was_due:
            model.next = model.after(now)
            model.dealt_with = max(now, model.dealt_with)

    @rule(worker=workers, model=schedules, timing=st.sampled_from(TIMINGS))
    def patch(self, worker: int, model: Model, timing: dict[str, Any]) -> None:
        if model.id not in self.models:
            return
        now = self.clocks[worker].at
        changed = replace(model, times=times_of(timing, now))
        first = changed.after(max(now, model.dealt_with))
        request = msgspec.convert(asked(timing, now), wire.SchedulePatchIn)
        try:
            self.run(self.hubs[worker].schedules.patch(TENANT, model.id, request))
        except InvalidRequest:
            assert first is None
            return
        assert first is not None
        model.times, model.next = changed.times, first
        model.revision += 1

    @rule(worker=workers, model=schedules)
    def rename(self, worker: int, model: Model) -> None:
        if model.id in self.models:
            self.run(self.hubs[worker].schedules.patch(TENANT, model.id, wire.SchedulePatchIn(name="x")))
            model.revision += 1

    @rule(worker=workers, model=schedules)
    def run_by_hand(self, worker: int, model: Model) -> None:
        if model.id in self.models:
            self.run(self.hubs[worker].schedules.run(TENANT, model.id))
            model.published += 1

    @rule(worker=workers, model=schedules)
    def delete(self, worker: int, model: Model) -> None:
        try:
            self.run(self.hubs[worker].schedules.remove(TENANT, model.id))
        except NotFound:
            assert model.id not in self.models
        else:
            self.gone[model.category] = self.models.pop(model.id).published

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        stored, published, logs = self.run(self.read())
        assert {each.id: (each.next_at, each.paused_at is not None, each.dealt_with) for each in stored} == {
            model.id: (model.next, model.paused, model.dealt_with) for model in self.models.values()
        }
        expected = Counter({model.category: model.published for model in self.models.values()}) + self.gone
        assert published == +expected
        for schedule, log in logs.items():
            due = [entry.due_at for entry in log if entry.notification is not None and not entry.by_hand]
            assert len(due) == len(set(due)), "a due time was published twice"
            assert due == sorted(due, reverse=True), "out of order"
            assert all(schedule in self.models for _ in log)

    async def read(self) -> tuple[Any, Counter[str], dict[UUID, Any]]:
        stored = await self.store.page(TENANT, None, 1_000)
        logs = {each.id: await self.store.log(TENANT, each.id) for each in stored}
        async with self.database.reader() as connection:
            rows = await connection.execute(sa.select(notifications.c.category, sa.func.count()).group_by("category"))
            return stored, Counter({row[0]: row[1] for row in rows}), logs

    def teardown(self) -> None:
        self.run(self.database.close())
        self.runner.close()


def test_schedules_keep_their_promises_on_sqlite(sqlite_url: str) -> None:
    play(ScheduleMachine, 25, url=sqlite_url)


def test_schedules_keep_their_promises_on_postgresql(postgres_url: str) -> None:
    play(ScheduleMachine, 15, url=postgres_url)
