"""The sending half of the Redis bus."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from hub.bus.outage import Outage

_log = structlog.get_logger(__name__)

FLUSH_BYTES = 1_000_000
"""Most payload on the wire at once: Redis cuts off subscribers that are 32 MB behind."""


@dataclass(slots=True)
class _Job:
    """One call of `publish`: done once all its messages are."""

    left: int
    done: asyncio.Future[bool]
    whole: bool = True

    def sent(self, *, ok: bool) -> None:
        self.left -= 1
        self.whole = self.whole and ok
        if self.left == 0 and not self.done.done():
            self.done.set_result(self.whole)


class Publisher:
    """Sends messages in the order of the calls; what gathers while a flush is on its way shares the next one."""

    def __init__(self, client: Redis, outage: Outage, *, timeout: float) -> None:
        """`timeout` (seconds) bounds one flush."""
        self._client = client
        self._outage = outage
        self._timeout = timeout
        self._queue: deque[tuple[_Job, bytes, bytes]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def publish(self, messages: Sequence[tuple[bytes, bytes]]) -> bool:
        """Send `(channel, payload)` pairs; False if Redis did not take them all. Never raises."""
        if not messages or self._closed:
            return not messages
        loop = asyncio.get_running_loop()
        job = _Job(len(messages), loop.create_future())
        self._queue.extend((job, channel, payload) for channel, payload in messages)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._drain())
        return await job.done

    def try_again(self) -> None:
        """Forget an earlier failure: the server has been heard from since."""
        self._outage.worked()

    async def close(self) -> None:
        """Give up what is still queued, and whatever is asked for from now on."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        while self._queue:
            self._queue.popleft()[0].sent(ok=False)

    async def _drain(self) -> None:
        while self._queue:
            flush = [self._queue.popleft()]
            size = len(flush[0][2])
            while self._queue and size + len(self._queue[0][2]) <= FLUSH_BYTES:
                flush.append(self._queue.popleft())
                size += len(flush[-1][2])
            ok = False
            try:
                ok = await self._send([(channel, payload) for _, channel, payload in flush])
            finally:
                for job, _, _ in flush:
                    job.sent(ok=ok)

    async def _send(self, messages: Sequence[tuple[bytes, bytes]]) -> bool:
        if self._outage.holding_off:
            return False
        pipeline = self._client.pipeline(transaction=False)
        for channel, payload in messages:
            pipeline.publish(channel, payload)
        try:
            async with asyncio.timeout(self._timeout):
                await pipeline.execute()
        except (RedisError, OSError) as error:
            self._outage.failed(error)
            return False
        except Exception:  # noqa: BLE001 - whatever it is, a lost wake-up must not become a failed publish
            _log.exception("bus_publish_failed")
            return False
        self._outage.worked()
        return True
