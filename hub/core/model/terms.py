"""The words of the design as types: enumerations and keys that everything else is made of."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class InboxKey(NamedTuple):
    """Whose inbox: a user inside a tenant."""

    tenant: str
    user: str


BROADCAST = ""
"""The topic that every user of a tenant is a member of, from the moment when their inbox is made."""


class TopicKey(NamedTuple):
    """A topic inside a tenant; `BROADCAST` is everybody."""

    tenant: str
    topic: str


class Channel(StrEnum):
    """A way to reach somebody outside the inbox (`in_app` is the inbox itself)."""

    PUSH = "push"
    WEBPUSH = "webpush"
    EMAIL = "email"
    SMS = "sms"
    CHAT = "chat"


class Priority(IntEnum):
    """Lower is more urgent, so that an ascending index serves the urgent first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class Rung(IntEnum):
    """The ladder of attention. A step's `unless` names the rung from which on it is not needed."""

    NONE = 0
    DELIVERED = 1
    SEEN = 2
    READ = 3


class When(StrEnum):
    """What a step asks of the user's presence at the time when it is due."""

    ALWAYS = "always"
    AWAY = "away"
    OFFLINE = "offline"


class Attention(StrEnum):
    """What presence knows of a user: of many connections the most attentive counts."""

    ACTIVE = "active"
    AWAY = "away"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class ItemState(IntEnum):
    """Life of an inbox item. Only `LIVE` items are listed and counted."""

    PENDING = 0
    """Stored, to appear at `deliver_at`."""
    LIVE = 1
    GONE = 2
    """Expired, recalled or replaced: a tombstone that tells clients to drop it."""


class LogKind(IntEnum):
    """What an event of the shared log says."""

    ITEM = 0
    """An item appeared."""
    GONE = 1
    """The item at another position has been recalled or has expired."""


class MarkLevel(IntEnum):
    """What "all" can be marked as in the shared log. A higher level implies the lower ones."""

    SEEN = 1
    READ = 2
    ARCHIVED = 3


class DeliveryState(StrEnum):
    """Life of a delivery. `QUEUED` and `SENDING` are on their way, all others are ends or follow `SENT`."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    EXPIRED = "expired"


class FailureKind(StrEnum):
    """Why deliveries fail, in words few enough to group by; the reason says it in full."""

    REFUSED = "refused"
    """The provider will not send this, or not to this endpoint."""
    EXHAUSTED = "exhausted"
    """All attempts were used up."""
    PROVIDER = "provider"
    """The provider refuses us: credentials, a suspended account."""
    CRASHED = "crashed"
    """One worker after the other vanished while sending it."""


class ExpansionState(StrEnum):
    """Life of an expansion: `WAITING` for its time or for the next chunk, all others are ends."""

    WAITING = "waiting"
    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class TimerKind(IntEnum):
    """What a due row does to an inbox item when its time comes."""

    RELEASE = 0
    EXPIRE = 1
    UNSNOOZE = 2


class MarkAction(StrEnum):
    """What a user does to inbox items.

    `READ` and `ARCHIVE` imply `seen`; `ARCHIVE` implies `read` too (who archives has dealt with it, and must
    not be mailed about it). Times keep the first value; `UNREAD` clears `read_at` only.
    """

    DELIVERED = "delivered"
    SEEN = "seen"
    READ = "read"
    UNREAD = "unread"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    SNOOZE = "snooze"
