"""Random histories over real sockets, many of them, on PostgreSQL and Redis."""

from __future__ import annotations

import pytest

from tests.support.socket_machine import LANES, check


@pytest.mark.parametrize("lane", LANES)
def test_clients_behind_a_bad_network_end_equal_to_the_database(
    lane: str, postgres_url: str, flushed_redis_url: str
) -> None:
    check(LANES[lane], postgres_url, flushed_redis_url, examples=100)
