"""Writing outcomes down: whatever gathered while the last write was on its way shares the next transaction."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import structlog

from fallback.loops import OUTAGE, Wait, origin, wait_for
from hub.core.errors import StoreUnavailable
from hub.core.retry import Random
from hub.ports import Clock, Settlement

BATCH = 500

log = structlog.get_logger(__name__)


class Settling(Protocol):
    """What the settler asks of the queue."""

    async def settle(self, settlements: Sequence[Settlement], now: int) -> Sequence[UUID]:
        """End claims (see `DeliveryQueue.settle`)."""
        ...


class Settler:
    """Settles in groups, and through an outage: what was sent and is not written down would be sent again."""

    def __init__(self, queue: Settling, clock: Clock, *, wait: Wait = wait_for, random: Random = random.random) -> None:
        self._queue = queue
        self._clock = clock
        self._wait = wait
        self._random = random
        self._pending: list[tuple[Settlement, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def settle(self, settlement: Settlement) -> bool:
        """Return once the settlement is written; False if the claim was not ours any more, or it was refused."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending.append((settlement, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="settler")
        return await written  # a caller that goes away leaves its settlement here

    async def close(self) -> None:
        """Give up what is not written; the leases will run out."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        for _, written in self._pending:
            written.cancel()
        self._pending = []

    async def _write(self) -> None:
        while self._pending:
            batch = self._pending[:BATCH]
            ours = await self._written([settlement for settlement, _ in batch])
            del self._pending[: len(batch)]
            for settlement, written in batch:
                if not written.done():
                    written.set_result(settlement.delivery in ours)

    async def _written(self, settlements: Sequence[Settlement]) -> set[UUID]:
        """Write settlements, waiting for the store as long as it takes; returns those that were still ours."""
        failures = 0
        while True:
            try:
                ours = set(await self._queue.settle(settlements, self._clock.now()))
            except StoreUnavailable:
                if failures == 0:
                    log.warning("store_unavailable", loop="settler", waiting=len(self._pending))
                failures += 1
                await self._wait(asyncio.Event(), OUTAGE.jitter(failures, self._random))
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not hold up the others' outcomes
                return await self._without_culprit(settlements, error)
            else:
                if failures:
                    log.info("store_back", loop="settler")
                return ours

    async def _without_culprit(self, settlements: Sequence[Settlement], error: Exception) -> set[UUID]:
        """Halve a batch that the database refuses until only the culprit fails."""
        if len(settlements) == 1:
            # Not the message: it quotes values.
            log.error(
                "settlement_refused",
                delivery=str(settlements[0].delivery),
                state=settlements[0].state.value,
                error=type(error).__name__,
                where=origin(error),
            )
            return set()
        middle = len(settlements) // 2
        return await self._written(settlements[:middle]) | await self._written(settlements[middle:])
