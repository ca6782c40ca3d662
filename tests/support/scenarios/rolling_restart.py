"""Both nodes are restarted, one after the other, while clients listen and publishers publish."""

from __future__ import annotations

import asyncio

from tests.support.cluster import Cluster, token
from tests.support.fleet import Fleet, open_fleet
from tests.support.member import Transport
from tests.support.streams import CLEAN_END

DRAIN_TIMEOUT = 5
SETTINGS = {"BELLWIRE_DRAIN_TIMEOUT": str(DRAIN_TIMEOUT)}
MARGIN = 20
"""Seconds beyond the drain that a process has for closing what it holds, on a busy machine."""
GOING_AWAY = 4000
DEVICES = 2
GROUP = 5


async def rolling_restart(cluster: Cluster, *, users: int) -> None:
    """Restart each node with SIGTERM; nothing is lost or told twice, and everybody was told to go.

    Every WebSocket saw the close code in a real close handshake, every SSE stream the `reconnect` event and its end.
    """
    names = [f"user-{number}" for number in range(users)]
    async with open_fleet(token) as fleet:
        await fleet.put_up(names, cluster.ports, DEVICES)
        stop = asyncio.Event()

        async def publish(first: int) -> None:
            while not stop.is_set():
                await cluster.publish_somewhere(fleet.dice.sample(names, GROUP), first)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(publish(number))
            for number, node in enumerate(cluster.nodes):
                port = cluster.ports[number]
                here = [member for member in fleet.members if member.ports[0] == port]
                assert here
                async with asyncio.timeout(DRAIN_TIMEOUT + MARGIN):
                    await asyncio.to_thread(node.stop)
                await asyncio.to_thread(node.start)
                await fleet.live()
            stop.set()
        await fleet.settle(cluster.ports[0])
        cluster.check_promises(fleet)
        check_farewells(fleet)


def check_farewells(fleet: Fleet) -> None:
    """Check that whoever was sent away was told so, and how it ended."""
    endings = [(member.transport, ending) for member in fleet.members for ending in member.endings]
    assert endings
    for transport, ending in endings:
        assert ending.after_ms is not None, f"{transport} ended without `reconnect`: {ending}"
        assert ending.code == (GOING_AWAY if transport is Transport.WEBSOCKET else CLEAN_END)
