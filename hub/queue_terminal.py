"""Queues and deliveries on a terminal: tables for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.client import AsyncBellwire
from hub.core.model.queues import COUNTED
from hub.terminal import PATIENCE, plain, told

Json = dict[str, Any]

console = Console(highlight=False)


class Hub:
    """A hub that runs somewhere, and in which form its answers are wanted."""

    def __init__(self, url: str, api_key: str, *, json: bool) -> None:
        self._url = url
        self._api_key = api_key
        self.json = json or not sys.stdout.isatty()

    async def call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, json: Json | None = None
    ) -> Json:
        """Make a call and return its answer; raises as `hub.terminal.told`."""
        with told(self._url):
            async with AsyncBellwire(self._url, self._api_key, patience=PATIENCE) as bellwire:
                answer: Json = await bellwire.request(method, path, query=params, json=json)
        return answer


async def show_queues(hub: Hub) -> None:
    """Print every queue."""
    answer = await hub.call("GET", "/v1/queues")
    if _printed(hub, answer):
        return
    _print_queues(answer["data"])


async def put_queue(hub: Hub, channel: str, act: str) -> None:
    """Pause or resume a queue, and print it."""
    answer = await hub.call("PUT", f"/v1/queues/{channel}/{act}")
    if not _printed(hub, answer):
        _print_queues([answer])


async def empty_queue(hub: Hub, channel: str) -> None:
    """Cancel what waits, until nothing is left."""
    cancelled, more = 0, True
    while more:
        answer = await hub.call("PUT", f"/v1/queues/{channel}/empty")
        cancelled, more = cancelled + answer["cancelled"], answer["more"]
    if not _printed(hub, {"cancelled": cancelled}):
        console.print(f"[green]emptied[/] {channel}: {cancelled:,} cancelled")


async def list_deliveries(hub: Hub, filters: Mapping[str, str], limit: int) -> None:
    """Print a page of deliveries; pages that come out short are put together."""
    rows: list[Json] = []
    query = dict(filters)
    while True:
        answer = await hub.call("GET", "/v1/deliveries", params={**query, "limit": str(limit - len(rows))})
        rows += answer["data"]
        if not answer["has_more"] or len(rows) >= limit:
            break
        query["after"] = answer["next"]
    if _printed(hub, answer | {"data": rows}):
        return
    _print_table(
        ("id", "recipient", "channel", "state", "due", "attempts", "provider", "reason"),
        [
            (
                row["id"],
                row["recipient"],
                row["channel"],
                row["state"],
                row["due_at"],
                str(row["attempt_count"]),
                row["provider"] or "",
                row["reason"] or "",
            )
            for row in rows
        ],
    )
    if answer["has_more"]:
        console.print(f"[dim]there are more: --after {answer['next']}[/]")


async def show_delivery(hub: Hub, delivery: str) -> None:
    """Print a delivery with its past."""
    _print_delivery(hub, await hub.call("GET", _path(delivery)))


async def act(hub: Hub, delivery: str, what: str) -> None:
    """Retry, cancel or promote a delivery, and print it."""
    _print_delivery(hub, await hub.call("POST", f"{_path(delivery)}/{what}"))


async def replay(hub: Hub, filters: Mapping[str, str], *, dry_run: bool) -> None:
    """Replay what matches, to the end, and print how many that were."""
    replayed = 0
    request: Json = {**filters, "dry_run": dry_run, "limit": 10_000}
    while True:
        answer = await hub.call("POST", "/v1/deliveries/replay", json=request)
        replayed += answer["replayed"]
        if not answer["has_more"]:
            break
        request["after"] = answer["next"]
    if not _printed(hub, {"replayed": replayed, "dry_run": dry_run}):
        console.print(f"{replayed:,} would be replayed" if dry_run else f"[green]replayed[/] {replayed:,}")


def _path(delivery: str) -> str:
    return f"/v1/deliveries/{quote(delivery, safe='')}"


def _printed(hub: Hub, answer: Json) -> bool:
    """Print JSON if that is wanted."""
    if hub.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n")
    return hub.json


def _print_queues(queues: Sequence[Json]) -> None:
    _print_table(
        ("queue", "", "queued", "due", "lag", "in flight", "dead", "audiences", "last 5 minutes"),
        [
            (
                queue["channel"],
                "paused" if queue["paused"] else "",
                _count(queue["queued"]),
                _count(queue["due"]),
                f"{queue['lag_ms'] / 1000:,.1f} s" if queue["lag_ms"] else "",
                _count(queue["in_flight"]),
                _count(queue["dead"]),
                _count(queue["audiences"]),
                ", ".join(f"{count:,} {outcome}" for outcome, count in queue["rates"][1]["outcomes"].items()),
            )
            for queue in queues
        ],
    )


def _print_delivery(hub: Hub, delivery: Json) -> None:
    if _printed(hub, delivery):
        return
    told = ("id", "notification", "recipient", "channel", "priority", "state", "reason", "due_at", "provider")
    _print_table(("", ""), [(name, str(delivery[name] if delivery[name] is not None else "")) for name in told])
    console.print()
    _print_table(
        ("at", "what", "then", "why"),
        [(entry["at"], entry["event"], entry["state"], entry["reason"] or "") for entry in delivery["trace"]],
    )


def _count(number: int) -> str:
    """Say that a count that has reached its bound means that many or more."""
    return f"{number:,}" + ("+" if number >= COUNTED else "")


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; what people or providers wrote is printed as text, never as markup or escape codes."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)
