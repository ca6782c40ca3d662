"""Cron expressions in time zones, right across DST both ways.

CronSim (which follows Debian's cron) says which wall-clock times match; which instants those are is worked out
here. CronSim can do both, but where clocks move by half an hour (Australia/Lord_Howe) it loses runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from hub.core.errors import InvalidRequest
from hub.core.model import Cron

MAX_EXPRESSION = 128
_FIELDS = 5
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
_NO_ZONES = ("right/", "posix/", "localtime", "Factory")
"""Names of files beside the zones: with leap seconds, doubles, whatever this machine is set to, none."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


def check_expression(expression: str, pointer: str) -> str:
    """Return the expression with single spaces, if it is one.

    Raises:
        InvalidRequest: naming `pointer`; that it never matches is found out by `next_match`.

    """
    if len(expression) > MAX_EXPRESSION:
        raise InvalidRequest(f"is longer than {MAX_EXPRESSION} characters", pointer=pointer)
    parts = expression.split()
    if len(parts) != _FIELDS:
        raise InvalidRequest(
            "must have five fields: minute, hour, day of month, month, day of week, such as `0 9 * * MON-FRI`",
            pointer=pointer,
        )
    try:
        CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - a wall clock's time
    except CronSimError as error:
        raise InvalidRequest(f"is no cron expression, or one that never fires: {error}", pointer=pointer) from None
    return " ".join(parts)


def check_timezone(name: str, pointer: str) -> str:
    """Return `name` if it is a time zone's.

    Raises:
        InvalidRequest: naming `pointer`.

    """
    try:
        zone_of(name)
    except (KeyError, ValueError, OSError):
        raise InvalidRequest(
            "is not a time zone's name, such as Europe/Berlin (IANA) or UTC", pointer=pointer
        ) from None
    return name


def next_match(cron: Cron, after: int) -> int | None:
    """Return the first instant after `after` at which `cron` fires, whatever its `start` and `end`.

    None: it does not in 50 years. Times are milliseconds since the epoch.
    """
    zone = zone_of(cron.timezone)
    minute, hour, *_ = cron.expression.split()
    specific = not (minute.startswith("*") or hour.startswith("*"))
    local = (_EPOCH + timedelta(milliseconds=after)).astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    first: int | None = None
    # Of an hour that is repeated, what lies behind on the wall clock may be ahead in time.
    for match in CronSim(cron.expression, wall - _repeated(wall, zone)):
        ahead = [instant for instant in _fires_at(match, zone, specific=specific) if instant > after]
        first = min([*ahead, first] if first is not None else ahead, default=None)
        if first is not None and match > wall:
            return first
    return first


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name; raises KeyError, ValueError or OSError where there is none."""
    if name == "UTC":
        return UTC  # works without any data
    if _ZONE.fullmatch(name) is None or name.startswith(_NO_ZONES):
        raise ValueError(name)
    return ZoneInfo(name)


def _fires_at(wall: datetime, zone: tzinfo, *, specific: bool) -> Sequence[int]:
    """Return the instants of a wall-clock time at which a cron job runs.

    One that is `specific` (neither minute nor hour begins with `*`) runs once: the first time, where the time is
    repeated, and right after the gap, where it is left out. Others run whenever clocks show that time.
    """
    instants = _instants(wall, zone)
    if not specific:
        return instants
    while not instants:
        wall += _MINUTE
        instants = _instants(wall, zone)
    return instants[:1]


def _instants(wall: datetime, zone: tzinfo) -> Sequence[int]:
    """Return when clocks show `wall`: once, twice where they are set back, never where they are set forward."""
    first, second = (_milliseconds(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return (first,)
    return (first, second) if first < second else ()


def _repeated(wall: datetime, zone: tzinfo) -> timedelta:
    """Return by how much clocks are set back where they show `wall` twice."""
    instants = _instants(wall, zone)
    return timedelta(milliseconds=instants[-1] - instants[0]) if instants else timedelta()


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
