"""Comparing everybody who is connected with the database: what the bus lost shows here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import structlog

from hub.core.errors import StoreUnavailable
from hub.core.model import InboxKey
from hub.core.wire import LiveChange
from hub.gateway.limits import Limits
from hub.gateway.metrics import GatewayMetrics
from hub.gateway.registry import Registry
from hub.gateway.topics import Topics
from hub.service import Hub

RETRY = 1.0
"""Seconds until the comparison is tried again after the database was away."""

log = structlog.get_logger(__name__)


class Reconciler:
    """Compares every `reconcile_interval`, and after each gap in the bus."""

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        topics: Topics,
        *,
        on_change: Callable[[InboxKey, LiveChange], None],
        limits: Limits,
        metrics: GatewayMetrics,
    ) -> None:
        """`on_change` is told of every user's version; whoever lags reads what they missed."""
        self._hub = hub
        self._registry = registry
        self._topics = topics
        self._on_change = on_change
        self._limits = limits
        self._metrics = metrics
        self._gap = asyncio.Event()

    def wake(self) -> None:
        """Compare soon: at random within `reconcile_spread`, since every node lost the bus at the same moment."""
        self._gap.set()

    async def reconcile(self) -> None:
        """Compare topics, and then all connected users, with the database.

        Raises:
            StoreUnavailable: some have not been compared.

        """
        checked = await self._topics.compare(self._limits.reconcile_batch)
        keys = self._registry.keys()
        for start in range(0, len(keys), self._limits.reconcile_batch):
            versions = await self._hub.inbox.versions(keys[start : start + self._limits.reconcile_batch])
            for key, cursor in versions.items():
                self._on_change(key, LiveChange(cursor.epoch, cursor.version, "change"))
                self._topics.confirm(key, cursor, checked)
        self._metrics.reconciles += 1

    async def run(self) -> None:
        """Compare until cancelled."""
        delay = self._limits.reconcile_interval
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._gap.wait()
                    await asyncio.sleep(random.uniform(0, self._limits.reconcile_spread))  # noqa: S311 - spreads load
            self._gap.clear()
            try:
                await self.reconcile()
            except StoreUnavailable:
                log.warning("store_away", task="reconcile")
                delay = min(delay, RETRY)
            except Exception as error:  # noqa: BLE001 - without this task a connection could stay behind for ever
                # Not the message: it may quote values.
                log.error("task_failed", task="reconcile", error=type(error).__name__)  # noqa: TRY400 - see above
                delay = min(delay, RETRY)
            else:
                delay = self._limits.reconcile_interval
