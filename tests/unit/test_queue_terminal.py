"""Queues and deliveries as people see them on a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from hub import queue_terminal
from hub.queue_terminal import Hub, act, empty_queue, list_deliveries, replay, show_queues

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


class Scripted(Hub):
    """Gives the answers it was told to, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__("http://hub.example", "key", json=False)
        self.json = False
        self.answers = list(answers)
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    async def call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        self.calls.append((method, path, {name: dict(value) for name, value in request.items()}))
        return self.answers.pop(0)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(record=True, width=200, force_terminal=False, highlight=False)
    monkeypatch.setattr(queue_terminal, "console", console)
    return console


async def test_queues(printed: Console) -> None:
    await show_queues(Scripted({"data": [QUEUE]}))
    text = printed.export_text()
    for cell in ("email", "paused", "10,000+", "61.5 s", "7", "1 failed, 1,200 sent"):
        assert cell in text


async def test_what_others_wrote_is_text(printed: Console) -> None:
    await act(Scripted(DELIVERY), "a/b", "retry")
    await list_deliveries(Scripted({"data": [DELIVERY], "has_more": True, "next": "abc"}), {}, 1)
    text = printed.export_text()
    assert "[bold]ada" in text
    assert "\x1b" not in text
    assert "--after abc" in text


async def test_pages_that_come_out_short_are_put_together(printed: Console) -> None:
    hub = Scripted(
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
    await empty_queue(Scripted({"cancelled": 20_000, "more": True}, {"cancelled": 5, "more": False}), "email")
    hub = Scripted({"replayed": 9_000, "has_more": True, "next": "a"}, {"replayed": 1, "has_more": False, "next": None})
    await replay(hub, {"channel": "email"}, dry_run=False)
    assert [call[2]["json"].get("after") for call in hub.calls] == [None, "a"]
    text = printed.export_text()
    assert "20,005 cancelled" in text
    assert "9,001" in text


async def test_an_id_stays_one_part_of_the_path(printed: Console) -> None:
    hub = Scripted(DELIVERY)
    await act(hub, "../queues/email?x", "retry")
    assert hub.calls[0][1] == "/v1/deliveries/..%2Fqueues%2Femail%3Fx/retry"
