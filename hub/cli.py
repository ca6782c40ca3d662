"""`bellwire`: serve, worker, migrate, archive, send, listen, token, doctor; queues and schedules come along."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from hub import command_queues, command_schedules
from hub.command import address_of as _address
from hub.command import api_key_of as _api_key
from hub.command import run as _run
from hub.command import settings_of as _settings
from hub.command_remote import Url
from hub.core.errors import BellwireError, ConfigurationError
from hub.settings import Settings

# Each command imports what it needs when it runs: `bellwire --help` answers at once, and `serve` is ready sooner.
if TYPE_CHECKING:
    from hub.app import Parts
    from hub.core.mailbox import DevMailbox
    from hub.ports import BusListener

app = typer.Typer(
    name="bellwire",
    help="Self-hosted, real-time in-app notifications with multichannel fallback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals could hold secrets
    rich_markup_mode="rich",
)

User = Annotated[str, typer.Option("--user", "-u", help="The user's id.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [BELLWIRE_HOST, 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [BELLWIRE_PORT, 8000].")] = None,
    worker: Annotated[bool | None, typer.Option("--worker/--no-worker", help="Run the fallback worker inside.")] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds that live clients have to leave when it stops [BELLWIRE_DRAIN_TIMEOUT, 10].", min=0),
    ] = None,
) -> None:
    """Serve a node: REST, WebSocket, SSE, polling and the demo page."""
    from hub.serving import serve as serve_node

    settings = _settings(host=host, port=port, worker=worker, drain_timeout=drain_timeout)
    _run(serve_node(settings, _worker_inside if settings.worker else None))


@app.command()
def worker() -> None:
    """Run a fallback worker of its own, beside nodes that `serve --no-worker`."""
    _run(_worker_alone(_settings()))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    from hub.store.migrate import migrate as migrate_database

    settings = _settings()
    _run(migrate_database(settings.resolved_database_url))
    typer.echo("The schema is up to date.")


@app.command()
def archive(
    older_than: Annotated[str, typer.Option(help="Age from which on notifications go: 90d, 12w, 36h.")],
    to: Annotated[str, typer.Option(help="A directory, or a URL that fsspec knows, such as s3://bucket/path.")],
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Write old notifications to compressed JSON Lines, then delete them. Nodes and workers go on meanwhile."""
    from hub.archiving import archive as archive_old

    _run(archive_old(_settings(), older_than, to, tenant, dry_run=dry_run))


@app.command()
def token(
    user: User,
    ttl: Annotated[int, typer.Option(help="Seconds until it expires.", min=1)] = 3600,
) -> None:
    """Print a token for a user, signed with BELLWIRE_JWT_SECRET (or the generated development secret)."""
    typer.echo(_token(_settings(), user, ttl))


@app.command()
def send(  # noqa: PLR0917 - an option each
    recipients: Annotated[list[str], typer.Argument(help="User ids.")],
    title: Annotated[str, typer.Option("--title", "-t", help="What it says first.")],
    body: Annotated[str, typer.Option("--body", "-b", help="What it says then.")] = "",
    category: Annotated[str, typer.Option(help="Its kind, such as order.shipped.")] = "general",
    action_url: Annotated[str | None, typer.Option(help="Where a click leads.")] = None,
    email_after: Annotated[str | None, typer.Option(help="E-mail who has not seen it by then: 30s, 15m.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Send at most once under this key.")] = None,
    url: Url = None,
) -> None:
    """Publish a notification."""
    from hub.client import Notification, StepIn
    from hub.terminal import publish

    notification = Notification(
        recipients=recipients,
        title=title,
        body=body,
        category=category,
        action_url=action_url,
        fallback=None if email_after is None else [StepIn("email", email_after)],
        idempotency_key=idempotency_key,
    )
    settings = _settings()
    _run(publish(_address(settings, url), lambda: _api_key(settings), notification))


@app.command()
def listen(user: User, url: Url = None) -> None:
    """Show a user's notifications as they come, until Ctrl+C; resumes by itself when the hub was away."""
    from hub.terminal import listen as listen_live

    settings = _settings()
    _run(listen_live(_address(settings, url), user, lambda: _token(settings, user, 3600)))


@app.command()
def doctor() -> None:
    """Check settings, database, bus, providers and files, and say what to do about what is wrong."""
    from hub.doctor import examine

    if not _run(examine(_settings())):
        raise typer.Exit(1)


command_queues.add_to(app)
command_schedules.add_to(app)


@asynccontextmanager
async def _worker_inside(parts: Parts, mailbox: DevMailbox) -> AsyncIterator[BusListener]:
    """Run the fallback worker for as long as a node is open."""
    from fallback.worker import build_worker

    made = build_worker(
        parts.hub,
        parts.queue,
        parts.expansions,
        parts.settings,
        mailbox=mailbox,
        presence=parts.presence,
        limiter=parts.limiter,
        alerts=parts.alerts,
        outages=parts.outages,
        reports=parts.reports,
        caretaker=parts.caretaker,
    )
    parts.metrics.register(made.metrics)
    parts.metrics.register(made.breakers)
    async with made.running() as inside:
        yield inside


async def _worker_alone(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM."""
    from fallback.worker import build_worker
    from hub.app import open_parts
    from hub.collector import spare_the_collector
    from hub.core.mailbox import DevMailbox
    from hub.monitoring import monitored

    if settings.redis_url is None:
        raise ConfigurationError(
            "a worker of its own needs BELLWIRE_REDIS_URL: without it, `bellwire serve` runs the worker inside"
        )
    async with open_parts(settings) as parts:
        alone = build_worker(
            parts.hub,
            parts.queue,
            parts.expansions,
            settings,
            mailbox=DevMailbox(),
            presence=parts.presence,
            limiter=parts.limiter,
            alerts=parts.alerts,
            outages=parts.outages,
            reports=parts.reports,
            caretaker=parts.caretaker,
        )
        parts.metrics.register(alone.metrics)
        parts.metrics.register(alone.breakers)
        await parts.bus.start(alone)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, alone.stop)
        spare_the_collector()
        async with monitored(parts):
            await alone.run()


def main() -> None:
    """Run the command line; errors made on purpose are told in one line."""
    try:
        app()
    except BellwireError as error:
        typer.secho(f"bellwire: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)


def _token(settings: Settings, user: str, ttl: int) -> str:
    import time

    from hub.core.model import InboxKey
    from hub.core.text import check_id
    from hub.credentials import load_credentials
    from hub.keyring import Keyring

    credentials = load_credentials(settings)
    keyring = Keyring.from_settings(settings, credentials.api_key, credentials.jwt_secret)
    return keyring.issue(InboxKey("default", check_id(user, "--user")), int(time.time() * 1000), ttl * 1000)
