"""Random histories over real sockets: whatever the network does, every client ends equal to the database."""

from __future__ import annotations

import pytest

from tests.support.socket_machine import LANES, check


@pytest.mark.parametrize("lane", LANES)
def test_clients_behind_a_bad_network_end_equal_to_the_database(lane: str, sqlite_url: str) -> None:
    check(LANES[lane], sqlite_url, None, examples=10)
