"""How long callers are spared a server that does not answer."""

from __future__ import annotations

import pytest

from hub.bus.outage import HOLD_OFF, LONGEST_HOLD_OFF, Outage


def test_the_hold_off_grows_to_a_limit_and_begins_anew_once_it_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    away = Outage("publishing", "127.0.0.1:6379")
    lengths = []
    for _ in range(7):
        away.failed(OSError())
        began = now
        while away.holding_off:
            now += 0.5
        lengths.append(now - began)
    assert lengths == [HOLD_OFF, 2.0, 4.0, 8.0, *[LONGEST_HOLD_OFF] * 3]
    away.worked()
    away.failed(OSError())
    now += HOLD_OFF
    assert not away.holding_off
