"""The part of the reference that is about schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.api.operations import Access, Answer, Operation, Parameter
from hub.core import wire
from hub.core.cron import MAX_EXPRESSION
from hub.core.errors import IdempotencyConflict, InvalidRequest, NotBuilt, NotFound
from hub.core.schedule import CATCH_UP
from hub.core.text import MAX_ID

SCHEDULES = "Schedules"

_ID = "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a90"
_SCHEDULE = Parameter("id", "path", "The schedule's id.", {"type": "string", "format": "uuid"}, _ID)
_KEY = {"type": "string", "pattern": "^[!-~]{1,255}$"}
_CREATE_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Any text of your own that names this schedule. Repeating the call with the same key and body gives the first "
    "answer again, with `Idempotent-Replayed: true`, and makes no second schedule. Kept for 7 days.",
    _KEY,
    "weekly-digest",
)
_RUN_KEY = Parameter(
    "Idempotency-Key", "header", "Names this run: repeated, it publishes nothing more.", _KEY, "retry-1"
)
_COUNT = Parameter("count", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 10})
_PAGE = (
    Parameter("after", "query", "The `next` of the page before."),
    Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}),
)
_TIMING: Final[Mapping[str, object]] = {"cron": "0 9 * * MON-FRI", "timezone": "Europe/Berlin"}
_NOTIFICATION: Final[Mapping[str, object]] = {
    "recipients": {"topic": "team"},
    "category": "standup",
    "title": "Stand-up in ten minutes",
}

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/schedules",
        "create_schedule",
        SCHEDULES,
        "Make a schedule",
        Access.PUBLISHER,
        {201: Answer("It is stored. `Location` tells where.", wire.ScheduleOut)},
        "`notification` is the body of a publish, and is checked as one. It is published once (`at`), every so often "
        "(`every`, counted from `start`), or by a cron expression in a time zone. Each due time is published exactly "
        "once, however many workers run, and whatever crashes.",
        (_CREATE_KEY,),
        wire.ScheduleIn,
        {**_TIMING, "name": "Stand-up", "notification": _NOTIFICATION},
        (IdempotencyConflict, NotBuilt),
    ),
    Operation(
        "GET",
        "/v1/schedules",
        "list_schedules",
        SCHEDULES,
        "List schedules",
        Access.PUBLISHER,
        {200: Answer("A page, the oldest first, without what they publish.", wire.SchedulesOut)},
        "Those that have ended are listed for 7 days.",
        _PAGE,
        refusals=(InvalidRequest,),
    ),
    Operation(
        "POST",
        "/v1/schedules/preview",
        "preview_schedule",
        SCHEDULES,
        "See when a schedule would be due",
        Access.PUBLISHER,
        {200: Answer("The next times. Nothing is stored.", wire.RunTimesOut)},
        parameters=(_COUNT,),
        body=wire.TimingIn,
        example=_TIMING,
    ),
    Operation(
        "GET",
        "/v1/schedules/{id}",
        "show_schedule",
        SCHEDULES,
        "Show a schedule and its last runs",
        Access.PUBLISHER,
        {200: Answer("With what it publishes, and the last 20 entries of its log.", wire.ScheduleDetailOut)},
        parameters=(_SCHEDULE,),
        refusals=(NotFound,),
    ),
    Operation(
        "PATCH",
        "/v1/schedules/{id}",
        "patch_schedule",
        SCHEDULES,
        "Change a schedule",
        Access.PUBLISHER,
        {200: Answer("As it is now.", wire.ScheduleOut)},
        "Fields that are left out stay; `name`, `timezone`, `start` and `end` are taken away by null. `at`, `every` or "
        "`cron` says the timing anew as a whole. What was due by the old timing and is not published yet is dropped "
        "then; no time is ever published twice.",
        (_SCHEDULE,),
        wire.SchedulePatchIn,
        {"cron": "30 9 * * MON-FRI", "timezone": "Europe/Berlin"},
        (NotFound, NotBuilt),
    ),
    Operation(
        "DELETE",
        "/v1/schedules/{id}",
        "delete_schedule",
        SCHEDULES,
        "Delete a schedule",
        Access.PUBLISHER,
        {204: Answer("It is gone with its log, and publishes nothing more.")},
        "What it has published stays.",
        (_SCHEDULE,),
        refusals=(NotFound,),
    ),
    Operation(
        "GET",
        "/v1/schedules/{id}/next",
        "list_next_runs",
        SCHEDULES,
        "See when a schedule is due next",
        Access.PUBLISHER,
        {200: Answer("The next times; none while it is paused, and once it has ended.", wire.RunTimesOut)},
        parameters=(_SCHEDULE, _COUNT),
        refusals=(NotFound, InvalidRequest),
    ),
    Operation(
        "PUT",
        "/v1/schedules/{id}/pause",
        "pause_schedule",
        SCHEDULES,
        "Pause a schedule",
        Access.PUBLISHER,
        {200: Answer("As it is now; repeating the call changes nothing.", wire.ScheduleOut)},
        "Once this has answered, it publishes nothing. What falls due meanwhile is not made up for.",
        (_SCHEDULE,),
        refusals=(NotFound,),
    ),
    Operation(
        "PUT",
        "/v1/schedules/{id}/resume",
        "resume_schedule",
        SCHEDULES,
        "Resume a schedule",
        Access.PUBLISHER,
        {200: Answer("As it is now; repeating the call changes nothing.", wire.ScheduleOut)},
        parameters=(_SCHEDULE,),
        refusals=(NotFound, InvalidRequest),
    ),
    Operation(
        "POST",
        "/v1/schedules/{id}/run",
        "run_schedule",
        SCHEDULES,
        "Run a schedule now",
        Access.PUBLISHER,
        {201: Answer("It is published. `Location` tells where.", wire.PublishOut)},
        "Whatever its state; when it is due next stays as it is.",
        (_SCHEDULE, _RUN_KEY),
        refusals=(NotFound, InvalidRequest, IdempotencyConflict, NotBuilt),
    ),
)

_TIMES: Final[Mapping[str, dict[str, Any]]] = {
    "at": {"description": "One moment, at most ten years ahead.", "format": "date-time"},
    "every": {"description": "Seconds, or a duration such as `90s`, `15m`, `2h`, `1d`; from 1 s to 366 days."},
    "cron": {
        "description": "Minute, hour, day of month, month, day of week, as Debian's cron reads them; also `L`, `LW`, "
        "`5L` and `MON#1`.",
        "maxLength": MAX_EXPRESSION,
    },
    "timezone": {"description": "Of `cron`: an IANA name such as Europe/Berlin. Left out: UTC."},
    "start": {"description": "No run before it. What `every` counts from; left out: the moment of this call."},
    "end": {"description": "No run after it."},
}
_WHAT: Final[Mapping[str, dict[str, Any]]] = {
    "name": {"description": "For people.", "maxLength": MAX_ID},
    "missed": {
        "description": "What becomes of runs that were due while no worker ran: `once` publishes once for all of "
        f"them, `all` one after the other (the latest {CATCH_UP}), `skip` none (what is up to a minute late is not "
        "missed)."
    },
}

SCHEDULE_NOTES: Final[Mapping[str, Mapping[str, dict[str, Any]]]] = {
    "TimingIn": _TIMES,
    "ScheduleIn": {**_TIMES, **_WHAT, "notification": {"description": "The body of a publish, without `deliver_at`."}},
    "SchedulePatchIn": {**_TIMES, **_WHAT},
    "ScheduleOut": {"every": {"description": "Seconds."}, "next_at": {"description": "null: paused, or ended."}},
    "RunOut": {
        "through": {"description": "Set where all that was due from `due_at` until then was skipped."},
        "notification": {"description": "What was published."},
        "reason": {"description": "Why not."},
    },
}
