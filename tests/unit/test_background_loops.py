"""Background loops of a node outlive whatever a round raises."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hub import app
from hub.bus.memory import MemoryBus, MemoryPresence
from hub.core.errors import ConfigurationError
from hub.gateway import reconciler as module
from hub.gateway.gateway import Gateway
from hub.gateway.limits import Limits
from tests.support.clock import ManualClock


class Rounds:
    """The first fails as a database does that lets nobody in for a moment; the others work."""

    def __init__(self) -> None:
        self.count = 0
        self.third = asyncio.Event()

    async def __call__(self) -> int:
        self.count += 1
        if self.count == 1:
            raise ConfigurationError("the database does not let us in")
        if self.count == 3:
            self.third.set()
        return 0


async def test_the_sweep_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SWEEP_INTERVAL", 0.001)
    rounds = Rounds()
    upkeep: Any = SimpleNamespace(republish_leftovers=rounds)
    task = asyncio.create_task(app._sweep(upkeep))
    async with asyncio.timeout(5):
        await rounds.third.wait()
    task.cancel()


async def test_comparing_with_the_database_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.001)
    rounds = Rounds()
    hub: Any = SimpleNamespace(clock=ManualClock(), revoked=SimpleNamespace())
    keyring: Any = None
    gateway = Gateway(hub, keyring, MemoryBus(), MemoryPresence(), limits=Limits(reconcile_interval=0.001))
    monkeypatch.setattr(gateway._reconciler, "reconcile", rounds)
    await gateway.start()
    async with asyncio.timeout(5):
        await rounds.third.wait()
    await gateway.close()
