"""A process that publishes in batches: `python -m tests.benchmarks.fallback.adder URL COUNT DELAY`.

As a library, like BullMQ's `addBulk`: the same calls that stand behind `POST /v1/notifications/batch`, without HTTP.
Says `ready`, waits for a line, and prints how many a second it published, after a tenth to warm up.
"""

from __future__ import annotations

import asyncio
import sys
import time
from math import ceil

import uvloop

from hub.bus.memory import MemoryBus
from hub.core import wire
from hub.service.notifications import Notifications
from hub.service.outbox import Outbox
from hub.store.clock import DatabaseClock
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from tests.benchmarks.fallback.bench import BATCH, USERS, WARM_UP
from tests.benchmarks.gateway.bellwire import key, name_of

AT_ONCE = 2
"""Batches on their way: the next is put together while the last commits."""


def request(number: int, after: float) -> wire.BatchItemIn:
    """A notification to one user, with an e-mail later."""
    return wire.BatchItemIn(
        recipients=[name_of(number % USERS)],
        category="order.shipped",
        title=f"Your order {number} is on its way",
        body="It should arrive on Thursday.",
        fallback=[wire.StepIn(channel="email", after=after)],
    )


async def add(notifications: Notifications, numbers: range, after: float) -> None:
    """Publish these, each batch as soon as there is room for it."""
    firsts = iter(numbers[::BATCH])

    async def publish() -> None:
        for first in firsts:
            batch = [request(number, after) for number in range(first, first + BATCH)]
            outcomes = await notifications.publish_batch(key("").tenant, batch)
            assert not any(isinstance(outcome, Exception) for outcome in outcomes)

    await asyncio.gather(*(publish() for _ in range(AT_ONCE)))


async def main(url: str, count: int, after: float) -> None:
    async with await open_database(url) as database:
        store, bus, clock = SqlInboxStore(database), MemoryBus(), DatabaseClock(database)
        await clock.sync()
        notifications = Notifications(store, Outbox(store, bus), bus, clock)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        warm = ceil(count / WARM_UP / BATCH) * BATCH
        await add(notifications, range(warm), after)
        begun = time.perf_counter()
        await add(notifications, range(warm, count), after)
        print((count - warm) / (time.perf_counter() - begun), flush=True)


if __name__ == "__main__":
    address, number, delay = sys.argv[1:]
    uvloop.run(main(address, int(number), int(delay) / 1000))
