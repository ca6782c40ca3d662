"""From what a publisher asks for to a schedule, and to what one of its runs stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from hub.core import publication, wire
from hub.core.cron import check_expression, check_timezone
from hub.core.errors import InvalidRequest, RequestError
from hub.core.ids import uuid7
from hub.core.model import Cron, Every, Missed, Move, Once, Publication, RunOutcome, RunRecord, Schedule, Timing
from hub.core.schedule import Skipped, Turn, next_after
from hub.core.text import MAX_ID, check_text
from hub.core.views import parse_rfc3339, rfc3339, rfc3339_or_none

MAX_AHEAD = 10 * 366 * 24 * 3600 * 1000
"""Milliseconds that `at`, `start` and `end` may lie ahead."""
MIN_EVERY = 1_000
MAX_EVERY = 366 * 24 * 3600 * 1000
"""Milliseconds."""

NOT_CAUGHT_UP = "It was missed while no worker ran, and is not caught up with."
WHILE_PAUSED = "It was due while the schedule was paused."
BEFORE_CHANGED = "It was due before the schedule was changed, and had not been made."

_TEMPLATE = msgspec.json.Decoder(wire.PublishIn)


class Changed(NamedTuple):
    """A schedule as it is to be, and what that adds to its log."""

    schedule: Schedule
    records: tuple[RunRecord, ...] = ()


def prepare(request: wire.ScheduleIn, *, tenant: str, now: int) -> Schedule:
    """Check a request and work out the schedule that it asks for.

    Raises:
        InvalidRequest: a value is out of its bounds, it would never fire, or what it publishes would be refused.
        NotBuilt: see `publication.prepare`; also for what follows.

    """
    timing, first = read_timing(request, now)
    return Schedule(
        tenant=tenant,
        id=uuid7(now),
        name=_name(request.name),
        timing=timing,
        missed=Missed(request.missed),
        notification=_template(request.notification, tenant, timing, first),
        next_at=first,
        dealt_with=now,
        created_at=now,
        updated_at=now,
    )


def read_timing(request: wire.TimingIn, now: int, after: int | None = None) -> tuple[Timing, int]:
    """Check when a schedule is to fire; returns that, and the first due time after `after` (by default: now).

    Raises:
        InvalidRequest: as above.

    """
    if sum(given is not None for given in (request.at, request.every, request.cron)) != 1:
        raise InvalidRequest("give exactly one of `at`, `every` and `cron`", pointer="$")
    after = now if after is None else after
    if request.at is not None:
        return _once(request, request.at, now, after)
    start, end = _time(request.start, "$.start", now), _time(request.end, "$.end", now)
    if end is not None and end <= (now if start is None else max(now, start)):
        raise InvalidRequest(f"must come after `start`, and after now (it is {rfc3339(now)})", pointer="$.end")
    timing: Every | Cron
    if request.cron is not None:
        timezone = check_timezone(request.timezone or "UTC", "$.timezone")
        timing = Cron(check_expression(request.cron, "$.cron"), timezone, start)
    else:
        _refuse(request.timezone, "$.timezone", "belongs to `cron`: leave it out")
        timing = Every(_interval(request.every or 0), now if start is None else start)
    first = next_after(timing, after)
    if first is None:
        raise InvalidRequest("matches no time in the next 50 years", pointer="$.cron")
    if end is not None and first > end:
        raise InvalidRequest(f"comes before the first run, which is due {rfc3339(first)}", pointer="$.end")
    return replace(timing, end=end), first


def patch(schedule: Schedule, request: wire.SchedulePatchIn, now: int) -> Changed:
    """Change a schedule. What was due before stays dealt with, so that no time fires twice. Raises as `prepare`.

    A run that is due and not made yet stands where only `start`, `end` or what is published changes; where the timing
    does, it is dropped: it was due by the old one.
    """
    changed = replace(schedule, updated_at=now, revision=schedule.revision + 1)
    if request.name is not UNSET:
        changed = replace(changed, name=_name(request.name))
    if request.missed is not UNSET:
        changed = replace(changed, missed=Missed(request.missed))
    timing, dropped = _patched_timing(schedule.timing, request), None
    if timing is not None:
        due = schedule.next_at if schedule.next_at is not None and schedule.next_at <= now else None
        stands = due is not None and request.at is request.every is request.cron is request.timezone is UNSET
        after = due - 1 if due is not None and stands else max(now, schedule.dealt_with)
        made, first = read_timing(timing, now, after)
        changed = replace(changed, timing=made, next_at=first, ended_at=None)
        dropped = due if due is not None and first > due else None
    if request.notification is not UNSET or timing is not None:
        template = template_of(schedule) if request.notification is UNSET else request.notification
        first = max(changed.next_at or now, now)
        changed = replace(changed, notification=_template(template, schedule.tenant, changed.timing, first))
    return Changed(changed, () if dropped is None else (_dropped(dropped, now, BEFORE_CHANGED),))


def pause(schedule: Schedule, now: int) -> Changed:
    """Let nothing fire from now on. A paused or ended schedule stays as it is."""
    if schedule.paused_at is not None or schedule.next_at is None:
        return Changed(schedule)
    return Changed(replace(schedule, paused_at=now, updated_at=now, revision=schedule.revision + 1))


def resume(schedule: Schedule, now: int) -> Changed:
    """Go on with what is due from now on; what was due meanwhile is dropped.

    Raises:
        InvalidRequest: nothing is left that could fire.

    """
    if schedule.paused_at is None:
        return Changed(schedule)
    resumed = replace(schedule, paused_at=None, updated_at=now, revision=schedule.revision + 1)
    if schedule.next_at is None or schedule.next_at > now:
        return Changed(resumed)
    next_at = next_after(schedule.timing, now)
    if next_at is None:
        raise InvalidRequest(
            "its last run was due while it was paused: run it by hand, or change when it is due", pointer="id"
        )
    resumed = replace(resumed, next_at=next_at, dealt_with=max(now, schedule.dealt_with))
    return Changed(resumed, (_dropped(schedule.next_at, now, WHILE_PAUSED),))


def due_run(schedule: Schedule, decided: Turn, now: int) -> Publication | Move:
    """Work out what a schedule that is due stores: a notification with its move, or the move alone.

    A notification that is refused now (its `expires_at` has passed, say) is a failed run, and no reason to try again.
    """
    records = _skipped(decided.skipped, now)
    if decided.due_at is None:
        return _move(schedule, decided, records)
    try:
        made = by_request(schedule, now)
    except (RequestError, msgspec.DecodeError) as error:
        reason = f"{_where(error)}{error}"
        return failed_run(schedule, decided, now, reason)
    record = RunRecord(decided.due_at, RunOutcome.FIRED, now, notification=made.content.id)
    return replace(made, move=_move(schedule, decided, (*records, record)))


def failed_run(schedule: Schedule, decided: Turn, now: int, reason: str) -> Move:
    """Work out what is stored instead of a notification that cannot be."""
    assert decided.due_at is not None  # noqa: S101 - nothing fails where nothing is tried
    failed = RunRecord(decided.due_at, RunOutcome.FAILED, now, reason=reason[:500])
    return _move(schedule, decided, (*_skipped(decided.skipped, now), failed))


def run_by_hand(schedule: Schedule, now: int) -> Publication:
    """Work out what a run beside the schedule's own stores; raises as `publication.prepare`."""
    with _inside_notification():
        made = by_request(schedule, now)
    record = RunRecord(now, RunOutcome.FIRED, now, by_hand=True, notification=made.content.id)
    return replace(made, move=Move(schedule.tenant, schedule.id, None, (record,)))


def by_request(schedule: Schedule, now: int) -> Publication:
    """Prepare what a schedule publishes, as if it were asked for now."""
    return publication.prepare(template_of(schedule), tenant=schedule.tenant, now=now)


def template_of(schedule: Schedule) -> wire.PublishIn:
    """Read what a schedule publishes."""
    return _TEMPLATE.decode(schedule.notification)


def named_users(template: bytes) -> list[str]:
    """List the users among the recipients of what a schedule publishes."""
    recipients = _TEMPLATE.decode(template).recipients
    if isinstance(recipients, wire.AudienceIn):
        return []
    return list(dict.fromkeys(each for each in recipients if isinstance(each, str)))


def without_user(template: bytes, user: str) -> bytes | None:
    """Take a user out of the recipients of what a schedule publishes; None if nobody is left."""
    request = _TEMPLATE.decode(template)
    if isinstance(request.recipients, wire.AudienceIn):
        return template
    left = [each for each in request.recipients if each != user]
    return msgspec.json.encode(msgspec.structs.replace(request, recipients=left)) if left else None


def _once(request: wire.TimingIn, at: str, now: int, after: int) -> tuple[Timing, int]:
    for value, name in ((request.timezone, "timezone"), (request.start, "start"), (request.end, "end")):
        _refuse(value, f"$.{name}", "belongs to what repeats: `at` says it all")
    moment = _time(at, "$.at", now)
    assert moment is not None  # noqa: S101 - there is a text
    if moment <= after:
        raise InvalidRequest(f"has passed (it is {rfc3339(now)}); publish it at once, or later", pointer="$.at")
    return Once(moment), moment


def _patched_timing(timing: Timing, request: wire.SchedulePatchIn) -> wire.TimingIn | None:
    """Return when a patched schedule is to fire, if that is patched.

    With `at`, `every` or `cron` it is said anew as a whole; otherwise `timezone`, `start` and `end` are changed alone.
    """
    said = {name: value for name in wire.TimingIn.__struct_fields__ if (value := getattr(request, name)) is not UNSET}
    if not said:
        return None
    if not said.keys() & {"at", "every", "cron"}:
        said = timing_fields(timing) | said
    return wire.TimingIn(**said)


def timing_fields(timing: Timing) -> dict[str, str | int | float | None]:
    """Write a timing as it is asked for."""
    match timing:
        case Once(at=at):
            return {"at": rfc3339(at)}
        case Every(interval=interval, start=start, end=end):
            return {"every": seconds_of(interval), "start": rfc3339(start), "end": rfc3339_or_none(end)}
        case Cron(expression=expression, timezone=timezone, start=since, end=end):
            return {
                "cron": expression,
                "timezone": timezone,
                "start": rfc3339_or_none(since),
                "end": rfc3339_or_none(end),
            }


def seconds_of(milliseconds: int) -> int | float:
    """Write milliseconds as seconds, whole ones where they are."""
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def _template(request: wire.PublishIn, tenant: str, timing: Timing, first: int) -> bytes:
    """Check what is to be published as if it were the time of the first run."""
    _refuse(
        request.deliver_at, "$.notification.deliver_at", "leave it out: the schedule says when the notification appears"
    )
    if not isinstance(timing, Once):
        _refuse(
            request.expires_at,
            "$.notification.expires_at",
            "leave it out: it is one moment, and the schedule has many runs",
        )
    with _inside_notification():
        publication.prepare(request, tenant=tenant, now=first)
    return msgspec.json.encode(request)


@contextmanager
def _inside_notification() -> Iterator[None]:
    """Let errors of a notification point to where it stands."""
    try:
        yield
    except RequestError as error:
        error.pointer = "$.notification" + (error.pointer or "$").removeprefix("$")
        raise


def _name(name: str | None) -> str | None:
    return None if name is None else check_text(name, "$.name", MAX_ID)


def _interval(every: float | str) -> int:
    interval = publication.duration(every, "$.every", at_most=MAX_EVERY)
    if interval < MIN_EVERY:
        raise InvalidRequest("must be at least 1 s", pointer="$.every")
    return interval


def _time(text: str | None, pointer: str, now: int) -> int | None:
    if text is None:
        return None
    at = parse_rfc3339(text, pointer)
    if at > now + MAX_AHEAD:
        raise InvalidRequest(f"lies more than ten years ahead (it is {rfc3339(now)})", pointer=pointer)
    return at


def _refuse(value: object, pointer: str, why: str) -> None:
    if value is not None:
        raise InvalidRequest(why, pointer=pointer)


def _skipped(skipped: Skipped | None, now: int) -> tuple[RunRecord, ...]:
    if skipped is None:
        return ()
    through = skipped.last if skipped.last > skipped.first else None
    return (RunRecord(skipped.first, RunOutcome.SKIPPED, now, through=through, reason=NOT_CAUGHT_UP),)


def _dropped(due_at: int, now: int, reason: str) -> RunRecord:
    return RunRecord(due_at, RunOutcome.SKIPPED, now, through=now if now > due_at else None, reason=reason)


def _move(schedule: Schedule, decided: Turn, records: tuple[RunRecord, ...]) -> Move:
    return Move(schedule.tenant, schedule.id, schedule.revision, records, decided.dealt_with, decided.next_at)


def _where(error: Exception) -> str:
    pointer = error.pointer if isinstance(error, RequestError) else None
    return "" if pointer is None else f"{pointer} "
