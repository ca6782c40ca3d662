"""The hub from a terminal: publish, and listen to somebody's notifications live."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

import httpx2
import msgspec
from rich.console import Console
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from hub.core.errors import ConfigurationError, RequestError

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 15.0
_FINAL_CLOSE = range(4100, 4200)
"""Close codes after which coming back will not help (see `docs/protocol.md`)."""

console = Console(highlight=False)


class Refused(RequestError):
    """The hub answered with a problem."""


async def publish(
    url: str, api_key: Callable[[], str], request: Mapping[str, object], idempotency_key: str | None
) -> None:
    """Publish one notification and print the answer.

    Raises:
        Refused: the hub's problem, in its words.
        ConfigurationError: nobody answers at `url`.

    """
    headers = {"Authorization": f"Bearer {api_key()}"}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    try:
        async with httpx2.AsyncClient(timeout=30) as client:
            response = await client.post(f"{url}/v1/notifications", json=dict(request), headers=headers)
    except httpx2.TransportError:
        raise ConfigurationError(f"no hub answers at {url}; start one with `bellwire serve` or give --url") from None
    answer = response.json()
    if response.status_code != httpx2.codes.CREATED:
        place = f" ({answer['pointer']})" if answer.get("pointer") else ""
        raise Refused(f"{answer.get('title', response.status_code)}{place}: {answer.get('detail', '')}")
    reach = f"recipients {answer['recipients']}  fallback deliveries {answer['deliveries']}"
    console.print(f"[green]published[/] {answer['id']}  {reach}")


async def listen(url: str, user: str, token: Callable[[], str]) -> None:
    """Print what happens in a user's inbox until interrupted; after any break it resumes with the cursor.

    Raises:
        Refused: the hub closed the connection for good.

    """
    address = "ws" + url.removeprefix("http") + "/v1/ws"
    cursor: str | None = None
    delay = _FIRST_DELAY
    while True:
        try:
            async with connect(address, compression=None, max_size=None) as socket:
                await socket.send(msgspec.json.encode({"type": "connect", "token": token(), "cursor": cursor}).decode())
                async for message in socket:
                    for line in str(message).splitlines():
                        frame = msgspec.json.decode(line)
                        cursor = frame.get("cursor") or cursor
                        show(user, frame)
                    delay = _FIRST_DELAY
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in _FINAL_CLOSE:
                raise Refused(f"the hub closed the connection: {closed.rcvd.reason}") from None
        except (OSError, InvalidHandshake, TimeoutError):
            console.print(f"[dim]no hub at {url}; trying again[/]")
        delay = min(delay * 2, _LONGEST_DELAY)
        await asyncio.sleep(random.uniform(0, delay))  # noqa: S311 - jitter, not a secret


def show(user: str, frame: Mapping[str, object]) -> None:
    """Print one frame in a line; what people wrote is printed as text, never as markup or escape codes."""
    kind = frame["type"]
    counts = frame.get("counts")
    badge = f"  [dim]unread {counts['unread']}[/]" if isinstance(counts, dict) else ""
    if kind == "ready":
        console.print(f"[green]●[/] listening as {Text(user).markup}{badge}")
    elif kind == "item" and isinstance(item := frame.get("item"), dict):
        console.print(f"[yellow]🔔[/] [bold]{_plain(item['title'])}[/]  {_plain(item['body'])}{badge}")
    elif kind == "change":
        fields = frame.get("fields")
        names = ", ".join(fields) if isinstance(fields, dict) else ""
        console.print(f"[dim]   changed: {names}[/]{badge}")
    elif kind == "resync":
        console.print(f"[dim]   the inbox has to be read anew: {_plain(frame['reason'])}[/]{badge}")
    elif kind == "error":
        console.print(f"[red]{_plain(frame['message'])}[/]")


def plain(text: object) -> str:
    """Make text safe for a terminal: printable characters only."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def _plain(text: object) -> str:
    """Make text safe to stand in our markup."""
    return Text(plain(text)).markup
