"""What the commands that call a hub print, and a hub that answers them as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from hub import remote
from hub.remote import Hub


class ScriptedHub(Hub):
    """Gives the answers it was told to, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__("http://hub.example", "key", json=False)
        self.json = False
        self.answers = list(answers)
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> dict[str, Any]:
        told = {name: dict(value) if isinstance(value, Mapping) else value for name, value in request.items()}
        self.calls.append((method, path, told))
        return self.answers.pop(0)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Console:
    """Record what is printed."""
    console = Console(record=True, width=200, force_terminal=False, highlight=False)
    monkeypatch.setattr(remote, "console", console)
    return console
