from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import ClassVar, Self
from uuid import UUID

from fallback.providers.base import Ok, Outcome, Surroundings
from fallback.render import Message
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.settings import Settings


class ScriptedProvider:
    """Ends its calls as the test says: by endpoint, else with `default`."""

    name: ClassVar[str] = "scripted"
    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)
    preference: ClassVar[int] = 0

    def __init__(self, outcomes: Mapping[str, Outcome] | None = None) -> None:
        self.default: Outcome | Exception = Ok("message-1")
        self.outcomes = dict(outcomes or {})
        self.calls: list[tuple[str, UUID]] = []
        self.closed = False
        self.block: asyncio.Event | None = None
        """While set, calls wait for it."""
        self.called = asyncio.Event()
        self.before: Callable[[], None] = lambda: None

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return True

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        return cls()

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        self.before()
        self.calls.append((endpoint.name, idempotency_key))
        self.called.set()
        if self.block is not None:
            await self.block.wait()
        outcome = self.outcomes.get(endpoint.address, self.default)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def close(self) -> None:
        self.closed = True
