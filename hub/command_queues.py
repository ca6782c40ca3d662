"""`bellwire queues`, `queue`, `deliveries`, `dlq`: operating the fallback side of a hub that runs.

They call the hub over HTTP (decision 20): from any machine that has the API key, with the same checks as any caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from hub.command import run
from hub.command_remote import Json, Url, Yes, hub_of
from hub.core.model import Channel, DeliveryState

queue = typer.Typer(help="Pause, resume or empty one queue.", no_args_is_help=True)
deliveries = typer.Typer(help="Look deliveries up, and act on one.", no_args_is_help=True)
dlq = typer.Typer(help="The dead-letter queue: deliveries that failed for good.", no_args_is_help=True)

Queue = Annotated[Channel, typer.Argument(help="The queue: a channel.")]
Id = Annotated[str, typer.Argument(help="The delivery's id.")]
OfChannel = Annotated[Channel | None, typer.Option("--channel", help="Only of this channel.")]
OfUser = Annotated[str | None, typer.Option("--user", "-u", help="Only for this user.")]
OfNotification = Annotated[str | None, typer.Option("--notification", help="Only of this notification.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help="Only those that this provider was called for.")]
Reason = Annotated[str | None, typer.Option(help="Only with this in their reason.")]
Since = Annotated[str | None, typer.Option(help="Failed at this time or later, such as 2026-01-31T12:00:00Z.")]
Before = Annotated[str | None, typer.Option(help="Failed before this time.")]
Limit = Annotated[int, typer.Option(help="How many.", min=1, max=500)]
After = Annotated[str | None, typer.Option(help="The `next` of the page before.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("queues")(queues)
    app.add_typer(queue, name="queue")
    app.add_typer(deliveries, name="deliveries")
    app.add_typer(dlq, name="dlq")


def queues(*, url: Url = None, json: Json = False) -> None:
    """Show every queue: depth, lag, what is on its way, what is dead."""
    from hub.queue_terminal import show_queues

    run(show_queues(hub_of(url, json=json)))


@queue.command()
def pause(channel: Queue, *, url: Url = None, json: Json = False) -> None:
    """Stop sending on a channel, on every worker; it stays so until it is resumed."""
    from hub.queue_terminal import put_queue

    run(put_queue(hub_of(url, json=json), channel.value, "pause"))


@queue.command()
def resume(channel: Queue, *, url: Url = None, json: Json = False) -> None:
    """Go on sending."""
    from hub.queue_terminal import put_queue

    run(put_queue(hub_of(url, json=json), channel.value, "resume"))


@queue.command()
def empty(channel: Queue, *, url: Url = None, json: Json = False, yes: Yes = False) -> None:
    """Cancel everything that waits in a queue."""
    from hub.queue_terminal import empty_queue

    if not yes:
        typer.confirm(f"Cancel everything that waits to be sent by {channel.value}?", abort=True)
    run(empty_queue(hub_of(url, json=json), channel.value))


@deliveries.command("list")
def list_deliveries(
    *,
    state: Annotated[DeliveryState | None, typer.Option(help="Only in this state.")] = None,
    channel: OfChannel = None,
    user: OfUser = None,
    notification: OfNotification = None,
    provider: OfProvider = None,
    reason: Reason = None,
    limit: Limit = 50,
    after: After = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Look deliveries up; the latest first."""
    from hub.queue_terminal import list_deliveries as show

    filters = _given(
        state=state and state.value,
        channel=channel and channel.value,
        user=user,
        notification=notification,
        provider=provider,
        reason=reason,
        after=after,
    )
    run(show(hub_of(url, json=json), filters, limit))


@deliveries.command("show")
def show_delivery(delivery: Id, *, url: Url = None, json: Json = False) -> None:
    """Show a delivery, every call to a provider, and how it came to be what it is."""
    from hub.queue_terminal import show_delivery as show

    run(show(hub_of(url, json=json), delivery))


@deliveries.command()
def retry(delivery: Id, *, url: Url = None, json: Json = False) -> None:
    """Put a dead delivery back into the queue."""
    _act(url, delivery, "retry", json=json)


@deliveries.command()
def cancel(delivery: Id, *, url: Url = None, json: Json = False) -> None:
    """Cancel a delivery that waits."""
    _act(url, delivery, "cancel", json=json)


@deliveries.command()
def promote(delivery: Id, *, url: Url = None, json: Json = False) -> None:
    """Send a delivery now instead of when it is due."""
    _act(url, delivery, "promote", json=json)


@dlq.command("list")
def list_dead(
    *,
    channel: OfChannel = None,
    user: OfUser = None,
    provider: OfProvider = None,
    reason: Reason = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 50,
    after: After = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show what is dead, the latest first."""
    from hub.queue_terminal import list_deliveries as show

    filters = _given(
        state=DeliveryState.FAILED.value,
        channel=channel and channel.value,
        user=user,
        provider=provider,
        reason=reason,
        ended_after=since,
        ended_before=before,
        after=after,
    )
    run(show(hub_of(url, json=json), filters, limit))


@dlq.command()
def replay(
    *,
    channel: OfChannel = None,
    user: OfUser = None,
    provider: OfProvider = None,
    reason: Reason = None,
    since: Since = None,
    before: Before = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Yes = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Put all that is dead, and matches, back into the queue."""
    from hub.queue_terminal import replay as replay_all

    filters = _given(
        channel=channel and channel.value,
        user=user,
        provider=provider,
        reason=reason,
        failed_after=since,
        failed_before=before,
    )
    if not (yes or dry_run or filters):
        typer.confirm("Replay the whole dead-letter queue?", abort=True)
    run(replay_all(hub_of(url, json=json), filters, dry_run=dry_run))


def _act(url: str | None, delivery: str, act: str, *, json: bool) -> None:
    from hub.queue_terminal import act as act_on

    run(act_on(hub_of(url, json=json), delivery, act))


def _given(**filters: str | None) -> Mapping[str, str]:
    return {name: value for name, value in filters.items() if value is not None}
