"""Random histories over real sockets: whatever the network does, every client ends equal to the database."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.socket_machine import Serve, SocketMachine, serve_portably

LANES = {"portable": serve_portably}
"""The ways to serve a gateway."""


def check(serve: Serve, database_url: str, redis_url: str | None, examples: int) -> None:
    members = {"database_url": database_url, "redis_url": redis_url, "serve": staticmethod(serve)}
    run_state_machine_as_test(
        type("Machine", (SocketMachine,), members),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize="CI" in os.environ,  # a landing is not a lottery: other runs explore
            phases=(
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
            ),  # sockets never repeat a history well enough to shrink
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("lane", LANES)
def test_clients_behind_a_bad_network_end_equal_to_the_database(lane: str, sqlite_url: str) -> None:
    check(LANES[lane], sqlite_url, None, examples=10)
