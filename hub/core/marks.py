"""Reading what a client wants to mark: shared by WebSocket frames and REST bodies."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.errors import InvalidRequest
from hub.core.model import MarkAction, Selection
from hub.core.views import parse_rfc3339

MAX_IDS = 1_000

_ACTIONS: dict[type[wire.MarkFrame], MarkAction] = {
    wire.Delivered: MarkAction.DELIVERED,
    wire.Seen: MarkAction.SEEN,
    wire.Read: MarkAction.READ,
    wire.Unread: MarkAction.UNREAD,
    wire.Archive: MarkAction.ARCHIVE,
    wire.Unarchive: MarkAction.UNARCHIVE,
    wire.Snooze: MarkAction.SNOOZE,
}


def parse_id(text: str, pointer: str) -> UUID:
    """Read an item's id.

    Raises:
        InvalidRequest: not a UUID.

    """
    try:
        return UUID(text)
    except ValueError:
        raise InvalidRequest("is not an id", pointer=pointer) from None


def selection_of(ids: Sequence[str], *, all_: bool, through: str | None) -> Selection:
    """Read which items are meant.

    Raises:
        InvalidRequest: neither or both of `ids` and `all`, too many ids, `through` without `all`, a bad cursor.

    """
    if all_ == bool(ids):
        raise InvalidRequest("give either `ids` (not empty) or `all: true`", pointer="$.ids")
    if through is not None and not all_:
        raise InvalidRequest("`through` goes with `all: true`", pointer="$.through")
    if len(ids) > MAX_IDS:
        raise InvalidRequest(f"at most {MAX_IDS:,} ids; use `all` with `through` for more", pointer="$.ids")
    unique = dict.fromkeys(parse_id(text, f"$.ids[{index}]") for index, text in enumerate(ids))
    return Selection(tuple(unique), all_, None if through is None else Cursor.parse(through))


def mark_of(frame: wire.MarkFrame) -> tuple[MarkAction, Selection, int | None]:
    """Read a frame that marks items: the action, which items, and until when (snooze only).

    Raises:
        InvalidRequest: see `selection_of`.

    """
    until = parse_rfc3339(frame.until, "$.until") if isinstance(frame, wire.Snooze) else None
    selection = selection_of(frame.ids, all_=frame.all, through=frame.through)
    return _ACTIONS[type(frame)], selection, until
