"""A worker process whose provider does nothing: `python -m tests.benchmarks.fallback.worker SECONDS [times]`.

SECONDS is what a send takes, 0 for nothing at all. Set up by the same environment as `bellwire worker`. Says `ready`,
works from the first line that it is told to the second, and prints how many it has sent whenever there are more; or,
with `times`, in the end for every send when it was.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import ClassVar, Self
from uuid import UUID

import uvloop

from fallback.providers.base import Ok, Outcome, Surroundings
from fallback.registry import ProviderRegistry
from fallback.render import Message, Renderer
from fallback.worker import Worker
from hub.app import open_parts
from hub.collector import spare_the_collector
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.logs import configure_logging
from hub.settings import Settings

CONCURRENCY = 100
SENT = "sent "
"""What a line begins with that tells how many were sent."""
_TELL = 0.02
"""Seconds between two such lines."""


class NoProvider:
    """Takes every message over at once, and forgets it."""

    name: ClassVar[str] = "nothing"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.EMAIL})
    preference: ClassVar[int] = 0

    def __init__(self, takes: float = 0) -> None:
        self.sent: list[tuple[UUID, float]] = []
        self._takes = takes

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return True

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        return cls()

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        if self._takes:
            await asyncio.sleep(self._takes)
        self.sent.append((idempotency_key, time.time() * 1000))
        return Ok()

    async def close(self) -> None:
        """Release nothing."""


async def work(takes: float, *, times: bool) -> None:
    provider = NoProvider(takes)
    async with open_parts(Settings()) as parts:
        worker = Worker(
            hub=parts.hub,
            queue=parts.queue,
            expansions=parts.expansions,
            presence=parts.presence,
            providers=ProviderRegistry({Channel.EMAIL: [provider]}),
            renderer=Renderer(),
            concurrency=CONCURRENCY,
            reports=parts.reports,
        )
        await parts.bus.start(worker)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with worker.running():
            telling = asyncio.create_task(_tell(provider) if not times else asyncio.sleep(0))
            await asyncio.to_thread(sys.stdin.readline)
            telling.cancel()
    if times:
        for delivery, at in provider.sent:
            print(delivery, at)
        print("done", flush=True)


async def _tell(provider: NoProvider) -> None:
    """Tell how many were sent, now and then."""
    told = 0
    while True:
        await asyncio.sleep(_TELL)
        if len(provider.sent) > told:
            told = len(provider.sent)
            print(f"{SENT}{told}", flush=True)


if __name__ == "__main__":
    configure_logging(Settings())
    spare_the_collector()
    uvloop.run(work(float(sys.argv[1]), times="times" in sys.argv))
