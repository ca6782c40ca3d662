"""What commands have in common that call a hub which runs: how they are told which, and the call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.command import address_of, api_key_of, settings_of

if TYPE_CHECKING:
    from hub.remote import Hub

Url = Annotated[str | None, typer.Option(help="The hub's address [this machine's].", envvar="BELLWIRE_URL")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, as it does by itself where there is no terminal.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def hub_of(url: str | None, *, json: bool) -> Hub:
    """Return the hub to call, with the API key that the settings name."""
    from hub.remote import Hub

    settings = settings_of()
    return Hub(address_of(settings, url), api_key_of(settings), json=json)
