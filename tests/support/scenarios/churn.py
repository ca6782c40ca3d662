"""Clients come and go by the thousand, and leave nothing behind."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.support.cluster import Cluster, token, until
from tests.support.fleet import Fleet, open_fleet
from tests.support.member import Transport
from tests.support.usage import Usage, usage_of

AT_ONCE = 50
"""How many come and go at the same time; fewer than an address may have strangers."""
USERS = 500


@dataclass(frozen=True, slots=True)
class Traces:
    """What a node leaves in Redis."""

    channels: int
    presence: int
    """Fields of all presence entries."""


async def churn(cluster: Cluster, redis_url: str, *, warm_up: int, connects: int, slack: float) -> None:
    """Connect and disconnect `connects` times at the first node, after `warm_up` times, and compare.

    Tasks, descriptors, subscriptions and presence are exactly what they were; memory and objects within `slack`
    (a fraction). Every tenth client hears something meanwhile, so that the live path churns too.
    """
    node = cluster.nodes[0]
    async with Redis.from_url(redis_url) as redis, open_fleet(token) as fleet:
        idle = (await asyncio.to_thread(usage_of, node)).tasks
        await _come_and_go(cluster, fleet, warm_up)
        await _quiet(cluster, redis)
        before, traces = await asyncio.to_thread(usage_of, node), await _traces(redis)
        await _come_and_go(cluster, fleet, connects)
        await _quiet(cluster, redis)
        await until(lambda: _tasks_at_most(cluster, idle))
        after = await asyncio.to_thread(usage_of, node)
        assert await _traces(redis) == traces
        _compare(before, after, slack)
        fleet.check()


def _compare(before: Usage, after: Usage, slack: float) -> None:
    assert after.tasks <= before.tasks
    assert after.descriptors <= before.descriptors
    assert after.objects <= before.objects * (1 + slack)
    assert after.rss <= before.rss * (1 + slack)


async def _come_and_go(cluster: Cluster, fleet: Fleet, connects: int) -> None:
    """Half of them WebSocket, half SSE; half polite, half not; half of the sockets by a `connect` frame."""
    queue = iter(range(connects))

    async def visitor() -> None:
        for number in queue:
            kind = Transport.WEBSOCKET if number % 2 else Transport.SSE
            user = f"visitor-{number % USERS}"
            member = fleet.add(user, cluster.ports[0], kind, by_frame=number % 4 == 1)
            await member.connect()
            if number % 10 == 0:
                await cluster.publish(cluster.ports[-1], [user])
            await member.leave(rudely=number // 4 % 2 == 1)
            fleet.members.remove(member)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(visitor())


async def _quiet(cluster: Cluster, redis: Redis) -> None:
    """Wait until nobody counts as connected, and no inbox is listened to."""

    async def nobody() -> bool:
        return (await _traces(redis)).channels == 0 and not await cluster.connections_of(f"visitor-{USERS - 1}")

    await until(nobody)


async def _tasks_at_most(cluster: Cluster, most: int) -> bool:
    return (await asyncio.to_thread(usage_of, cluster.nodes[0])).tasks <= most


async def _traces(redis: Redis) -> Traces:
    channels = await redis.pubsub_channels("bellwire:inbox:*")
    sharded = await redis.execute_command("PUBSUB", "SHARDCHANNELS", "bellwire:inbox:*")
    presence = 0
    async for name in redis.scan_iter("bellwire:presence:user:*", count=1000):
        presence += await redis.hlen(name)
    return Traces(len(channels) + len(sharded), presence)
