"""Workers that are killed at random while they send.

Each delivery ends with one success, and is sent twice only if it was on its way when its worker was killed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from hub.core.model import Channel
from tests.support.carrier import Call, reply
from tests.support.ledger import check_account
from tests.support.pigeon import BUSY, NOT_HOME, path_of
from tests.support.workers import Workers

CREW = 3
FAILING = 0.2
"""The share of calls that fail for now: half of them for the recipient, half for the provider."""
SETTINGS = {"BELLWIRE_MAX_ATTEMPTS": '{"email": 20}', "BELLWIRE_CONCURRENCY": '{"email": 32}'}
"""Attempts beyond all chance: what is counted here are successes."""
PATIENCE = 900.0
"""Seconds until the next kill, or the end, after which something must be wrong."""
_NEWS_EVERY = 5_000
_LOOK_EVERY = 0.5
"""Seconds between two looks whether all have ended."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What it came to."""

    deliveries: int
    calls: int
    failed: int
    kills: int
    rescued: int
    """Deliveries that a killed worker held."""
    duplicates: int
    """Those of them that had been sent already."""
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.deliveries} deliveries, each with one success in the log: {self.calls} calls, {self.failed} failed "
            f"for now; {self.kills} workers killed, {self.rescued} deliveries rescued, {self.duplicates} of "
            f"those sent a second time; {self.deliveries / self.seconds:.0f} deliveries a second"
        )


async def worker_kills(
    workers: Workers, *, deliveries: int, kills: int, seed: int = 1, tell: Callable[[str], None] = lambda _line: None
) -> Figures:
    """Work off a full queue with a crew of which, so many times, somebody is killed and started anew."""
    dice = random.Random(seed)
    carrier, ledger = workers.carrier, workers.ledger

    numbers = count(1)

    async def mostly_well(call: Call) -> bytes:
        if next(numbers) % _NEWS_EVERY == 0:
            tell(f"{len(carrier.taken)} sent")
        if dice.random() < FAILING:
            return reply(dice.choice((NOT_HOME, BUSY)))
        return await carrier.take(call)

    carrier.manners[path_of(Channel.EMAIL)] = mostly_well
    await workers.publish(deliveries, "email")
    tell(f"{deliveries} published")
    begun = time.perf_counter()
    crew = [workers.worker() for _ in range(CREW)]
    await asyncio.gather(*(asyncio.to_thread(each.start) for each in crew))
    for at in sorted(dice.randrange(deliveries * 8 // 10) for _ in range(kills)):
        await carrier.until_taken(at + 1, PATIENCE)
        victim = dice.choice(crew)
        await asyncio.to_thread(victim.kill)
        tell(f"killed one of {CREW} after {len(carrier.taken)} were sent")
        await asyncio.to_thread(victim.start)
    await carrier.until_taken(deliveries * 8 // 10, PATIENCE)
    while {"queued", "sending"} & (await ledger.states()).keys():
        # Waits grow to minutes for those few that fail again and again.
        await ledger.hasten()
        await asyncio.sleep(_LOOK_EVERY)
    seconds = time.perf_counter() - begun
    entries = await ledger.entries()
    check_account(entries, carrier)
    return Figures(
        deliveries=len(entries),
        calls=len(carrier.calls[path_of(Channel.EMAIL)]),
        failed=sum(entry.failures for entry in entries.values()),
        kills=kills,
        rescued=sum(entry.rescues for entry in entries.values()),
        duplicates=carrier.duplicates.total(),
        seconds=seconds,
    )
