"""What is put on the bus for topics."""

from __future__ import annotations

import msgspec
import pytest

from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.frames import MAX_INLINE, members_change, shared_change
from hub.core.model import BROADCAST, MembershipChange, SharedEvent, TopicKey
from tests.unit.test_session import T0, item

EVENT = SharedEvent(TopicKey("default", BROADCAST), 7, 3, T0)


def test_an_item_goes_along_with_its_position_and_what_it_adds_to_counts() -> None:
    change = shared_change(EVENT, item(1, body="x" * 3_000).content)
    assert (change.position, change.previous, change.users) == (7, 3, None)
    frame = msgspec.json.decode(change.frame or b"", type=wire.ItemFrame)
    assert (frame.position, frame.delta, frame.cursor) == (7, wire.Counts(1, 1), None)
    assert (frame.item.title, frame.item.version, frame.item.read_at) == ("number 1", 0, None)
    assert frame.item.appeared_at == frame.item.created_at


def test_what_is_too_large_or_has_no_item_only_says_where_it_is() -> None:
    assert shared_change(EVENT, item(1, body="x" * MAX_INLINE).content) == wire.SharedChange(7, 3)
    assert shared_change(EVENT) == wire.SharedChange(7, 3)
    assert shared_change(EVENT._replace(appeared_at=None), item(1).content) == wire.SharedChange(7, 3)


@pytest.mark.parametrize(("count", "named"), [(1, True), (256, True), (257, False)])
def test_who_joined_or_left_is_named_up_to_4_kb_of_names(count: int, *, named: bool) -> None:
    users = [f"usër-{number:05d}-äöü"[:13] for number in range(count)]
    assert {len(user.encode()) for user in users} == {16}
    change = members_change(MembershipChange(7, 3, dict.fromkeys(users, Cursor("e", 1))))
    assert change == wire.SharedChange(7, 3, users=users if named else [])
