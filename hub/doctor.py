"""`bellwire doctor`: is this machine set up to run, and what to do if not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from fallback.providers.base import Surroundings
from fallback.registry import ProviderRegistry
from hub.core.errors import BellwireError, ConfigurationError
from hub.core.mailbox import DevMailbox
from hub.core.model import Channel
from hub.credentials import load_credentials
from hub.settings import Settings
from hub.store.engine import open_database
from hub.store.migrate import schema_is_current


class Finding(NamedTuple):
    """One thing looked at; `advice` says what to do when it is not `good`."""

    subject: str
    good: bool
    advice: str


class _WallClock:
    """This machine's time; nothing is stored with it."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000


async def examine(settings: Settings) -> bool:
    """Look at everything, print a table, and tell whether all is well."""
    findings = [finding async for finding in _findings(settings)]
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "how it is"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row("[green]✓[/]" if finding.good else "[red]✗[/]", finding.subject, finding.advice)
    Console(highlight=False).print(table)
    return all(finding.good for finding in findings)


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    yield Finding("mode", True, "development" if settings.development else "production")
    yield _credentials(settings)
    yield await _database(settings)
    yield await _bus(settings)
    for finding in _providers(settings):
        yield finding


def _credentials(settings: Settings) -> Finding:
    try:
        load_credentials(settings)
    except ConfigurationError as error:
        return Finding("credentials", False, str(error))
    return Finding("credentials", True, "API key and JWT secret are set")


async def _database(settings: Settings) -> Finding:
    kind = "PostgreSQL" if settings.postgres else "SQLite"
    try:
        database = await open_database(settings.resolved_database_url, exclusive=False)
    except BellwireError as error:
        return Finding("database", False, f"{kind} cannot be opened: {error}")
    try:
        current = await schema_is_current(database)
    except BellwireError as error:
        return Finding("database", False, f"{kind} cannot be read: {error}")
    finally:
        await database.close()
    if current:
        return Finding("database", True, f"{kind}, schema up to date")
    return Finding("database", not settings.postgres, f"{kind}, schema to be made or updated: run `bellwire migrate`")


async def _bus(settings: Settings) -> Finding:
    if settings.redis_url is None:
        return Finding("bus", True, "in-process: one node with its worker; set BELLWIRE_REDIS_URL for more")
    from hub.bus.redis import RedisBus  # noqa: PLC0415 - only when it is used

    bus = RedisBus(settings.redis_url)
    try:
        healthy = await bus.healthy()
    finally:
        await bus.close()
    advice = "Redis answers" if healthy else "Redis does not answer at BELLWIRE_REDIS_URL; is it running?"
    return Finding("bus", healthy, advice)


def _providers(settings: Settings) -> list[Finding]:
    try:
        chosen = ProviderRegistry.from_settings(settings, Surroundings(DevMailbox(), _WallClock())).names()
    except ConfigurationError as error:
        return [Finding("providers", False, str(error))]
    return [
        Finding(channel.value, True, chosen.get(channel, "no provider: steps of this channel are skipped"))
        for channel in Channel
    ]
