"""A hub that runs somewhere, for the command line: calls to it, and its answers as tables or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from hub.client import AsyncBellwire
from hub.terminal import PATIENCE, plain, told

Json = dict[str, Any]

console = Console(highlight=False)


class Hub:
    """A hub that runs somewhere, and in which form its answers are wanted."""

    def __init__(self, url: str, api_key: str, *, json: bool) -> None:
        self._url = url
        self._api_key = api_key
        self.json = json or not sys.stdout.isatty()

    async def call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> Json:
        """Make a call and return its answer; an answer without a body is empty. Raises as `hub.terminal.told`."""
        with told(self._url):
            async with AsyncBellwire(self._url, self._api_key, patience=PATIENCE) as bellwire:
                answer: Json | None = await bellwire.request(
                    method,
                    path,
                    query=request.get("params"),
                    json=request.get("json"),
                    content=request.get("content"),
                    idempotency_key=(headers or {}).get("Idempotency-Key"),
                )
        return answer or {}


def printed(hub: Hub, answer: Json) -> bool:
    """Print JSON if that is wanted, and tell whether it was."""
    if hub.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
    return hub.json


def say(markup: str) -> None:
    """Print a line of our own words."""
    console.print(markup)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; what people or providers wrote is printed as text, never as markup or escape codes.

    A row is a line, however narrow the terminal is: what is folded into columns nobody can copy an id out of.
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    for number, row in enumerate([headings, *cells]):
        padded = (set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True))
        line = Text("  ".join(padded).rstrip(), style="bold" if number == 0 else "")
        if line or number:
            console.print(line, soft_wrap=True)


def print_fields(answer: Json, names: Sequence[str]) -> None:
    """Print fields of one thing, a line each."""
    print_table(("", ""), [(name, text_of(answer[name])) for name in names])


def text_of(value: object) -> str:
    """Write a value of an answer; null is nothing."""
    return "" if value is None else str(value)
