"""A user's own inbox: reading and marking."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from hub.client.calls import Call, Series, encode, pages, path, query_of, reader
from hub.client.types import InboxPage, Item
from hub.core import wire
from hub.core.model import MarkAction

Status = Literal["unread", "read", "unseen", "all"]


def page(
    *,
    status: Status = "all",
    category: str | None = None,
    archived: bool = False,
    snoozed: bool = False,
    after: str | None = None,
    limit: int | None = None,
) -> Call[InboxPage]:
    """Ask for a page of items, the newest first, with the badge of the same moment."""
    query = query_of(status=status, category=category, archived=archived, snoozed=snoozed, after=after, limit=limit)
    return Call("GET", path("inbox"), reader(InboxPage), query=query)


def items(
    *, status: Status = "all", category: str | None = None, archived: bool = False, snoozed: bool = False
) -> Series[Item]:
    """List all items that match, the newest first, page by page."""
    return pages(
        lambda after: page(status=status, category=category, archived=archived, snoozed=snoozed, after=after, limit=100)
    )


def count() -> Call[wire.CountOut]:
    """Ask for the badge."""
    return Call("GET", path("inbox", "count"), reader(wire.CountOut))


def item(id: str) -> Call[Item]:  # noqa: A002 - what the hub calls it
    """Ask for one item."""
    return Call("GET", path("inbox", id, id=id), reader(Item))


def mark_delivered(ids: Collection[str]) -> Call[wire.MarkOut]:
    """Say that these items have arrived."""
    return _mark(MarkAction.DELIVERED, wire.MarkIn(list(ids)))


def mark_seen(ids: Collection[str] = (), *, all: bool = False, through: str | None = None) -> Call[wire.MarkOut]:  # noqa: A002 - the hub's word, here and below
    """Mark items as seen: up to 1,000, or all; `through` a cursor, newer ones stay as they are."""
    return _mark(MarkAction.SEEN, wire.MarkIn(list(ids), all, through))


def mark_read(ids: Collection[str] = (), *, all: bool = False, through: str | None = None) -> Call[wire.MarkOut]:  # noqa: A002
    """Mark items as read, which cancels the steps of their plans that wait for that; otherwise as `mark_seen`."""
    return _mark(MarkAction.READ, wire.MarkIn(list(ids), all, through))


def mark_unread(ids: Collection[str] = (), *, all: bool = False, through: str | None = None) -> Call[wire.MarkOut]:  # noqa: A002
    """Let items count as unread again; otherwise as `mark_seen`."""
    return _mark(MarkAction.UNREAD, wire.MarkIn(list(ids), all, through))


def archive(ids: Collection[str] = (), *, all: bool = False, through: str | None = None) -> Call[wire.MarkOut]:  # noqa: A002
    """Put items away; otherwise as `mark_seen`."""
    return _mark(MarkAction.ARCHIVE, wire.MarkIn(list(ids), all, through))


def unarchive(ids: Collection[str] = (), *, all: bool = False, through: str | None = None) -> Call[wire.MarkOut]:  # noqa: A002
    """Bring items back; otherwise as `mark_seen`."""
    return _mark(MarkAction.UNARCHIVE, wire.MarkIn(list(ids), all, through))


def snooze(ids: Collection[str], until: str) -> Call[wire.MarkOut]:
    """Hide items until a time (RFC 3339)."""
    return _mark(MarkAction.SNOOZE, wire.MarkIn(list(ids), until=until))


def _mark(action: MarkAction, which: wire.MarkIn) -> Call[wire.MarkOut]:
    return Call("POST", path("inbox", action.value), reader(wire.MarkOut), body=encode(which))
