"""Clients that stop reading, dawdle, flood or send rubbish, beside good ones whose deliveries are timed."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from tests.support.cluster import Cluster, token, until
from tests.support.fleet import Fleet, open_fleet
from tests.support.member import Member
from tests.support.process import REPOSITORY

EACH = 5
"""Pests of each kind."""
PUBLISHERS = 4
WORSE = 10.0
"""How many times the p99 without bad clients it may be with them: what is bounded is disturbance, not speed."""
LARGE = "x" * 3_500
"""A body that still travels inline."""
MANY = 2_500
"""Large items that more than fill a socket's buffers on both sides, and the budget."""
DEADLINES = {"deaf": 30.0, "dawdles_over_head": 30.0, "dawdles_over_connect": 20.0, "floods": 10.0, "rubbish": 20.0}
"""Seconds in which each kind has to be cut: the server's own deadlines, and as much again for a slow machine."""
PATIENCE = 60.0

CUTS = re.compile(
    r"bellwire_gateway_connections_closed_total\{.*reason=\"(too_slow|stalled|rate_limited|protocol_error|bad_frame)\""
)
"""The counters of connections that a node has cut, by reason."""
DEAF = "pest-deaf"
"""The user whose devices stop reading."""


async def bad_clients(cluster: Cluster, *, good: int, rounds: int, kinds: Sequence[str]) -> float:
    """Time deliveries to `good` clients without, with and without bad ones; all pests live at the first node.

    No good client misses anything, is told anything twice, or is cut; every bad one is cut, and counted.
    Returns the p99 with bad clients, as a multiple of the worse one without. `kinds` are of `pests.KINDS`.
    """
    users = [f"good-{number}" for number in range(good)]
    port = cluster.ports[0]
    async with open_fleet(token) as fleet:
        await fleet.put_up(users, [port])
        members = list(fleet.members)
        before = await _p99(cluster, fleet, members, rounds)
        async with AsyncExitStack() as stack:
            cuts = {kind: await stack.enter_async_context(pests(port, kind)) for kind in kinds}
            deaf = cuts.pop("deaf", None) is not None  # they cannot notice it
            waits = {kind: asyncio.create_task(_in_time(cut, DEADLINES[kind])) for kind, cut in cuts.items()}
            async with asyncio.TaskGroup() as group:
                if deaf:
                    group.create_task(_fill_the_deaf(cluster))
                during = await _p99(cluster, fleet, members, rounds)
            if deaf:
                await _await_the_cut_of_the_deaf(cluster)
            borne = [kind for kind, in_time in waits.items() if not await in_time]
        after = await _p99(cluster, fleet, members, rounds)
        await fleet.settle(cluster.ports[0])
        cluster.check_promises(fleet)
        assert not [member.endings for member in members if member.endings], "a good client was cut"
        assert not borne, "these were not cut in time"
        counters = await cluster.metrics()
        assert sum(count for name, count in counters.items() if CUTS.match(name)) >= EACH
    return during / max(before, after)


@asynccontextmanager
async def pests(port: int, kind: str) -> AsyncIterator[asyncio.Event]:
    """Have `EACH` pests of a kind; the event is set once every one of them has been cut."""
    command = (sys.executable, "-m", "tests.support.pests", str(port), kind, str(EACH))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdin is not None
    all_cut = asyncio.Event()
    listening = asyncio.create_task(_listen(process.stdout, all_cut))
    try:
        yield all_cut
    finally:
        process.stdin.close()
        await process.wait()
        await listening
    assert process.returncode == 0


async def _listen(output: asyncio.StreamReader, all_cut: asyncio.Event) -> None:
    uncut = set(range(EACH))
    async for line in output:
        uncut.discard(int(line))
        if not uncut:
            all_cut.set()


async def _in_time(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


async def _p99(cluster: Cluster, fleet: Fleet, members: Sequence[Member], rounds: int) -> int:
    """Publish to all members in groups, each round when the last has arrived; return nanoseconds."""
    latencies: list[int] = []
    fleet.latencies = latencies
    await asyncio.gather(*(_publish(cluster, members[n::PUBLISHERS], rounds) for n in range(PUBLISHERS)))
    fleet.latencies = None
    assert len(latencies) == rounds * len(members)
    return sorted(latencies)[len(latencies) * 99 // 100]


async def _publish(cluster: Cluster, members: Sequence[Member], rounds: int) -> None:
    users = [member.user for member in members]
    for _ in range(rounds):
        notification = await cluster.publish(cluster.ports[-1], users)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(member.hold(notification) for member in members))


async def _fill_the_deaf(cluster: Cluster) -> None:
    """Once they are connected, send them more than fits between them and the server."""

    async def connected() -> bool:
        return await cluster.connections_of(DEAF) == EACH

    await until(connected)

    async def publish() -> None:
        for _ in range(MANY // PUBLISHERS):
            await cluster.publish(cluster.ports[-1], [DEAF], body=LARGE)

    await asyncio.gather(*(publish() for _ in range(PUBLISHERS)))


async def _await_the_cut_of_the_deaf(cluster: Cluster) -> None:
    """They cannot notice it themselves: the server counts them as connected no more."""

    async def cut() -> bool:
        return await cluster.connections_of(DEAF) == 0

    await until(cut, DEADLINES["deaf"])
