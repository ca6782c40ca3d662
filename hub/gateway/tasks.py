"""Background tasks that somebody owns: none is lost, none fails unheard, all end with their owner."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

import structlog

from hub.core.errors import StoreUnavailable

log = structlog.get_logger(__name__)


class Tasks:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, coroutine: Coroutine[object, None, None], name: str) -> asyncio.Task[None]:
        """Run a coroutine; what it raises is logged."""
        task = asyncio.create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 - past it the rest is cancelled, not abandoned
        """Wait until all have ended, those too that they start; cancel what still runs after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._running:
                    await asyncio.wait(self._running)
        await self.cancel()

    async def cancel(self) -> None:
        """Cancel all, and wait for their end."""
        while self._running:
            for task in self._running:
                task.cancel()
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, StoreUnavailable):
            log.warning("store_away", task=task.get_name())
        elif error is not None:
            log.error("task_failed", task=task.get_name(), exc_info=error)
