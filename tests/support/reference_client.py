"""A client as `docs/protocol.md` describes it, for tests: cursor, store, merge rules, nothing clever."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

TIMES = ("seen_at", "read_at", "archived_at", "snoozed_until")


class Place(NamedTuple):
    """What a cursor says: how far its holder has got in the inbox, and in the shared log."""

    version: int
    position: int

    def covers(self, other: Place) -> bool:
        """Whether who is here holds everything up to there."""
        return self.version >= other.version and self.position >= other.position


class ReferenceClient:
    """What a client knows. `cursor` None: never connected. `stale`: it has to read the inbox anew."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.items: dict[str, dict[str, Any]] = {}
        self.cursor: str | None = None
        self.counts: dict[str, int] | None = None
        self.stale = True
        self.live = False
        self.late: dict[str, int] = {}
        """Items that the cursor does not cover, with their positions: they come again to who resumes from it."""
        self._place = Place(-1, 0)
        """Version and position of the cursor."""
        self._journal: list[dict[str, Any]] = []
        """What came since the inbox has to be read anew."""

    def connecting(self) -> None:
        """Begin a connection: until `ready`, versions may come again."""
        self.live = False

    def receive(self, text: bytes) -> None:
        """Apply one frame."""
        frame = msgspec.json.decode(text)
        if self.stale:
            self._journal.append(frame)
        self._merge(frame)
        match frame["type"]:
            case "resync":
                self.stale = True
                self._journal = []
            case "ready":
                self.live = True
            case "error" | "reconnect":
                raise AssertionError(frame)
        if frame.get("cursor") is not None and frame["type"] != "resync":
            self._advance(frame)
        elif "delta" in frame:
            assert self.live, "a live frame before `ready`"
            assert self.counts is not None
            self.counts = {name: count + frame["delta"][name] for name, count in self.counts.items()}
            self.late[frame["item"]["id"]] = frame["position"]
        if frame["type"] == "ready":
            self.late.clear()
        if frame["type"] == "ping":
            self.late = {name: at for name, at in self.late.items() if at > frame["position"]}

    def load(self, items: list[dict[str, Any]]) -> None:
        """Take the whole inbox as REST gave it; what came meanwhile is laid over it."""
        self.items = {item["id"]: item for item in items}
        self.stale = False
        journal, self._journal = self._journal, []
        for frame in journal:
            self._merge(frame)

    def _advance(self, frame: dict[str, Any]) -> None:
        place = place_of(frame["cursor"])
        if frame["type"] in {"item", "change"}:
            assert self.live, "a live frame before `ready`"
            assert place.version == self._place.version + 1, "live frames come without a gap, in order"
            assert place.position >= self._place.position
        elif frame["type"] == "ping":
            assert place.version == self._place.version, "a ping brings nothing"
            assert place.position == frame["position"] >= self._place.position
            assert frame["counts"] == self.counts, "the badge is what was told piece by piece"
        self._place = place
        self.cursor = frame["cursor"]
        self.counts = frame.get("counts", self.counts)

    def _merge(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "item":
                self._upsert(frame["item"])
            case "change":
                self._change(frame)

    def _upsert(self, item: dict[str, Any]) -> None:
        held = self.items.get(item["id"])
        if held is None or item["version"] >= held["version"]:
            self.items[item["id"]] = item

    def _change(self, frame: dict[str, Any]) -> None:
        ids = [i for i in self.items if i not in frame.get("but", ())] if frame.get("all") else frame["ids"]
        for identifier in ids:
            item = self.items.get(identifier)
            if frame["fields"].get("removed"):
                self.items.pop(identifier, None)
            elif item is not None and item["version"] < frame["version"]:
                merge(item, frame["fields"])
                item["version"] = frame["version"]


def merge(item: dict[str, Any], fields: dict[str, Any]) -> None:
    """Set a time where there is none; null clears; a snooze replaces."""
    for name, value in fields.items():
        if value is None or name == "snoozed_until" or item[name] is None:
            item[name] = value


def version_of(cursor: str) -> int:
    """Look inside a cursor, as no real client may."""
    return place_of(cursor).version


def place_of(cursor: str) -> Place:
    """Look inside a cursor, as no real client may."""
    _, version, position = cursor.split(".")
    return Place(int(version), int(position))
