"""A worker process whose provider does nothing: `python -m tests.benchmarks.fallback.worker`.

Set up by the same environment as `bellwire worker`. Says `ready`, works from the first line that it is told to the
second, and prints for every send how many milliseconds after its time it came (for the case that wants to know).
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
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.logs import configure_logging
from hub.serving import spare_the_collector
from hub.settings import Settings

CONCURRENCY = 100


class NoProvider:
    """Takes every message over at once, and forgets it."""

    name: ClassVar[str] = "nothing"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.EMAIL})
    preference: ClassVar[int] = 0

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, float]] = []

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return True

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        return cls()

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        self.sent.append((idempotency_key, time.time() * 1000))
        return Ok()

    async def close(self) -> None:
        """Release nothing."""


async def work() -> None:
    provider = NoProvider()
    async with open_parts(Settings()) as parts:
        worker = Worker(
            hub=parts.hub,
            queue=parts.queue,
            expansions=parts.expansions,
            presence=parts.presence,
            providers=ProviderRegistry({Channel.EMAIL: [provider]}),
            renderer=Renderer(),
            concurrency=CONCURRENCY,
        )
        await parts.bus.start(worker)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with worker.running():
            await asyncio.to_thread(sys.stdin.readline)
    for delivery, at in provider.sent:
        print(delivery, at)
    print("done", flush=True)


if __name__ == "__main__":
    configure_logging(Settings())
    spare_the_collector()
    uvloop.run(work())
