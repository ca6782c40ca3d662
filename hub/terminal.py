"""The hub from a terminal: publish, and listen to somebody's notifications live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from hub.client import (
    Arrived,
    AsyncBellwire,
    AsyncInbox,
    Changed,
    Counts,
    Event,
    Lost,
    Notification,
    Patience,
    Ready,
    Reread,
    UnexpectedAnswer,
    Unreachable,
)
from hub.core.errors import ConfigurationError, RequestError

PATIENCE = Patience(attempts=2, timeout=60)
"""Somebody waits at the terminal, and can ask again."""

console = Console(highlight=False)


class Refused(RequestError):
    """The hub answered with a problem."""


@contextmanager
def told(url: str) -> Iterator[None]:
    """Say what goes wrong with a call in words for a terminal.

    Raises:
        Refused: the hub's problem, in its words.
        ConfigurationError: nobody answers at `url`, or somebody else.

    """
    try:
        yield
    except Unreachable:
        raise ConfigurationError(f"no hub answers at {url}; start one with `bellwire serve` or give --url") from None
    except UnexpectedAnswer as error:
        raise ConfigurationError(f"what answers at {url} is no hub (status {error.status})") from None
    except RequestError as error:
        place = f" ({error.pointer})" if error.pointer else ""
        raise Refused(f"{error.title}{place}: {error.detail}") from None


async def publish(url: str, api_key: Callable[[], str], notification: Notification) -> None:
    """Publish one notification and print the answer; raises as `told`."""
    with told(url):
        async with AsyncBellwire(url, api_key(), patience=PATIENCE) as bellwire:
            published = await bellwire.publish_notification(notification)
    reach = f"recipients {published.recipients}  fallback deliveries {published.deliveries}"
    console.print(f"[green]published[/] {published.id}  {reach}")


async def listen(url: str, user: str, token: Callable[[], str]) -> None:
    """Print what happens in a user's inbox until interrupted; after any break it goes on where it was.

    Raises:
        ClosedForGood: the hub closed the connection for good.
        Refused: it refuses the token.

    """
    with told(url):
        async with AsyncInbox(url, token, patience=PATIENCE) as inbox, inbox.listen(attention="active") as live:
            async for event in live.events():
                show(user, url, event, live.counts)


def show(user: str, url: str, event: Event, counts: Counts | None) -> None:
    """Print one event in a line; what people wrote is printed as text, never as markup or escape codes."""
    badge = "" if counts is None else f"  [dim]unread {counts.unread}[/]"
    match event:
        case Ready():
            console.print(f"[green]●[/] listening as {Text(user).markup}{badge}")
        case Arrived(item):
            console.print(f"[yellow]🔔[/] [bold]{_plain(item.title)}[/]  {_plain(item.body)}{badge}")
        case Changed(fields):
            console.print(f"[dim]   changed: {_plain(', '.join(fields))}[/]{badge}")
        case Reread(reason, items):
            console.print(f"[dim]   the inbox was read anew ({_plain(reason)}): {len(items)} items[/]{badge}")
        case Lost(reason):
            console.print(f"[dim]no hub at {_plain(url)} ({_plain(reason)}); trying again[/]")


def plain(text: object) -> str:
    """Make text safe for a terminal: printable characters only."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def _plain(text: object) -> str:
    """Make text safe to stand in our markup."""
    return Text(plain(text)).markup
