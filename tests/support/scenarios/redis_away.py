"""Redis goes, comes back empty, is flushed or hangs, while publishing goes on at every node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from redis.asyncio import Redis

from tests.support.cluster import Cluster, token, until
from tests.support.fleet import open_fleet
from tests.support.valkey import Valkey

Fault = Callable[[Valkey], AbstractAsyncContextManager[None]]
USERS = [f"user-{number}" for number in range(40)]
DEVICES = 3
GROUP = 5
"""Recipients of one publish."""


@asynccontextmanager
async def stopped(valkey: Valkey) -> AsyncIterator[None]:
    """Kill it; it comes back empty."""
    await asyncio.to_thread(valkey.kill)
    yield
    await asyncio.to_thread(valkey.start)


@asynccontextmanager
async def hanging(valkey: Valkey) -> AsyncIterator[None]:
    """Stop it where it is: connections stay, nothing answers."""
    valkey.pause()
    try:
        yield
    finally:
        valkey.resume()


@asynccontextmanager
async def flushed(valkey: Valkey) -> AsyncIterator[None]:
    """Empty it, before and after."""
    async with Redis.from_url(valkey.url) as redis:
        await redis.flushall()
        yield
        await redis.flushall()


async def redis_away(cluster: Cluster, valkey: Valkey, fault: Fault, seconds: float, *, presence: bool = False) -> None:
    """Publish without a pause from before a fault of so many seconds until after it.

    No publish fails, and every client ends equal to the database. With `presence`, wait for that to be right again
    too: at the latest with the next sign of life.
    """
    async with open_fleet(token) as fleet:
        await fleet.put_up(USERS, cluster.ports, DEVICES)
        stop = asyncio.Event()
        told: asyncio.Queue[str] = asyncio.Queue()

        async def publish(port: int) -> None:
            while not stop.is_set():
                told.put_nowait(await cluster.publish(port, fleet.dice.sample(USERS, GROUP)))

        async with asyncio.TaskGroup() as group:
            publishers = [group.create_task(publish(port)) for port in cluster.ports for _ in range(2)]
            await told.get()
            async with fault(valkey):
                await asyncio.wait(publishers, timeout=seconds)  # the outage itself; it ends early if a publish fails
            for _ in range(told.qsize() + len(publishers)):
                await told.get()  # what was under way, and something that each has published since
            stop.set()
        await fleet.settle(cluster.ports[0])
        cluster.check_promises(fleet)
        assert not fleet.refusals
        assert not [member.endings for member in fleet.members if member.endings], "nobody had to be cut for it"
        if presence:

            async def everybody() -> bool:
                return all([await cluster.connections_of(user) == DEVICES for user in USERS])

            await until(everybody)
