"""A process that publishes and acknowledges over a range of users, as fast as it can, once it is told to.

`python -m tests.benchmarks.publish.publisher URL FIRST LAST SECONDS`: says `ready`, waits for a line, then prints what
it did as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import uvloop
from structlog.testing import capture_logs

from hub.core.ids import uuid7
from hub.core.model import Content, MarkAction, Priority, Publication, Selection
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from tests.benchmarks.gateway.bellwire import key, name_of

CALLERS = 64
MOST_USERS = 4
ACKNOWLEDGED = 0.5
"""Of a notification's users, how many have seen it at once."""


@dataclass
class Done:
    published: int = 0
    marked: int = 0
    repeated: int = 0
    """Transactions that met a deadlock, or another conflict."""


async def contend(url: str, users: range, seconds: float) -> Done:
    done, numbers = Done(), count()
    async with await open_database(url) as database:
        store = SqlInboxStore(database)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        end = time.perf_counter() + seconds

        async def call(dice: random.Random) -> None:
            while time.perf_counter() < end:
                names = [name_of(number) for number in dice.sample(users, dice.randint(1, MOST_USERS))]
                published = await store.publish(publication(names, next(numbers)), now())
                done.published += 1
                seen = Selection(ids=(published.id,))
                for name in names:
                    if dice.random() < ACKNOWLEDGED:
                        await store.mark(key(name), MarkAction.SEEN, seen, now())
                        done.marked += 1

        with capture_logs() as logs:
            await asyncio.gather(*(call(random.Random(f"{users} {number}")) for number in range(CALLERS)))
        done.repeated = sum(line["event"] == "transaction_repeated" for line in logs)
    return done


def now() -> int:
    """Return the time as the store takes it."""
    return time.time_ns() // 1_000_000


def publication(users: Sequence[str], number: int, *, audience: str | None = None) -> Publication:
    """Make what a service publishes, to these users or to an audience."""
    at = now()
    content = Content(
        id=uuid7(at),
        tenant=key("").tenant,
        category="order.shipped",
        title=f"Your order {number} is on its way",
        body="It should arrive on Thursday.",
        action_url=f"/orders/{number}",
        data=None,
        actor=None,
        priority=Priority.NORMAL,
        inbox=True,
        collapse_key=None,
        created_at=at,
        deliver_at=None,
        expires_at=None,
    )
    return Publication(content, tuple(users), (), audience=audience)


if __name__ == "__main__":
    address, first, last, duration = sys.argv[1:]
    print(json.dumps(uvloop.run(contend(address, range(int(first), int(last)), float(duration))).__dict__))
