"""A client as `docs/protocol.md` describes it, for tests: cursor, store, merge rules, nothing clever."""

from __future__ import annotations

from typing import Any

import msgspec

TIMES = ("seen_at", "read_at", "archived_at", "snoozed_until")


class ReferenceClient:
    """What a client knows. `cursor` None: never connected. `stale`: it has to read the inbox anew."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.items: dict[str, dict[str, Any]] = {}
        self.cursor: str | None = None
        self.counts: dict[str, int] | None = None
        self.stale = True
        self.live = False
        self._version = -1

    def connecting(self) -> None:
        """Begin a connection: until `ready`, versions may come again."""
        self.live = False

    def receive(self, text: bytes) -> None:
        """Apply one frame."""
        frame = msgspec.json.decode(text)
        match frame["type"]:
            case "item":
                self._upsert(frame["item"])
            case "change":
                self._change(frame)
            case "resync":
                self.stale = True
            case "ready":
                self.live = True
            case "error" | "reconnect":
                raise AssertionError(frame)
        if frame.get("cursor") is not None and frame["type"] != "resync":
            self._advance(frame)

    def load(self, items: list[dict[str, Any]], cursor: str) -> None:
        """Take the inbox as REST gave it; what came live meanwhile and is newer stays."""
        loaded = {item["id"]: item for item in items}
        read_at = version_of(cursor)
        for identifier, held in list(self.items.items()):
            if identifier not in loaded and held["version"] <= read_at:
                del self.items[identifier]
        for item in loaded.values():
            self._upsert(item)
        self.stale = False

    def _advance(self, frame: dict[str, Any]) -> None:
        version = version_of(frame["cursor"])
        if frame["type"] in {"item", "change"}:
            assert self.live, "a live frame before `ready`"
            assert version == self._version + 1, "live frames come without a gap, in order"
        self._version = version
        self.cursor = frame["cursor"]
        self.counts = frame.get("counts", self.counts)

    def _upsert(self, item: dict[str, Any]) -> None:
        held = self.items.get(item["id"])
        if held is None or item["version"] >= held["version"]:
            self.items[item["id"]] = item

    def _change(self, frame: dict[str, Any]) -> None:
        ids = [i for i in self.items if i not in frame.get("but", ())] if frame.get("all") else frame["ids"]
        for identifier in ids:
            item = self.items.get(identifier)
            if item is not None and item["version"] < frame["version"]:
                if frame["fields"].get("removed"):
                    del self.items[identifier]
                else:
                    merge(item, frame["fields"])
                    item["version"] = frame["version"]


def merge(item: dict[str, Any], fields: dict[str, Any]) -> None:
    """Set a time where there is none; null clears; a snooze replaces."""
    for name, value in fields.items():
        if value is None or name == "snoozed_until" or item[name] is None:
            item[name] = value


def version_of(cursor: str) -> int:
    """Look inside a cursor, as no real client may."""
    return int(cursor.split(".")[1])
