"""`bellwire archive`: a keeper, opened beside whatever else works on the database, and what it shows of its work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from hub.archive.directory import Directory
from hub.core import archives
from hub.core.errors import ConfigurationError, InvalidRequest
from hub.core.model import Untold
from hub.core.text import check_id
from hub.ports import Clock, Shelf
from hub.service.outbox import Outbox
from hub.service.retention import Keeper, Step, Summary, Tell, Unkept
from hub.settings import Settings
from hub.store.clock import DatabaseClock
from hub.store.engine import open_database
from hub.store.inbox import SqlInboxStore
from hub.store.migrate import schema_is_current
from hub.store.retention import SqlRetention

_console = Console(highlight=False)


async def archive(settings: Settings, older_than: str, to: str, tenant: str | None, *, dry_run: bool) -> None:
    """Archive what is older than an age, and tell what was done.

    Raises:
        ConfigurationError: the age is none, nothing can be written there, or the schema is not current.
        ArchiveUnavailable, StoreUnavailable: it broke off; running it again goes on.

    """
    age = archives.parse_age(older_than, "--older-than")
    if tenant is not None:
        try:
            check_id(tenant, "--tenant")
        except InvalidRequest as error:
            raise ConfigurationError(f"--tenant {error.detail}") from None
    shelf = Unkept() if dry_run else _open_shelf(to)
    async with _open_keeper(settings, shelf) as (keeper, clock):
        moment = clock.now() - age
        tenants = await keeper.tenants()
        if tenant is not None:
            tenants = [each for each in tenants if each == tenant]
        try:
            for each in tenants:
                await _watch(each, keeper.count(each, moment) if dry_run else keeper.run(each, moment), moment)
        finally:
            _tell(keeper.summary, dry_run=dry_run)


def _open_shelf(to: str) -> Shelf:
    if "://" not in to:
        return Directory(Path(to))
    from hub.archive.remote import Remote  # noqa: PLC0415 - only when it is used

    return Remote(to)


@asynccontextmanager
async def _open_keeper(settings: Settings, shelf: Shelf) -> AsyncIterator[tuple[Keeper, Clock]]:
    """Open the database as a guest: who serves it goes on.

    With Redis, changes are told right away. Without, the process that serves tells them: it finds the wake-up rows.
    """
    async with AsyncExitStack() as stack:
        database = await open_database(settings.resolved_database_url, exclusive=False)
        stack.push_async_callback(database.close)
        if not await schema_is_current(database):
            raise ConfigurationError("the database's schema is not current; run `bellwire migrate` first")
        clock = DatabaseClock(database)
        await clock.sync()
        tell: Tell = _leave
        if settings.redis_url is not None:
            from hub.bus.redis import RedisBus  # noqa: PLC0415 - only when it is used

            bus = RedisBus(settings.redis_url)
            stack.push_async_callback(bus.close)
            outbox = Outbox(SqlInboxStore(database), bus)
            stack.push_async_callback(outbox.settle_told)
            tell = outbox.tell_applied
        yield Keeper(SqlRetention(database), clock, shelf, tell), clock


async def _leave(_told: Sequence[Untold]) -> None:
    """Tell nobody: the wake-up rows are there."""


async def _watch(tenant: str, steps: AsyncIterator[Step], moment: int) -> None:
    """Follow a run: with a bar on a terminal, elsewhere with a line a step."""
    name = Text(tenant if tenant.isprintable() else repr(tenant)).markup
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console, disable=not _console.is_terminal) as progress:
        bar: TaskID | None = None
        async for step in steps:
            # By age: what was made between the first and the moment asked for is the way to go.
            bar = progress.add_task(name, total=max(moment - step.first, 1)) if bar is None else bar
            progress.update(bar, completed=step.reached - step.first)
            if not _console.is_terminal:
                _console.print(
                    f"{name}: {step.looked_at:,} looked at, {step.file or 'nothing to write'}", soft_wrap=True
                )
        if bar is not None:
            progress.update(bar, completed=max(moment, 1))


def _tell(summary: Summary, *, dry_run: bool) -> None:
    done = "would be archived" if dry_run else "archived"
    into = f" in {len(summary.files):,} files ({summary.lines:,} lines)" if summary.files else ""
    _console.print(f"{summary.notifications:,} notifications {done}{into}", soft_wrap=True)
    for hold, count in sorted(summary.held.items()):
        if count:
            _console.print(f"{count:,} left: {hold.value}", soft_wrap=True)
    if summary.trimmed:
        _console.print(f"{summary.trimmed:,} rows of shared logs trimmed", soft_wrap=True)
