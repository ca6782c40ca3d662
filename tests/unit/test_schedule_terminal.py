"""Schedules as people see them on a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from hub.schedule_terminal import create, delete, list_schedules, next_runs, preview, put, run_now, show
from tests.support.terminal import ScriptedHub, printed

__all__ = ["printed"]

ID = "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a91"
SCHEDULE: dict[str, Any] = {
    "id": ID,
    "name": "[bold]Stand-up\x1b[31m",
    "state": "active",
    "at": None,
    "every": None,
    "cron": "0 9 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "start": None,
    "end": None,
    "missed": "once",
    "next_at": "2027-01-18T08:00:00.000Z",
    "paused_at": None,
}
RUN = {
    "due_at": "2027-01-15T08:00:00.000Z",
    "through": None,
    "outcome": "failed",
    "at": "2027-01-15T08:00:00.400Z",
    "by_hand": True,
    "notification": None,
    "reason": "[red]no",
}


@pytest.mark.parametrize(
    ("timing", "told"),
    [
        ({}, "0 9 * * MON-FRI (Europe/Berlin)"),
        ({"cron": None, "every": 86_400}, "every 86,400 s"),
        ({"cron": None, "at": "2027-01-15T09:00:00.000Z"}, "at 2027-01-15T09:00:00.000Z"),
    ],
)
async def test_a_list(printed: Console, timing: dict[str, Any], told: str) -> None:
    hub = ScriptedHub({"data": [SCHEDULE | timing], "has_more": True, "next": "abc"})
    await list_schedules(hub, 25, "a place")
    assert hub.calls == [("GET", "/v1/schedules", {"params": {"limit": "25", "after": "a place"}})]
    text = printed.export_text()
    for cell in (ID, told, "active", "--after abc", "[bold]Stand-up"):
        assert cell in text
    assert "\x1b" not in text


async def test_one_with_its_log(printed: Console) -> None:
    hub = ScriptedHub(SCHEDULE | {"notification": {"title": "[i]t"}, "runs": [RUN]})
    await show(hub, "../queues?x")
    assert hub.calls[0][1] == "/v1/schedules/..%2Fqueues%3Fx"
    text = printed.export_text()
    for cell in ("[i]t", "failed", "yes", "[red]no", "Europe/Berlin"):
        assert cell in text


async def test_acts(printed: Console) -> None:
    hub = ScriptedHub(SCHEDULE, SCHEDULE, {"id": "n-1"}, {})
    await create(hub, b"{}", None)
    await put(hub, ID, "pause")
    await run_now(hub, ID, None)
    await delete(hub, ID)
    path = f"/v1/schedules/{ID}"
    assert [call[:2] for call in hub.calls] == [
        ("POST", "/v1/schedules"),
        ("PUT", f"{path}/pause"),
        ("POST", f"{path}/run"),
        ("DELETE", path),
    ]
    text = printed.export_text()
    assert "published n-1" in text
    assert "deleted" in text


async def test_times(printed: Console) -> None:
    times = {"data": [{"at": "2027-01-18T08:00:00.000Z", "local": "2027-01-18T09:00:00.000+01:00"}]}
    hub = ScriptedHub(times, times)
    await next_runs(hub, ID, 3)
    await preview(hub, {"every": "15m"}, 3)
    assert hub.calls[1] == ("POST", "/v1/schedules/preview", {"params": {"count": "3"}, "json": {"every": "15m"}})
    assert printed.export_text().count("2027-01-18T09:00:00.000+01:00") == 2
