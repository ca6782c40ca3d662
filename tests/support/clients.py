"""The Python clients as one: the blocking driver and the one for asyncio, called alike by tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hub.client import AsyncBellwire, AsyncInbox, Bellwire, Inbox, Patience

QUICK = Patience(attempts=6, first_wait=0.02, longest_wait=0.05)
"""As patient as a program would be, on a clock for tests."""


class Blocking:
    """A blocking client, in a thread of its own for each call."""

    def __init__(self, client: Bellwire | Inbox) -> None:
        self.client = client

    async def call(self, name: str, /, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client, name), *arguments, **options)

    async def all(self, name: str, /, *arguments: Any, **options: Any) -> list[Any]:
        return await asyncio.to_thread(lambda: list(getattr(self.client, name)(*arguments, **options)))

    async def close(self) -> None:
        self.client.close()


class Async:
    """A client for asyncio."""

    def __init__(self, client: AsyncBellwire | AsyncInbox) -> None:
        self.client = client

    async def call(self, name: str, /, *arguments: Any, **options: Any) -> Any:
        return await getattr(self.client, name)(*arguments, **options)

    async def all(self, name: str, /, *arguments: Any, **options: Any) -> list[Any]:
        return [each async for each in getattr(self.client, name)(*arguments, **options)]

    async def close(self) -> None:
        await self.client.aclose()


Client = Blocking | Async

DRIVERS = ("blocking", "asyncio")


@asynccontextmanager
async def publisher(driver: str, url: str, api_key: str, patience: Patience = QUICK) -> AsyncIterator[Client]:
    """Open a publisher's client."""
    client: Client = (
        Blocking(Bellwire(url, api_key, patience=patience))
        if driver == "blocking"
        else Async(AsyncBellwire(url, api_key, patience=patience))
    )
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def inbox(driver: str, url: str, token: str, patience: Patience = QUICK) -> AsyncIterator[Client]:
    """Open a user's client."""
    client: Client = (
        Blocking(Inbox(url, token, patience=patience))
        if driver == "blocking"
        else Async(AsyncInbox(url, token, patience=patience))
    )
    try:
        yield client
    finally:
        await client.close()
