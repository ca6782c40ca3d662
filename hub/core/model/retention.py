"""What has served its time: which notifications go, which are still wanted, and in what pieces they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from hub.core.model.inbox import Untold


class Hold(StrEnum):
    """Why an old notification stays for now."""

    DELIVERY = "with a delivery on its way"
    EXPANSION = "with an audience still to be reached"
    TIMER = "still to appear, to expire, or to come back from a snooze"
    CHANGED = "changed while they were written"


class Candidate(NamedTuple):
    """A notification that is old enough. `rows` is roughly how many rows go with it, unless it is shared."""

    id: UUID
    shared: bool
    hold: Hold | None
    rows: int


@dataclass(frozen=True, slots=True)
class OwnPart:
    """Notifications with all that users and addresses have of them. They leave inboxes as their rows are dropped."""

    tenant: str
    notifications: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class MembersPart:
    """What some users have of a shared notification: those after one, up to another (None: all others)."""

    tenant: str
    notification: UUID
    after: str
    upto: str | None


@dataclass(frozen=True, slots=True)
class SharedPart:
    """A shared notification itself, once no user has anything of it."""

    tenant: str
    notification: UUID


@dataclass(frozen=True, slots=True)
class MarksPart:
    """How the marks of some users moved, as far as a position of the log."""

    tenant: str
    position: int
    after: str
    upto: str | None


Part = OwnPart | MembersPart | SharedPart | MarksPart
"""Rows that are read in one snapshot, and later dropped in one transaction."""

Lines = Mapping[UUID | None, Sequence[bytes]]
"""Rows as lines of JSON, by their notification (None: they belong to none)."""

Digests = Mapping[UUID | None, bytes]
"""What was read, in short: rows that have become others since are not dropped."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What became of a part: which notifications' rows are dropped, and what is to be told."""

    done: frozenset[UUID | None]
    told: Sequence[Untold] = ()


class Trim(NamedTuple):
    """The beginning of a shared log that nobody needs any more: up to a position, so many rows."""

    position: int
    rows: int
