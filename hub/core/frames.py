"""Encoding and decoding of live frames, once for every transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import msgspec

from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.errors import ProtocolViolation
from hub.core.model import Changes, Content, InboxChange, Item, ItemState, MembershipChange, SharedEvent
from hub.core.views import counts_view, fields_view, item_view

MAX_CLIENT_FRAME = 32 * 1024
"""Bytes of one frame from a client."""

MAX_INLINE = 4 * 1024
"""Bytes of a frame that travels over the bus; a larger one becomes a hint to read the database."""


class CloseCode(IntEnum):
    """WebSocket close codes: 4000 to 4099 mean come back, 4100 to 4199 mean that coming back will not help."""

    GOING_AWAY = 4000
    TOO_SLOW = 4001
    INTERNAL = 4002
    TOKEN_EXPIRED = 4003
    CONNECT_TIMEOUT = 4004
    DISCONNECTED = 4005
    RATE_LIMITED = 4006
    BAD_FRAME = 4100
    CONNECT_FIRST = 4101
    UNAUTHENTICATED = 4102
    FRAME_TOO_LARGE = 4103
    TOO_MANY = 4104


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One finished server frame; `cursor` is what SSE writes as `id:` (None: the id stays as it was)."""

    event: str
    frame: bytes
    cursor: str | None


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[wire.ClientFrame] = msgspec.json.Decoder(wire.ClientFrame)


def encode(frame: wire.ServerFrame) -> bytes:
    """Encode a server frame as JSON; it never contains a line break."""
    return _encoder.encode(frame)


def decode(text: str) -> wire.ClientFrame:
    """Decode one client frame.

    Raises:
        ProtocolViolation: not JSON, of unknown type, with unknown fields or wrong types.

    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise ProtocolViolation("bad_frame", f"not a frame of this protocol: {error}", CloseCode.BAD_FRAME) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ProtocolViolation("bad_frame", "not JSON", CloseCode.BAD_FRAME) from None


def live_change(change: InboxChange) -> wire.LiveChange:
    """Encode a committed change for the bus; beyond 4 kB it is a hint without a frame."""
    head = change.head
    event: Literal["item", "change"] = "item" if change.item is not None else "change"
    frame: bytes | None = None
    if change.item is not None:
        frame = encode(
            wire.ItemFrame(item=item_view(change.item), cursor=str(head.cursor), counts=counts_view(head.counts))
        )
    elif change.ids or change.all:
        frame = encode(
            wire.ChangeFrame(
                fields=fields_view(change.fields),
                ids=[str(identifier) for identifier in change.ids],
                all=change.all,
                but=[str(identifier) for identifier in change.but],
                version=head.version,
                cursor=str(head.cursor),
                counts=counts_view(head.counts),
            )
        )
    if frame is not None and len(frame) > MAX_INLINE:
        frame = None
    return wire.LiveChange(head.epoch, head.version, event, frame, head.position, *head.counts)


def outgoing(change: wire.LiveChange, position: int) -> Outgoing:
    """Make the frame of a live change ready for a connection that can resume from `position` of the shared log.

    The change must carry its frame. Its cursor, the last field, has the change's own position, which is the same
    unless the connection was told of shared items since it last read.
    """
    frame, cursor = change.frame or b"", str(Cursor(change.epoch, change.version, position))
    if position != change.position:
        finished = str(Cursor(change.epoch, change.version, change.position))
        frame = b'%b%b"}' % (frame[: -len(finished) - 2], cursor.encode())
    return Outgoing(change.event, frame, cursor)


def shared_change(event: SharedEvent, content: Content | None = None) -> wire.SharedChange:
    """Encode an event of the shared log for the bus: with its item, if that has just appeared and is within 4 kB."""
    if content is None or event.appeared_at is None:
        return wire.SharedChange(event.position, event.previous)
    item = Item(content, 0, 0, ItemState.LIVE, event.appeared_at, position=event.position)
    delta = wire.Counts(unread=1, unseen=1)
    frame = encode(wire.ItemFrame(item=item_view(item), delta=delta, position=event.position))
    return wire.SharedChange(event.position, event.previous, frame if len(frame) <= MAX_INLINE else None)


def members_change(change: MembershipChange) -> wire.SharedChange:
    """Say on the bus who has joined or left a topic; beyond 4 kB of names it is only said that somebody has."""
    users = list(change.cursors)
    named = users if sum(len(user.encode()) for user in users) <= MAX_INLINE else []
    return wire.SharedChange(change.position, change.previous, users=named)


def catch_up(changes: Changes) -> list[Outgoing]:
    """Encode a backlog: the state of everything that changed, without cursors (those come with what follows it).

    A frame per item; tombstones become one `change` that removes them.
    """
    frames = [
        Outgoing("item", encode(wire.ItemFrame(item=item_view(item, changes.head.version))), None)
        for item in changes.items
        if _shown(item)
    ]
    gone = [str(item.content.id) for item in changes.items if not _shown(item)]
    if gone:
        frame = wire.ChangeFrame(fields={"removed": True}, ids=gone, version=changes.head.version)
        frames.append(Outgoing("change", encode(frame), None))
    return frames


def _shown(item: Item) -> bool:
    return item.state is ItemState.LIVE
