"""What a client's bytes amount to."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Text(msgspec.Struct, frozen=True, gc=False):
    """A whole text message."""

    text: str


class Binary(msgspec.Struct, frozen=True, gc=False):
    """A whole binary message."""

    data: bytes


class Ping(msgspec.Struct, frozen=True, gc=False):
    """To be answered by a pong with the same payload."""

    data: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """An answer to a ping, or a heartbeat that nobody asked for."""

    data: bytes


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The client's close frame, to be answered by one; `code` is None if it gave none. Always the last event."""

    code: int | None
    reason: str


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A violation: send a close frame with `code` and `reason`, then close the transport. Always the last event.

    `code` is 1002 (protocol error), 1007 (text that is not UTF-8) or 1009 (too big).
    """

    code: int
    reason: str


Event: TypeAlias = Text | Binary | Ping | Pong | Closed | Failed
