"""Databases with many users: filled once in a run, and lent to whoever measures there."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass

from hub.bus.memory import MemoryBus
from hub.service.inbox import Inbox
from hub.service.outbox import Outbox
from hub.store.clock import DatabaseClock
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.migrate import migrate
from tests.benchmarks.gateway.bellwire import Services, fresh
from tests.benchmarks.gateway.bench import Screen
from tests.support.population import Population, fill

SYSTEMS = ("PostgreSQL", "SQLite")


@dataclass(frozen=True, slots=True)
class Hub:
    """A node's use cases over one of the databases, without anybody connected."""

    url: str
    database: Database
    store: SqlInboxStore
    inbox: Inbox

    @classmethod
    async def open(cls, url: str, stack: AsyncExitStack, store: type[SqlInboxStore] = SqlInboxStore) -> Hub:
        """Open a database until the stack is left."""
        database = await stack.enter_async_context(await open_database(url))
        made, bus = store(database), MemoryBus()
        return cls(url, database, made, Inbox(made, Outbox(made, bus), bus, DatabaseClock(database)))


class Databases:
    """The databases of a run."""

    def __init__(self, services: Services, screen: Screen, stack: AsyncExitStack) -> None:
        """They are dropped as the stack is left."""
        self._services = services
        self._screen = screen
        self._stack = stack
        self._urls: dict[tuple[str, int], str] = {}

    async def url(self, system: str, users: int) -> str:
        """Return where there is a population of so many users."""
        if (system, users) not in self._urls:
            self._urls[system, users] = await self._filled(system, users)
        return self._urls[system, users]

    async def _filled(self, system: str, users: int) -> str:
        if system == "PostgreSQL":
            services = await self._stack.enter_async_context(fresh(self._services, f"bench_users_{users}"))
            url = services.postgres_url
        else:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwire-bench-"))
            url = f"sqlite:///{folder}/users.db"
            await migrate(url)
        population = Population(users)
        with self._screen.task(f"{system}: {users:,} users with {population.items:,} items", population.rows) as wrote:
            await fill(url, population, wrote)
        return url
