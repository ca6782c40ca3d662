"""Live frames, told in `docs/protocol.md`; each carries its kind in `type`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hub.core.wire.items import Counts, Item


class Ready(Struct, frozen=True, tag_field="type", tag="ready"):
    """The client holds everything up to `cursor`; from here on it is live. Comes again after a gap was closed."""

    user: str
    connection: str
    cursor: str
    counts: Counts
    ping_ms: int
    """A `ping` comes at least this often; silence of twice as long means that the connection is dead."""


class ItemFrame(Struct, frozen=True, tag_field="type", tag="item", omit_defaults=True):
    """An item, new or as it is now.

    With `delta` it is new to a topic: the same for all members, whose counts grow by that; a `ping` tells when their
    cursor has got to its `position`. Without `delta`, cursor and counts it is of a catch-up, which a `ready` ends.
    """

    item: Item
    counts: Counts | None = None
    delta: Counts | None = None
    position: int | None = None
    cursor: str | None = None
    """Last, here and in `ChangeFrame`: see `frames.outgoing`."""


class ChangeFrame(Struct, frozen=True, tag_field="type", tag="change", omit_defaults=True):
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
    counts: Counts | None = None
    cursor: str | None = None


class Resync(Struct, frozen=True, tag_field="type", tag="resync"):
    """What the client missed can't be told: read the newest page again. A `ready` follows."""

    reason: str
    cursor: str
    counts: Counts


class ServerPing(Struct, frozen=True, tag_field="type", tag="ping"):
    """A sign of life with the cursor that this connection has been brought to, and with what the badge should be."""

    cursor: str
    position: int
    """The cursor covers items of topics, told with a `position`, up to here."""
    counts: Counts


class ReauthRequest(Struct, frozen=True, tag_field="type", tag="reauth"):
    """The token ends in so many milliseconds: send a fresh one in a `reauth`, or be closed then."""

    within_ms: int


class Reauthenticated(Struct, frozen=True, tag_field="type", tag="reauthenticated"):
    """The fresh token was taken; the connection goes on, so many milliseconds at least."""

    expires_in_ms: int | None


class Reconnect(Struct, frozen=True, tag_field="type", tag="reconnect"):
    """The node is going away: come back, to any node, after so many milliseconds."""

    after_ms: int


class ErrorFrame(Struct, frozen=True, tag_field="type", tag="error", omit_defaults=True):
    """Something the client sent was refused; `ref` repeats the frame's own."""

    code: str
    message: str
    ref: str | int | None = None


ServerFrame = (
    Ready | ItemFrame | ChangeFrame | Resync | ServerPing | ReauthRequest | Reauthenticated | Reconnect | ErrorFrame
)


class _ClientFrame(Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """Base of what clients send."""


class Connect(_ClientFrame, frozen=True, tag="connect"):
    """The first frame (unless the handshake had a token): a token and the cursor to resume from."""

    token: str | None = None
    cursor: str | None = None
    state: Literal["active", "away"] = "active"


class Reauth(_ClientFrame, frozen=True, tag="reauth"):
    """A fresh token of the same user, for a connection that is to outlive the first."""

    token: str


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
ClientFrame = Connect | Reauth | MarkFrame | SetPresence | ClientPing


class LiveChange(Struct, frozen=True, array_like=True):
    """A change on its way to connections, over the bus.

    `frame` is the finished JSON of an `item` or `change` frame, as a rule the same bytes for every connection of the
    user; None (too large for the bus, or a catch-up of a crash) means: read the database up to `version`.
    """

    epoch: str
    version: int
    event: str
    """`item` or `change`: the SSE event's name."""
    frame: bytes | None = None
    position: int = 0
    """How far the user's topics had got: `frame` has the counts and the cursor of who holds all of them up to there."""
    unread: int = 0
    unseen: int = 0
    """The counts that `frame` has."""


class SharedChange(Struct, frozen=True, array_like=True):
    """What happened in a topic, on its way to the nodes of its members, over the bus.

    `previous` is what happened there before it: who has not heard of that has missed something.
    """

    position: int
    previous: int
    frame: bytes | None = None
    """The finished `item` frame of what has appeared; None: read the log up to `position`."""
    users: list[str] | None = None
    """Who has joined or left, if that is what happened: there is nothing to read. Empty: too many to be named."""


class RevokedBefore(Struct, frozen=True):
    """From node to node, over a tenant's channel of the bus: a user's tokens issued before a time are refused."""

    user: str
    """Empty: everybody's."""
    issued_before: int
    """Milliseconds since the epoch."""
