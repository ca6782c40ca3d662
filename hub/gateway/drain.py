"""Emptying a node that stops: its clients leave one after the other, at a pace that the other nodes bear."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from hub.gateway.connection import Connection
from hub.gateway.limits import Limits

log = structlog.get_logger(__name__)

STEP = 0.05
"""Seconds between two groups of goodbyes."""

SHARE = 0.7
"""Of the drain timeout, for saying goodbye; the rest is for the closing handshakes of the last."""


class Drain:
    """Until a client's turn comes, it is served as ever."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def run(self, connections: Sequence[Connection], empty: asyncio.Event) -> None:
        """Say goodbye to all; returns when `empty` is set, or after the drain timeout."""
        spread = min(len(connections) / self._limits.comeback_rate, self._limits.comeback_spread / 1000)
        window = min(spread, self._limits.drain_timeout * SHARE)
        # Those for whom the drain timeout leaves no room are told to wait before they come back.
        beyond = max(1, int((spread - window) * 1000))
        try:
            async with asyncio.timeout(self._limits.drain_timeout):
                await self._say_goodbye(connections, window, beyond)
                await empty.wait()
        except TimeoutError:
            pass

    async def _say_goodbye(self, connections: Sequence[Connection], window: float, beyond: int) -> None:
        steps = max(1, int(window / STEP))
        group = -(-len(connections) // steps)
        for start in range(0, len(connections), group):
            if start:
                await asyncio.sleep(STEP)
            for connection in connections[start : start + group]:
                try:
                    connection.drain(random.randrange(beyond))  # noqa: S311 - not for secrecy
                except Exception:  # the others are to hear of it all the same
                    log.exception("goodbye_failed")
