"""`bellwire schedules`: notifications that are published later, or again and again.

They call the hub over HTTP, as the commands of the queue do.
"""

from __future__ import annotations

from typing import Annotated

import typer

from hub.command import run
from hub.command_remote import Json, Url, Yes, hub_of

schedules = typer.Typer(help="Notifications that are published later, or again and again.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The schedule's id.")]
File = Annotated[typer.FileBinaryRead, typer.Argument(help="Its JSON; - reads it from standard input.")]
Count = Annotated[int, typer.Option(help="How many.", min=1, max=100)]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="Do it at most once under this key.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(schedules, name="schedules")


@schedules.command("list")
def list_schedules(
    *,
    limit: Count = 25,
    after: Annotated[str | None, typer.Option(help="The `next` of the page before.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """List schedules, the oldest first."""
    from hub.schedule_terminal import list_schedules as show_page

    run(show_page(hub_of(url, json=json), limit, after))


@schedules.command()
def show(schedule: Id, *, url: Url = None, json: Json = False) -> None:
    """Show a schedule: what it publishes, when, and what its last runs came to."""
    from hub.schedule_terminal import show as show_one

    run(show_one(hub_of(url, json=json), schedule))


@schedules.command()
def create(file: File, *, key: Key = None, url: Url = None, json: Json = False) -> None:
    """Make a schedule of a file: the body of `POST /v1/schedules`."""
    from hub.schedule_terminal import create as make

    run(make(hub_of(url, json=json), file.read(), key))


@schedules.command()
def patch(schedule: Id, file: File, *, url: Url = None, json: Json = False) -> None:
    """Change what the file names: the body of `PATCH /v1/schedules/{id}`."""
    from hub.schedule_terminal import patch as change

    run(change(hub_of(url, json=json), schedule, file.read()))


@schedules.command()
def pause(schedule: Id, *, url: Url = None, json: Json = False) -> None:
    """Let nothing fire until it is resumed."""
    from hub.schedule_terminal import put

    run(put(hub_of(url, json=json), schedule, "pause"))


@schedules.command()
def resume(schedule: Id, *, url: Url = None, json: Json = False) -> None:
    """Go on with what is due from now on."""
    from hub.schedule_terminal import put

    run(put(hub_of(url, json=json), schedule, "resume"))


@schedules.command("run")
def run_now(schedule: Id, *, key: Key = None, url: Url = None, json: Json = False) -> None:
    """Publish now what it publishes; its times stay."""
    from hub.schedule_terminal import run_now as publish

    run(publish(hub_of(url, json=json), schedule, key))


@schedules.command()
def delete(schedule: Id, *, yes: Yes = False, url: Url = None, json: Json = False) -> None:
    """Delete a schedule with its log; what it has published stays."""
    from hub.schedule_terminal import delete as remove

    if not yes:
        typer.confirm(f"Delete the schedule {schedule}?", abort=True)
    run(remove(hub_of(url, json=json), schedule))


@schedules.command("next")
def next_runs(schedule: Id, *, count: Count = 10, url: Url = None, json: Json = False) -> None:
    """Tell when it is due next."""
    from hub.schedule_terminal import next_runs as show_next

    run(show_next(hub_of(url, json=json), schedule, count))


@schedules.command()
def preview(
    *,
    cron: Annotated[str | None, typer.Option(help='A cron expression, such as "0 9 * * MON-FRI".')] = None,
    timezone: Annotated[str | None, typer.Option(help="Whose clocks it goes by [UTC].")] = None,
    every: Annotated[str | None, typer.Option(help="An interval instead: 90s, 15m, 2h, 1d.")] = None,
    start: Annotated[str | None, typer.Option(help="Not before this time, such as 2027-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="Not after this time.")] = None,
    count: Count = 10,
    url: Url = None,
    json: Json = False,
) -> None:
    """Tell when a schedule would be due; nothing is stored."""
    from hub.schedule_terminal import preview as show_preview

    asked = {"cron": cron, "timezone": timezone, "every": every, "start": start, "end": end}
    timing = {name: value for name, value in asked.items() if value is not None}
    run(show_preview(hub_of(url, json=json), timing, count))
