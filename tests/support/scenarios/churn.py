"""Clients come and go by the thousand, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.support.cluster import Cluster, token, until
from tests.support.fleet import Fleet, open_fleet
from tests.support.member import Transport
from tests.support.usage import Usage, usage_of

AT_ONCE = 50
"""How many come and go at the same time; fewer than an address may have strangers."""
USERS = 500
POOLS = 32
"""Descriptors that come and go with the pools of connections to PostgreSQL and Redis, and the test's own REST calls."""
MORE_OBJECTS, MORE_OF_OURS, MORE_MEMORY = 10_000, 20, 0.05
"""Allowed: objects that the garbage collector knows, those of our own classes among them, and a fraction of the memory.

Each connection to PostgreSQL remembers 100 statements, about 700 objects, and how many there are depends on the load.
Nothing of ours may stay: of 100,000 connections not one in a thousand, and of theirs not one in ten.
"""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a node leaves in Redis."""

    channels: int
    presence: int
    """Fields of all presence entries."""


async def churn(cluster: Cluster, redis_url: str, *, warm_up: int, connects: int) -> None:
    """Connect and disconnect `connects` times at the first node, after `warm_up` times, and compare.

    Tasks, subscriptions and presence are exactly what they were, and memory as good as. Every tenth client hears
    something meanwhile, so that the live path churns too.
    """
    node = cluster.nodes[0]
    async with Redis.from_url(redis_url) as redis, open_fleet(token) as fleet:
        await _come_and_go(cluster, fleet, warm_up)
        await _quiet(cluster, redis)
        before, traces = await asyncio.to_thread(usage_of, node), await _traces(redis)
        await _come_and_go(cluster, fleet, connects)
        await _quiet(cluster, redis)

        after = before  # the look that found things as they were: the next one may come in the middle of a round

        async def as_before() -> bool:
            nonlocal after
            after = await asyncio.to_thread(usage_of, node)
            return Counter(after.tasks) <= Counter(before.tasks) and _ours(after, before).total() <= MORE_OF_OURS

        with suppress(TimeoutError):
            await until(as_before)
        assert Counter(after.tasks) <= Counter(before.tasks)
        assert await _traces(redis) == traces
        assert after.descriptors <= before.descriptors + POOLS
        assert _ours(after, before).total() <= MORE_OF_OURS, _ours(after, before)
        more = Counter(after.objects) - Counter(before.objects)
        assert more.total() <= MORE_OBJECTS, more.most_common(10)
        assert after.rss <= before.rss * (1 + MORE_MEMORY)
        assert not fleet.refusals
        fleet.check()


def _ours(after: Usage, before: Usage) -> Counter[str]:
    """Count the objects of our own classes that have come to stay."""
    more = Counter(after.objects) - Counter(before.objects)
    return Counter({kind: number for kind, number in more.items() if kind.startswith("hub.")})


async def _come_and_go(cluster: Cluster, fleet: Fleet, connects: int) -> None:
    """Half of them WebSocket, half SSE; half polite, half not; half of the sockets by a `connect` frame."""
    queue = iter(range(connects))

    async def visitor() -> None:
        for number in queue:
            kind = Transport.WEBSOCKET if number % 2 else Transport.SSE
            user = f"visitor-{number % USERS}"
            member = fleet.add(user, cluster.ports[:1], kind, by_frame=number % 4 == 1)
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


_INBOXES = "bellwire:{p*}:inbox:7:default?*"
"""Channels of users; that of the tenant as a whole has no name behind it."""


async def _traces(redis: Redis) -> Traces:
    channels = await redis.pubsub_channels(_INBOXES)
    sharded = await redis.pubsub_shardchannels(_INBOXES)
    presence = 0
    async for name in redis.scan_iter("bellwire:{p*}:presence:user:*", count=1000):
        presence += await redis.hlen(name)
    return Traces(len(channels) + len(sharded), presence)
