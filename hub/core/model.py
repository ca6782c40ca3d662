"""The things that Bellwire is about. Times are integers: milliseconds since the Unix epoch, UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple
from uuid import UUID

from hub.core.cursor import Cursor


class InboxKey(NamedTuple):
    """Whose inbox: a user inside a tenant."""

    tenant: str
    user: str


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


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody without an inbox is reached: exactly one of the two."""

    email: str | None = None
    phone: str | None = None

    @property
    def channel(self) -> Channel:
        """The channel that this address belongs to."""
        return Channel.EMAIL if self.email is not None else Channel.SMS

    @property
    def value(self) -> str:
        """The address itself."""
        return self.email or self.phone or ""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a fallback plan: `channel`, `after` (milliseconds from publish), unless, when."""

    channel: Channel
    after: int
    unless: Rung = Rung.SEEN
    when: When = When.ALWAYS


@dataclass(frozen=True, slots=True)
class Content:
    """What was published once. `data` and `actor` are JSON objects, already encoded."""

    id: UUID
    tenant: str
    category: str
    title: str
    body: str
    action_url: str | None
    data: bytes | None
    actor: bytes | None
    priority: Priority
    inbox: bool
    collapse_key: str | None
    created_at: int
    deliver_at: int | None
    expires_at: int | None
    plan: tuple[Step, ...] = ()

    @property
    def appears_at(self) -> int:
        """When it shows in inboxes, and what the plan's `after` counts from."""
        return self.created_at if self.deliver_at is None else self.deliver_at

    @property
    def tracks_delivered(self) -> bool:
        """Whether `delivered` acknowledgements are worth storing: only where a step is cancelled by them."""
        return any(step.unless is Rung.DELIVERED for step in self.plan)


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One step for one recipient, as first stored. Either `user` or `address` is set."""

    id: UUID
    step: int
    """Index in the content's plan."""
    channel: Channel
    due_at: int
    unless: Rung
    when: When
    user: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """A caller's key for one operation, with the hash of the canonical body and the answer to repeat."""

    operation: str
    key: str
    body_hash: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """All that one publish writes, in one transaction.

    `users` get an inbox item each (empty with `inbox: false`); `deliveries` hold every step of every recipient.
    """

    content: Content
    users: tuple[str, ...]
    deliveries: tuple[NewDelivery, ...]
    idempotency: IdempotencyRecord | None = None
    response: bytes = b"{}"
    """The answer to the publisher, encoded: known before anything is stored."""


class Counts(NamedTuple):
    """The badge: live items not archived and not snoozed, that are unread, and that are unseen."""

    unread: int
    unseen: int


@dataclass(frozen=True, slots=True)
class Head:
    """A user's inbox as a whole. `floor`: cursors below it cannot resume any more."""

    epoch: str
    """The cursor epoch (already combined with the database's identity)."""
    version: int
    floor: int
    counts: Counts

    @property
    def cursor(self) -> Cursor:
        """The cursor of somebody who holds everything up to this head."""
        return Cursor(self.epoch, self.version)


@dataclass(frozen=True, slots=True)
class Item:
    """One user's state of one notification, with its content; `version` is the last change's."""

    content: Content
    version: int
    since: int
    """The version with which it appeared: what a bulk change's `through` is compared with."""
    state: ItemState
    appeared_at: int
    seen_at: int | None = None
    read_at: int | None = None
    archived_at: int | None = None
    snoozed_until: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items an action is for: `ids`, or all there are, or all up to the cursor `through`."""

    ids: tuple[UUID, ...] = ()
    all: bool = False
    through: Cursor | None = None


@dataclass(frozen=True, slots=True)
class InboxChange:
    """A committed change of one inbox, as told to connections. Exactly one of the shapes below.

    * `item`: a new or wholly changed item.
    * `ids` with `fields`: these items changed alike (`removed: true` in `fields` drops them).
    * `all` with `fields` and `but`: every item that a client holds changed alike, except `but`.
    * none of them (only `head`): too large or unknown; read the database.
    """

    key: InboxKey
    head: Head
    item: Item | None = None
    ids: tuple[UUID, ...] = ()
    all: bool = False
    but: tuple[UUID, ...] = ()
    fields: Mapping[str, int | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """A publish's outcome. With `replayed`, an earlier publish under the same key is the answer.

    `heads` are the recipients' heads after it (none when pending or without inbox); `wakeup` names the row to
    settle once they have been told.
    """

    id: UUID
    response: bytes | None = None
    replayed: bool = False
    heads: Mapping[str, Head] = field(default_factory=dict)
    wakeup: UUID | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """An action's outcome: how many items changed, the head as it is now, and what to tell (if anything changed)."""

    changed: int
    head: Head
    change: InboxChange | None = None
    wakeup: UUID | None = None


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """One page of an inbox, newest first. `after` is the sort key `(appeared_at, id)` of the last item seen."""

    unread: bool | None = None
    """True: only unread. False: only read. None: both."""
    unseen: bool | None = None
    category: str | None = None
    archived: bool = False
    snoozed: bool = False
    after: tuple[int, UUID] | None = None
    limit: int = 25


@dataclass(frozen=True, slots=True)
class InboxPage:
    """A page, with head and items from one snapshot."""

    head: Head
    items: Sequence[Item]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What a client with a cursor missed, in one snapshot, ordered by `(version, id)`.

    `resync` says why it cannot be told (then `items` is empty and the client reads its newest page anew).
    """

    head: Head
    items: Sequence[Item] = ()
    resync: str | None = None


@dataclass(frozen=True, slots=True)
class Wakeup:
    """A leftover of a publish that may not have been told: whose heads moved, and to which version."""

    id: UUID
    heads: Sequence[tuple[InboxKey, int]]


@dataclass(frozen=True, slots=True)
class Contact:
    """How a user can be reached, as the embedding app told us."""

    user: str
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """An endpoint of push: `kind` says how to address it (`fcm_token` now; installation ids later)."""

    id: UUID
    user: str
    kind: str
    token: str
    created_at: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One step for one recipient, as stored."""

    id: UUID
    tenant: str
    notification: UUID
    user: str | None
    address: str | None
    step: int
    channel: Channel
    priority: Priority
    due_at: int
    unless: Rung
    when: When
    state: DeliveryState
    fence: int
    claims: int
    attempts: int
    reason: str | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    finished_at: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to a provider for one endpoint."""

    delivery: UUID
    number: int
    provider: str
    endpoint: str
    """A short, non-secret name of the endpoint (a device's id, a masked address)."""
    started_at: int
    finished_at: int
    outcome: str
    """`ok`, `transient` or `permanent`."""
    detail: str | None = None
    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotificationState:
    """What became of a notification."""

    content: Content
    items: Sequence[tuple[str, Item]]
    """`(user, item)`."""
    deliveries: Sequence[tuple[Delivery, Sequence[Attempt]]]
