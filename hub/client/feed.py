"""What a listener makes of the hub's frames (docs/protocol.md). No I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from hub.client.errors import UnexpectedAnswer
from hub.client.types import Item
from hub.core import wire
from hub.core.wire import Counts

REMEMBERED: Final = 2_000
"""Items last handed over, so that one which is told again is not handed over again."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The listener holds everything there is. Comes after each connect, and whenever the hub has closed a gap."""

    user: str
    counts: Counts
    ping_ms: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """An item that is new here, or has changed while the listener was away."""

    item: Item


@dataclass(frozen=True, slots=True)
class Changed:
    """Items changed alike: `ids`, or all that there are but for `but`. `fields` are as in docs/protocol.md."""

    fields: Mapping[str, str | bool | None]
    ids: Sequence[str]
    all: bool
    but: Sequence[str]


@dataclass(frozen=True, slots=True)
class Reread:
    """What was missed could not be told piece by piece: these are the newest items now, the newest first."""

    reason: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is lost; the listener comes back in so many seconds."""

    reason: str
    seconds: float


Event = Ready | Arrived | Changed | Reread | Lost


@dataclass(frozen=True, slots=True)
class Reading:
    """To be done: read the newest page, and hand it to `Feed.reread`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Renewing:
    """To be done: show a fresh token."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """To be done: leave, and come back after so many seconds."""

    seconds: float


class _ItemFrame(wire.ItemFrame, frozen=True):
    """An item frame, read to the end."""

    item: Item


_Frame = (
    wire.Ready
    | _ItemFrame
    | wire.ChangeFrame
    | wire.Resync
    | wire.ServerPing
    | wire.ReauthRequest
    | wire.Reauthenticated
    | wire.Reconnect
    | wire.ErrorFrame
)
_FRAME: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(_Frame)
_TYPE = msgspec.json.Decoder(dict[str, object])
_KNOWN: Final = {"ready", "item", "change", "resync", "ping", "reauth", "reauthenticated", "reconnect", "error"}


class Feed:
    """The state of one listener, over all its connections."""

    def __init__(self, cursor: str | None = None) -> None:
        self.cursor = cursor
        """Where to resume: whoever connects with it is told all that was not handed over yet, and no gap is left."""
        self.counts: Counts | None = None
        """The badge, as far as it was told."""
        self.refusal: wire.ErrorFrame | None = None
        """What the hub said before it closed this connection."""
        self._handed: OrderedDict[str, Item] = OrderedDict()

    def connecting(self) -> None:
        """Begin a connection."""
        self.refusal = None

    def receive(self, line: str) -> Event | Reading | Renewing | Leaving | None:
        """Take one frame, and say what it means, if anything.

        Raises:
            UnexpectedAnswer: it is not a frame.

        """
        frame = _decode(line)
        if frame is None:
            return None
        meaning = self._meaning(frame)
        self._advance(frame)
        return meaning

    def reread(self, reading: Reading, items: Sequence[Item]) -> Reread:
        """Take the newest items."""
        for item in items:
            self._hand_over(item)
        return Reread(reading.reason, items)

    def _meaning(self, frame: _Frame) -> Event | Reading | Renewing | Leaving | None:
        meaning: Event | Reading | Renewing | Leaving | None = None
        match frame:
            case wire.Ready():
                meaning = Ready(frame.user, frame.counts, frame.ping_ms)
            case _ItemFrame():
                meaning = Arrived(frame.item) if self._hand_over(frame.item) else None
            case wire.ChangeFrame():
                self._forget(frame)
                meaning = Changed(frame.fields, frame.ids, frame.all, frame.but)
            case wire.Resync():
                meaning = Reading(frame.reason)
            case wire.ReauthRequest():
                meaning = Renewing()
            case wire.Reconnect():
                meaning = Leaving(frame.after_ms / 1000)
            case wire.ErrorFrame(ref=None):
                self.refusal = frame
        return meaning

    def _advance(self, frame: _Frame) -> None:
        match frame:
            case _ItemFrame(delta=Counts() as delta) if self.counts is not None:
                self.counts = Counts(self.counts.unread + delta.unread, self.counts.unseen + delta.unseen)
            case wire.Resync():
                self.counts = frame.counts  # not the cursor: it covers what is still to be read
            case wire.Ready() | wire.ServerPing() | _ItemFrame() | wire.ChangeFrame():
                self.cursor = frame.cursor or self.cursor
                self.counts = frame.counts or self.counts

    def _hand_over(self, item: Item) -> bool:
        """Remember an item; False: it was handed over before, as it is now or newer."""
        last = self._handed.get(item.id)
        if last is not None and (item.version < last.version or _as_is(item) == _as_is(last)):
            return False
        self._handed[item.id] = item
        self._handed.move_to_end(item.id)
        if len(self._handed) > REMEMBERED:
            self._handed.popitem(last=False)
        return True

    def _forget(self, change: wire.ChangeFrame) -> None:
        """Let what has changed be news when it is told again, even if it is then as it was before."""
        for identifier in list(self._handed) if change.all else change.ids:
            self._handed.pop(identifier, None)


def _as_is(item: Item) -> Item:
    """Return an item without its version, which catching up may tell as a later one."""
    return msgspec.structs.replace(item, version=0)


def _decode(line: str) -> _Frame | None:
    """Read a frame; None: of a kind that a newer hub knows.

    Raises:
        UnexpectedAnswer: it is not a frame.

    """
    try:
        return _FRAME.decode(line)
    except msgspec.MsgspecError as error:
        reason = error
    try:
        kind = _TYPE.decode(line).get("type")
    except msgspec.MsgspecError:
        kind = None
    if isinstance(kind, str) and kind not in _KNOWN:
        return None
    raise UnexpectedAnswer(f"what the hub sent is not a frame: {reason}", status=0)
