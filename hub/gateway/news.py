"""What is heard of one inbox at a time: made ready once, for all who listen to it here."""

from __future__ import annotations

from collections.abc import Sequence

from hub.core.frames import Outgoing, outgoing
from hub.core.wire import LiveChange
from hub.gateway.encoding import as_event, as_text_frame


class News:
    """Changes that follow each other without a gap, in order, each with its frame.

    Whoever is at version `before` is at `version` once it has the bytes.
    """

    __slots__ = ("_event_stream", "_outs", "_websocket", "before", "epoch", "version")

    def __init__(self, changes: Sequence[LiveChange]) -> None:
        self.epoch = changes[0].epoch
        self.before = changes[0].version - 1
        self.version = changes[-1].version
        self._outs: Sequence[Outgoing] = [outgoing(change) for change in changes]
        self._websocket: bytes | None = None
        self._event_stream: bytes | None = None

    @property
    def outs(self) -> Sequence[Outgoing]:
        """The frames one by one."""
        return self._outs

    def websocket(self) -> bytes:
        """Return the bytes for WebSockets, encoded once."""
        if self._websocket is None:
            self._websocket = b"".join(map(as_text_frame, self._outs))
        return self._websocket

    def event_stream(self) -> bytes:
        """Return the bytes for event streams, encoded once."""
        if self._event_stream is None:
            self._event_stream = b"".join(map(as_event, self._outs))
        return self._event_stream


def in_step(changes: Sequence[LiveChange]) -> bool:
    """Tell whether changes can be news: each has its frame, and is the next after the one before it."""
    first = changes[0]
    return all(
        change.frame is not None and change.epoch == first.epoch and change.version == first.version + number
        for number, change in enumerate(changes)
    )
