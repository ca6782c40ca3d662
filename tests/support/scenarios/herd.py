"""Everybody is cut at once and comes back with a cursor, through the door that admission holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from tests.support.cluster import Cluster, token
from tests.support.fleet import Fleet, busiest, lateness, open_fleet

DEVICES = 4
RECIPIENTS = 1_000
"""Of one publish, at most."""
WINDOWS = (1.0, 5.0, 10.0)
"""Seconds over which admission is counted."""
LAG = 1.0
"""Seconds by which a handshake may be noticed late, beside those by which this process is late for everything: what it
sees in a window took that much longer."""


def admission(rate: int, burst: int) -> dict[str, str]:
    """Return the settings of a node that takes so many connections a second."""
    return {"BELLWIRE_ADMISSION_RATE": str(rate), "BELLWIRE_ADMISSION_BURST": str(burst)}


async def herd(
    cluster: Cluster, port: int, cut: Callable[[], Coroutine[None, None, None]], *, clients: int, rate: int, burst: int
) -> None:
    """Connect clients at `port`, cut all with `cut`, publish meanwhile at the last node, and see everybody return.

    Nothing is lost or told twice; whoever is refused is told when to come back; and the node never takes more
    than `rate` connections a second beyond its `burst`.
    """
    users = [f"user-{number}" for number in range(clients // DEVICES)]
    async with open_fleet(token) as fleet, lateness() as late:
        await fleet.put_up(users, [port], DEVICES)
        await _tell_everybody(cluster, users)
        await fleet.settle(cluster.ports[-1])
        putting_up, fleet.handshakes = fleet.handshakes, []
        gone = [asyncio.create_task(member.gone.wait()) for member in fleet.members]
        async with asyncio.TaskGroup() as group:
            group.create_task(cut())
            await asyncio.wait(gone)
            await _tell_everybody(cluster, users)
        await fleet.live()
        await fleet.settle(cluster.ports[-1])
        cluster.check_promises(fleet)
        assert len(fleet.handshakes) >= clients
        _check_refusals(fleet)
        for moments in (putting_up, fleet.handshakes):
            for seconds in WINDOWS:
                assert busiest(moments, seconds) <= rate * (seconds + LAG + late()) + burst


def _check_refusals(fleet: Fleet) -> None:
    assert fleet.refusals, "so many at once cannot all be let in"
    assert {refusal.status for refusal in fleet.refusals} <= {503}
    assert not [refusal for refusal in fleet.refusals if refusal.after is None], "every refusal says when to come back"


async def _tell_everybody(cluster: Cluster, users: list[str]) -> None:
    for start in range(0, len(users), RECIPIENTS):
        await cluster.publish(cluster.ports[-1], users[start : start + RECIPIENTS])
