"""What a session asks its driver to do."""

from __future__ import annotations

import msgspec

from hub.core.cursor import Cursor
from hub.core.frames import Outgoing
from hub.core.model import Attention, MarkAction, Selection


class Send(msgspec.Struct, frozen=True, gc=False):
    """Write this frame to the client."""

    frame: Outgoing


class Close(msgspec.Struct, frozen=True):
    """Send what is queued, then close. Always the last effect."""

    code: int
    """A `CloseCode`, or one of RFC 6455 where the client broke that."""
    reason: str


class Authenticate(msgspec.Struct, frozen=True):
    """Verify this token, then call `verified` (`renewed` if the session has a key) or `refused`."""

    token: str


class Resume(msgspec.Struct, frozen=True):
    """Read what changed after the cursor (None: the head alone), then call `resumed` or `resume_failed`.

    The user's changes must be heard (`live`) before the read starts. One at a time per session.
    """

    after: Cursor | None


class Mark(msgspec.Struct, frozen=True):
    """Apply an action to the user's items; call `mark_refused` if it is not valid."""

    action: MarkAction
    selection: Selection
    until: int | None
    ref: str | int | None


class SetAttention(msgspec.Struct, frozen=True):
    """Record whether somebody is looking at this connection."""

    attention: Attention


Effect = Send | Close | Authenticate | Resume | Mark | SetAttention
