"""The cursor."""

from __future__ import annotations

import pytest

from hub.core.cursor import Cursor, epoch_of
from hub.core.errors import InvalidRequest


def test_a_cursor_survives_the_trip_to_a_client_and_back() -> None:
    cursor = Cursor(epoch_of("cluster", "head"), 17, 3)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    ["", "garbage", "0123456789ab.1", "0123456789ab.-1.0", "0123456789ab.1.0.0", "0123456789AB.1.0", "0123456789ab.١.0",
     "0123456789ab.9999999999999999999.0", " 0123456789ab.1.0", "0123456789ab.1.0\n"],
)  # fmt: skip
def test_a_cursor_that_we_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Cursor.parse(text)


def test_another_database_or_another_head_is_another_epoch() -> None:
    assert (
        len({epoch_of("a", "b"), epoch_of("a", "c"), epoch_of("b", "b"), epoch_of("ab", ""), epoch_of("", "ab")}) == 5
    )
