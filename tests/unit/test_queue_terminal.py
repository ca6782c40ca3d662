"""Queues and deliveries as people see them on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from hub.queue_terminal import act, empty_queue, list_deliveries, replay, show_queues
from tests.support.terminal import ScriptedHub, printed

__all__ = ["printed"]

QUEUE = {
    "channel": "email",
    "paused": True,
    "queued": 10_000,
    "due": 3,
    "lag_ms": 61_500,
    "in_flight": 0,
    "dead": 7,
    "audiences": 0,
    "rates": [{}, {"outcomes": {"failed": 1, "sent": 1200}}],
}
DELIVERY: dict[str, Any] = {
    "id": "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a91",
    "notification": "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a90",
    "recipient": "[bold]ada",
    "channel": "email",
    "priority": "normal",
    "state": "failed",
    "due_at": "2027-01-15T08:00:00.000Z",
    "attempt_count": 5,
    "provider": None,
    "reason": "\x1b[31mno",
    "trace": [{"at": "2027-01-15T08:00:00.000Z", "event": "created", "state": "queued", "reason": None}],
}


async def test_queues(printed: Console) -> None:
    await show_queues(ScriptedHub({"data": [QUEUE]}))
    text = printed.export_text()
    for cell in ("email", "paused", "10,000+", "61.5 s", "7", "1 failed, 1,200 sent"):
        assert cell in text


async def test_what_others_wrote_is_text(printed: Console) -> None:
    await act(ScriptedHub(DELIVERY), "a/b", "retry")
    await list_deliveries(ScriptedHub({"data": [DELIVERY], "has_more": True, "next": "abc"}), {}, 1)
    text = printed.export_text()
    assert "[bold]ada" in text
    assert "\x1b" not in text
    assert "--after abc" in text


async def test_an_id_can_be_copied_from_a_narrow_terminal(printed: Console) -> None:
    printed.width = 40
    await list_deliveries(ScriptedHub({"data": [DELIVERY], "has_more": False, "next": None}), {}, 1)
    heading, row = printed.export_text().splitlines()
    assert row.startswith(DELIVERY["id"])
    assert row.index("[bold]ada") == heading.index("recipient")


async def test_pages_that_come_out_short_are_put_together(printed: Console) -> None:
    hub = ScriptedHub(
        {"data": [], "has_more": True, "next": "a"},
        {"data": [DELIVERY], "has_more": True, "next": "b"},
        {"data": [DELIVERY], "has_more": False, "next": None},
    )
    await list_deliveries(hub, {"state": "failed"}, 3)
    assert [call[2]["params"] for call in hub.calls] == [
        {"state": "failed", "limit": "3"},
        {"state": "failed", "limit": "3", "after": "a"},
        {"state": "failed", "limit": "2", "after": "b"},
    ]


async def test_long_acts_go_on_to_the_end(printed: Console) -> None:
    await empty_queue(ScriptedHub({"cancelled": 20_000, "more": True}, {"cancelled": 5, "more": False}), "email")
    hub = ScriptedHub(
        {"replayed": 9_000, "has_more": True, "next": "a"}, {"replayed": 1, "has_more": False, "next": None}
    )
    await replay(hub, {"channel": "email"}, dry_run=False)
    assert [call[2]["json"].get("after") for call in hub.calls] == [None, "a"]
    text = printed.export_text()
    assert "20,005 cancelled" in text
    assert "9,001" in text


async def test_an_id_stays_one_part_of_the_path(printed: Console) -> None:
    hub = ScriptedHub(DELIVERY)
    await act(hub, "../queues/email?x", "retry")
    assert hub.calls[0][1] == "/v1/deliveries/..%2Fqueues%2Femail%3Fx/retry"
