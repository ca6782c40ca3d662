"""A bus listener that keeps what it hears, to be awaited."""

from __future__ import annotations

import asyncio

from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange

PATIENCE = 20.0
"""Seconds after which a test that waits for an event gives up; never a measure of anything."""


class RecordingListener:
    """Implements `BusListener`."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[tuple[InboxKey, LiveChange]] = asyncio.Queue()
        self.shared: asyncio.Queue[tuple[TopicKey, SharedChange]] = asyncio.Queue()
        self.gaps: asyncio.Queue[None] = asyncio.Queue()
        self.dues: asyncio.Queue[int] = asyncio.Queue()

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        self.changes.put_nowait((key, change))

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        self.shared.put_nowait((key, change))

    def on_gap(self) -> None:
        self.gaps.put_nowait(None)

    def on_due(self, due_at: int) -> None:
        self.dues.put_nowait(due_at)

    async def next_change(self) -> tuple[InboxKey, LiveChange]:
        async with asyncio.timeout(PATIENCE):
            return await self.changes.get()

    async def next_shared(self) -> tuple[TopicKey, SharedChange]:
        async with asyncio.timeout(PATIENCE):
            return await self.shared.get()

    async def next_gap(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.gaps.get()

    async def next_due(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.dues.get()
