"""Schedules: making and changing them, and making their runs when they are due."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec
import structlog

from hub.core import publication, scheduling, wire
from hub.core.errors import BellwireError, InvalidRequest, NotFound, RunTaken, StoreUnavailable, Unavailable
from hub.core.model import IdempotencyRecord, Move, Publication, RunOutcome, Schedule
from hub.core.schedule import Turn, turn, upcoming
from hub.core.schedule_views import run_times_view, schedule_detail_view, schedule_view
from hub.core.scheduling import Changed
from hub.ports import Bus, Clock, NewSchedule, ScheduleStore
from hub.service.notifications import Notifications, PublishOutcome

MAX_SCHEDULES = 10_000
"""Schedules of a tenant, unless the settings say otherwise."""

KEPT_AFTER_END = 7 * 24 * 3_600_000
"""Milliseconds for which a schedule that has ended can still be looked up."""

_CREATE, _RUN = "schedule", "schedule run"
"""Operations that idempotency keys belong to."""

_FORGOTTEN_AT_ONCE = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fired:
    """What a look at the schedules that were due came to."""

    done: int
    """How many were moved on."""
    passed_over: Sequence[UUID]
    """Those that another process holds or has moved on, or that were changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Created:
    """A schedule that was stored, as JSON of a `wire.ScheduleOut`; `replayed` when an earlier call stored it."""

    body: bytes
    replayed: bool


class Schedules:
    """Each due time of a schedule is dealt with exactly once, whoever looks at it, and however often."""

    def __init__(
        self, store: ScheduleStore, notifications: Notifications, bus: Bus, clock: Clock, *, limit: int
    ) -> None:
        """`limit`: schedules that a tenant may have, those that have ended aside."""
        self._store = store
        self._notifications = notifications
        self._bus = bus
        self._clock = clock
        self._limit = limit

    async def create(self, tenant: str, request: wire.ScheduleIn, idempotency_key: str | None = None) -> Created:
        """Store a schedule, or find what an earlier call under the same key stored.

        Raises:
            InvalidRequest, NotBuilt, IdempotencyConflict: nothing is stored.
            StoreUnavailable: the caller should retry, with the same idempotency key.

        """
        key = publication.idempotency_key(idempotency_key, "Idempotency-Key")
        record = key and IdempotencyRecord(_CREATE, key.key, _hash(request), b"")
        try:
            schedule = scheduling.prepare(request, tenant=tenant, now=self._clock.now())
        except InvalidRequest:
            # What was good the first time need not be now, as `at` passes.
            answer = record and await self._store.answered(tenant, record)
            if not answer:
                raise
            return Created(answer, replayed=True)
        response = msgspec.json.encode(schedule_view(schedule))
        record = record and replace(record, response=response)
        earlier = await self._store.add(NewSchedule(schedule, response, record), self._limit)
        if earlier is not None:
            return Created(earlier, replayed=True)
        await self._announce(schedule)
        return Created(response, replayed=False)

    async def show(self, tenant: str, schedule: UUID) -> wire.ScheduleDetailOut:
        """Tell all about a schedule.

        Raises:
            NotFound: not in this tenant; so do all that name one.

        """
        found = await self._find(tenant, schedule)
        return schedule_detail_view(found, await self._store.log(tenant, schedule))

    async def page(self, tenant: str, after: str | None, limit: int) -> wire.SchedulesOut:
        """List schedules, the oldest first.

        Raises:
            InvalidRequest: `after` is not the `next` of another page.

        """
        try:
            last = None if after is None else UUID(after)
        except ValueError:
            raise InvalidRequest("is not a `next` that this server gave out", pointer="after") from None
        found = await self._store.page(tenant, last, limit + 1)
        page, has_more = [schedule_view(each) for each in found[:limit]], len(found) > limit
        return wire.SchedulesOut(data=page, has_more=has_more, next=page[-1].id if has_more else None)

    async def patch(self, tenant: str, schedule: UUID, request: wire.SchedulePatchIn) -> wire.ScheduleOut:
        """Change a schedule. Raises as `create` does."""
        now = self._clock.now()
        return await self._change(tenant, schedule, lambda found: scheduling.patch(found, request, now))

    async def pause(self, tenant: str, schedule: UUID) -> wire.ScheduleOut:
        """Let nothing fire once this has returned."""
        now = self._clock.now()
        return await self._change(tenant, schedule, lambda found: scheduling.pause(found, now))

    async def resume(self, tenant: str, schedule: UUID) -> wire.ScheduleOut:
        """Go on with what is due from now on.

        Raises:
            InvalidRequest: nothing is left that could fire.

        """
        now = self._clock.now()
        return await self._change(tenant, schedule, lambda found: scheduling.resume(found, now))

    async def remove(self, tenant: str, schedule: UUID) -> None:
        """Delete a schedule; once this has returned, it never fires again."""
        if not await self._store.remove(tenant, schedule):
            raise _unknown()

    async def run(self, tenant: str, schedule: UUID, idempotency_key: str | None = None) -> PublishOutcome:
        """Publish now what a schedule publishes, whatever its state; when it is due stays as it is.

        Raises:
            InvalidRequest: what it publishes would be refused now.
            Unavailable: it is being run at this very moment.

        """
        key = publication.idempotency_key(idempotency_key, "Idempotency-Key")
        found, now = await self._find(tenant, schedule), self._clock.now()
        prepared = scheduling.run_by_hand(found, now)
        if key is not None:
            record = IdempotencyRecord(_RUN, key.key, hashlib.sha256(schedule.bytes).digest(), prepared.response)
            prepared = replace(prepared, idempotency=(record,))
        [outcome] = await self._notifications.publish_prepared([prepared], now)
        if isinstance(outcome, RunTaken):
            raise Unavailable("it is being run or changed at this very moment: try again", retry_after=1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def next_runs(self, tenant: str, schedule: UUID, count: int) -> wire.RunTimesOut:
        """Tell when a schedule is due next; nothing while it is paused."""
        found = await self._find(tenant, schedule)
        if found.next_at is None or found.paused_at is not None:
            return run_times_view(found.timing, ())
        return run_times_view(found.timing, [found.next_at, *upcoming(found.timing, found.next_at, count - 1)])

    def preview(self, request: wire.TimingIn, count: int) -> wire.RunTimesOut:
        """Tell when a schedule would be due that was made now.

        Raises:
            InvalidRequest: it could not be made.

        """
        timing, first = scheduling.read_timing(request, self._clock.now())
        return run_times_view(timing, upcoming(timing, first - 1, count))

    async def fire_due(self, limit: int, but: Collection[UUID] = ()) -> Fired:
        """Make the next run of up to `limit` schedules that are due, except for some; the earliest first.

        What cannot be published is a failed run, and the schedule goes on.

        Raises:
            StoreUnavailable: those that are not moved on are still due.

        """
        now = self._clock.now()
        found = [each for each in await self._store.due(now, limit + len(but)) if each.id not in but][:limit]
        decided = {each.id: (each, turn(each, now)) for each in found}
        wanted = [scheduling.due_run(each, its_turn, now) for each, its_turn in decided.values()]
        runs = [each for each in wanted if isinstance(each, Publication)]
        moves = [each for each in wanted if isinstance(each, Move)]
        passed_over: list[UUID] = []
        for run, outcome in zip(runs, await self._notifications.publish_prepared(runs, now), strict=True):
            assert run.move is not None  # noqa: S101 - runs have one
            if isinstance(outcome, StoreUnavailable):
                raise outcome
            if isinstance(outcome, RunTaken):
                passed_over.append(run.move.schedule)
            elif isinstance(outcome, Exception):
                moves.append(_failed(*decided[run.move.schedule], now, outcome))
        if moves:
            taken = await self._store.move(moves)
            passed_over += [move.schedule for move, done in zip(moves, taken, strict=True) if not done]
            _log_failures(move for move, done in zip(moves, taken, strict=True) if done)
        return Fired(len(found) - len(passed_over), passed_over)

    async def next_due(self) -> int | None:
        """Tell when the next schedule is due."""
        return await self._store.next_due()

    async def forget_ended(self) -> int:
        """Delete schedules that ended a week ago; returns how many, in one bounded transaction."""
        return await self._store.forget_ended(self._clock.now() - KEPT_AFTER_END, _FORGOTTEN_AT_ONCE)

    async def _find(self, tenant: str, schedule: UUID) -> Schedule:
        found = await self._store.get(tenant, schedule)
        if found is None:
            raise _unknown()
        return found

    async def _change(self, tenant: str, schedule: UUID, change: Callable[[Schedule], Changed]) -> wire.ScheduleOut:
        changed = await self._store.change(tenant, schedule, change)
        if changed is None:
            raise _unknown()
        await self._announce(changed)
        return schedule_view(changed)

    async def _announce(self, schedule: Schedule) -> None:
        if schedule.next_at is not None and schedule.paused_at is None:
            await self._bus.announce_due(schedule.next_at)


def _failed(schedule: Schedule, decided: Turn, now: int, error: Exception) -> Move:
    """Work out what is stored where a notification was refused: trying it again and again would help nobody."""
    if isinstance(error, BellwireError):
        return scheduling.failed_run(schedule, decided, now, str(error))
    log.error("schedule_run_failed", schedule=str(schedule.id), error=type(error).__name__)
    return scheduling.failed_run(schedule, decided, now, f"Something went wrong on our side ({type(error).__name__}).")


def _log_failures(moves: Iterable[Move]) -> None:
    for move in moves:
        for record in move.records:
            if record.outcome is RunOutcome.FAILED:
                # Not the reason: it may quote what is published.
                log.warning("schedule_run_refused", tenant=move.tenant, schedule=str(move.schedule))


def _unknown() -> NotFound:
    return NotFound("there is no such schedule")


def _hash(request: wire.ScheduleIn) -> bytes:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()
