"""Schedules on a terminal: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from hub.remote import Hub, Json, print_fields, print_table, printed, say, text_of

_JSON = {"Content-Type": "application/json"}
_TOLD = ("id", "name", "state", "at", "every", "cron", "timezone", "start", "end", "missed", "next_at", "paused_at")


async def list_schedules(hub: Hub, limit: int, after: str | None) -> None:
    """Print a page of schedules."""
    query = {"limit": str(limit)} | ({} if after is None else {"after": after})
    answer = await hub.call("GET", "/v1/schedules", params=query)
    if printed(hub, answer):
        return
    print_table(
        ("id", "name", "state", "when", "missed", "next"),
        [
            (row["id"], text_of(row["name"]), row["state"], _when(row), row["missed"], text_of(row["next_at"]))
            for row in answer["data"]
        ],
    )
    if answer["has_more"]:
        say(f"[dim]there are more: --after {answer['next']}[/]")


async def show(hub: Hub, schedule: str) -> None:
    """Print a schedule with its log."""
    answer = await hub.call("GET", _path(schedule))
    if printed(hub, answer):
        return
    print_fields(answer, (*_TOLD, "notification"))
    say("")
    print_table(
        ("due", "until", "outcome", "at", "by hand", "notification", "why"),
        [
            (
                run["due_at"],
                text_of(run["through"]),
                run["outcome"],
                run["at"],
                "yes" if run["by_hand"] else "",
                text_of(run["notification"]),
                text_of(run["reason"]),
            )
            for run in answer["runs"]
        ],
    )


async def create(hub: Hub, body: bytes, key: str | None) -> None:
    """Make a schedule, and print it."""
    _print_one(hub, await hub.call("POST", "/v1/schedules", content=body, headers=_JSON | _named(key)))


async def patch(hub: Hub, schedule: str, body: bytes) -> None:
    """Change a schedule, and print it."""
    _print_one(hub, await hub.call("PATCH", _path(schedule), content=body, headers=_JSON))


async def put(hub: Hub, schedule: str, act: str) -> None:
    """Pause or resume a schedule, and print it."""
    _print_one(hub, await hub.call("PUT", f"{_path(schedule)}/{act}"))


async def run_now(hub: Hub, schedule: str, key: str | None) -> None:
    """Publish what a schedule publishes, and print the answer."""
    answer = await hub.call("POST", f"{_path(schedule)}/run", headers=_named(key))
    if not printed(hub, answer):
        say(f"[green]published[/] {answer['id']}")


async def delete(hub: Hub, schedule: str) -> None:
    """Delete a schedule."""
    await hub.call("DELETE", _path(schedule))
    if not printed(hub, {"deleted": True}):
        say("[green]deleted[/]")


async def next_runs(hub: Hub, schedule: str, count: int) -> None:
    """Print when a schedule is due next."""
    _print_times(hub, await hub.call("GET", f"{_path(schedule)}/next", params={"count": str(count)}))


async def preview(hub: Hub, timing: Mapping[str, str], count: int) -> None:
    """Print when a schedule would be due."""
    query = {"count": str(count)}
    _print_times(hub, await hub.call("POST", "/v1/schedules/preview", params=query, json=dict(timing)))


def _path(schedule: str) -> str:
    return f"/v1/schedules/{quote(schedule, safe='')}"


def _named(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _when(schedule: Json) -> str:
    if schedule["cron"] is not None:
        return f"{schedule['cron']} ({schedule['timezone']})"
    return f"every {schedule['every']:,} s" if schedule["every"] is not None else f"at {schedule['at']}"


def _print_one(hub: Hub, schedule: Json) -> None:
    if not printed(hub, schedule):
        print_fields(schedule, _TOLD)


def _print_times(hub: Hub, answer: Json) -> None:
    if not printed(hub, answer):
        print_table(("at", "on its clocks"), [(each["at"], each["local"]) for each in answer["data"]])
