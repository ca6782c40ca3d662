"""The JSON that goes over the wire: one definition for REST bodies and live frames.

Times are RFC 3339 in UTC with milliseconds. Unknown fields are refused in what clients send. Frames carry their
kind in `type`; `docs/protocol.md` tells the protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

PriorityName = Literal["critical", "high", "normal", "low"]
"""A notification's priority, most urgent first."""


class Counts(msgspec.Struct, frozen=True):
    """The badge."""

    unread: int
    unseen: int


class Item(msgspec.Struct, frozen=True):
    """An inbox item as clients see it. Of two states of one item, the one with the higher `version` is newer."""

    id: str
    version: int
    category: str
    title: str
    body: str
    action_url: str | None
    data: Raw
    actor: Raw
    priority: PriorityName
    created_at: str
    appeared_at: str
    expires_at: str | None
    seen_at: str | None
    read_at: str | None
    archived_at: str | None
    snoozed_until: str | None


# Server frames


class Ready(msgspec.Struct, frozen=True, tag_field="type", tag="ready"):
    """The client holds everything up to `cursor`; from here on it is live. Comes again after a gap was closed."""

    user: str
    connection: str
    cursor: str
    counts: Counts
    ping_ms: int
    """A `ping` comes at least this often; silence of twice as long means that the connection is dead."""


class ItemFrame(msgspec.Struct, frozen=True, tag_field="type", tag="item", omit_defaults=True):
    """An item, new or as it is now. Without cursor and counts it is of a catch-up, which a `ready` ends."""

    item: Item
    cursor: str | None = None
    counts: Counts | None = None


class ChangeFrame(msgspec.Struct, frozen=True, tag_field="type", tag="change", omit_defaults=True):
    """Items changed alike. Either `ids`, or `all` (every item the client holds, except `but`).

    A time in `fields` is set where there is none yet (`snoozed_until` replaces), null clears, and
    `removed: true` drops the items.
    """

    fields: dict[str, str | bool | None]
    ids: list[str] = []
    all: bool = False
    but: list[str] = []
    version: int | None = None
    """The `version` that the changed items have now."""
    cursor: str | None = None
    counts: Counts | None = None


class Resync(msgspec.Struct, frozen=True, tag_field="type", tag="resync"):
    """What the client missed can't be told: read the newest page again. A `ready` follows."""

    reason: str
    cursor: str
    counts: Counts


class ServerPing(msgspec.Struct, frozen=True, tag_field="type", tag="ping"):
    """A sign of life with the cursor that this connection has been brought to."""

    cursor: str


class Reconnect(msgspec.Struct, frozen=True, tag_field="type", tag="reconnect"):
    """The node is going away: come back, to any node, after so many milliseconds."""

    after_ms: int


class ErrorFrame(msgspec.Struct, frozen=True, tag_field="type", tag="error", omit_defaults=True):
    """Something the client sent was refused; `ref` repeats the frame's own."""

    code: str
    message: str
    ref: str | int | None = None


ServerFrame = Ready | ItemFrame | ChangeFrame | Resync | ServerPing | Reconnect | ErrorFrame


# Client frames


class _ClientFrame(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """Base of what clients send."""


class Connect(_ClientFrame, frozen=True, tag="connect"):
    """The first frame (unless the handshake had a token): a token and the cursor to resume from."""

    token: str | None = None
    cursor: str | None = None
    state: Literal["active", "away"] = "active"


class _Mark(_ClientFrame, frozen=True):
    """Base of the frames that change items: `ids`, or `all` (up to the cursor `through`, if given)."""

    ids: list[str] = []
    all: bool = False
    through: str | None = None
    ref: str | int | None = None


class Delivered(_Mark, frozen=True, tag="delivered"):
    """These items have arrived at a client."""


class Seen(_Mark, frozen=True, tag="seen"):
    """These items were visible in the list for a second."""


class Read(_Mark, frozen=True, tag="read"):
    """These items were opened or marked read."""


class Unread(_Mark, frozen=True, tag="unread"):
    """These items are to count as unread again."""


class Archive(_Mark, frozen=True, tag="archive"):
    """Put these items away."""


class Unarchive(_Mark, frozen=True, tag="unarchive"):
    """Bring these items back."""


class Snooze(_Mark, frozen=True, tag="snooze", kw_only=True):
    """Hide these items until a time (RFC 3339)."""

    until: str


class SetPresence(_ClientFrame, frozen=True, tag="presence"):
    """Whether somebody is looking."""

    state: Literal["active", "away"]


class ClientPing(_ClientFrame, frozen=True, tag="ping"):
    """Ask for a `ping` back."""


MarkFrame = Delivered | Seen | Read | Unread | Archive | Unarchive | Snooze
ClientFrame = Connect | MarkFrame | SetPresence | ClientPing


# Between processes


class LiveChange(msgspec.Struct, frozen=True, array_like=True):
    """A change on its way to connections, over the bus.

    `frame` is the finished JSON of an `item` or `change` frame, the same bytes for every connection of the user;
    None (too large for the bus, or a catch-up of a crash) means: read the database up to `version`.
    """

    epoch: str
    version: int
    event: str
    """`item` or `change`: the SSE event's name."""
    frame: bytes | None = None


# What publishers send


class AddressIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address instead of a user; needs `inbox: false`. Exactly one of the two."""

    email: str | None = None
    phone: str | None = None


class AudienceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shared audience: a topic, or everyone in the tenant. Not built yet (501)."""

    topic: str | UnsetType = UNSET
    broadcast: bool | UnsetType = UNSET


class StepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a fallback plan."""

    channel: str
    after: int | float | str = 0
    """Seconds from publish, or a duration such as `"90s"`, `"15m"`, `"2h"`, `"1d"`."""
    unless: Literal["delivered", "seen", "read"] | None = "seen"
    """The step is cancelled once the user's item has got this far; null: never."""
    when: Literal["always", "away", "offline"] = "always"


class PublishIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A notification to publish."""

    recipients: Sequence[str | AddressIn] | AudienceIn
    category: str = "general"
    title: str
    body: str = ""
    action_url: str | None = None
    data: dict[str, Any] | None = None
    actor: dict[str, Any] | None = None
    priority: PriorityName = "normal"
    channels: list[str] | None = None
    fallback: list[StepIn] | None = None
    template: str | None = None
    deliver_at: str | None = None
    expires_at: str | None = None
    collapse_key: str | None = None
    inbox: bool = True


class PublishOut(msgspec.Struct, frozen=True):
    """The notification is stored: with its inbox items and its deliveries."""

    id: str
    recipients: int
    deliveries: int


# What REST says of inboxes


class InboxOut(msgspec.Struct, frozen=True):
    """One page of an inbox, newest first. Pass `next` as `after` for the following page."""

    data: list[Item]
    has_more: bool
    next: str | None
    unread_count: int
    unseen_count: int
    cursor: str


class CountOut(msgspec.Struct, frozen=True):
    """The badge, with the cursor it belongs to."""

    unread_count: int
    unseen_count: int
    cursor: str


class MarkIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items: `ids`, or `all` (up to the cursor `through`, if given)."""

    ids: list[str] = []
    all: bool = False
    through: str | None = None
    until: str | None = None
    """For snooze: RFC 3339."""


class MarkOut(msgspec.Struct, frozen=True):
    """How many items changed, and the badge after it."""

    changed: int
    unread_count: int
    unseen_count: int
    cursor: str


class ItemPatchIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of one item."""

    seen: Literal[True] | UnsetType = UNSET
    read: bool | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    snoozed_until: str | UnsetType | None = UNSET
    """A time to hide it until, or null to bring it back now."""


class PollOut(msgspec.Struct, frozen=True):
    """Frames since the cursor, as on a WebSocket, and the cursor for the next call."""

    frames: list[Raw]
    cursor: str


class PresenceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attention of an SSE or polling client: the `connection` of its `ready`."""

    connection: str
    state: Literal["active", "away"]


class TicketOut(msgspec.Struct, frozen=True):
    """A single-use ticket for `?ticket=`, good for 30 seconds."""

    ticket: str
    expires_at: str


# What REST says of users


class ContactIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach a user; absent fields are cleared."""

    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None


class DeviceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that push reaches."""

    token: str
    kind: Literal["fcm_token"] = "fcm_token"
    name: str | None = None


class DeviceOut(msgspec.Struct, frozen=True):
    """A stored device; the token is shown by its last four characters only."""

    id: str
    kind: str
    token_hint: str
    name: str | None
    created_at: str


class ContactOut(msgspec.Struct, frozen=True):
    """A user's contact and devices."""

    user: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    timezone: str | None
    devices: list[DeviceOut]


class DevicesOut(msgspec.Struct, frozen=True):
    """A user's devices, oldest first."""

    data: list[DeviceOut]


class PresenceOut(msgspec.Struct, frozen=True):
    """Whether a user is connected and looking."""

    attention: Literal["active", "away", "offline", "unknown"]
    connections: int
    last_seen_at: str | None


# What became of a notification


class AttemptOut(msgspec.Struct, frozen=True):
    """One call to a provider."""

    number: int
    provider: str
    endpoint: str
    outcome: str
    detail: str | None
    started_at: str
    finished_at: str


class DeliveryOut(msgspec.Struct, frozen=True):
    """One step for one recipient."""

    id: str
    recipient: str
    step: int
    channel: str
    state: str
    reason: str | None
    due_at: str
    unless: str | None
    when: str
    provider: str | None
    attempts: list[AttemptOut]


class RecipientOut(msgspec.Struct, frozen=True):
    """One user's inbox item."""

    user: str
    state: Literal["pending", "live", "gone"]
    seen_at: str | None
    read_at: str | None
    archived_at: str | None
    snoozed_until: str | None


class NotificationOut(msgspec.Struct, frozen=True):
    """A notification with the state of every recipient and delivery."""

    id: str
    category: str
    title: str
    body: str
    action_url: str | None
    data: Raw
    actor: Raw
    priority: str
    inbox: bool
    created_at: str
    deliver_at: str | None
    expires_at: str | None
    recipients: list[RecipientOut]
    deliveries: list[DeliveryOut]


# What a node says of itself


class HealthOut(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class ReadyOut(msgspec.Struct, frozen=True):
    """Whether a load balancer should send clients to this node, and which of its parts can be reached."""

    ready: bool
    draining: bool
    parts: dict[str, bool]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str = ""
    pointer: str | None = None
