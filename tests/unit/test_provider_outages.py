"""When a provider is out, when it is back, and when that is told."""

from __future__ import annotations

import pytest

from hub.core.model import Channel
from hub.core.model.queues import ProviderSign
from hub.core.outages import Outage, observe, to_tell

NOW = 1_000_000


def sign(out_since: int | None = None, answered_at: int | None = None) -> ProviderSign:
    return ProviderSign(Channel.EMAIL, "smtp", out_since, answered_at)


GOES_ON = Outage(since=500)
TOLD = Outage(since=500, told=True, quiet_until=NOW + 1)
OVER = Outage(since=500, ended_at=900, quiet_until=NOW + 1)
OVER_UNTOLD = Outage(since=500, ended_at=900, told=True, quiet_until=NOW + 1)


@pytest.mark.parametrize(
    ("known", "signs", "then"),
    [
        (None, [], None),
        (None, [sign(), sign(None, 5)], None),
        (None, [sign(700), sign(600), sign()], Outage(since=600)),
        (GOES_ON, [sign(700)], GOES_ON),
        (GOES_ON, [], GOES_ON),  # whoever found it out has stopped: nobody knows
        (GOES_ON, [sign()], GOES_ON),  # a worker that has just started
        (GOES_ON, [sign(None, 500)], GOES_ON),  # one that had an answer before
        (GOES_ON, [sign(None, 501), sign(700, 800)], GOES_ON),  # another still finds it out
        (TOLD, [sign(None, 501)], Outage(since=500, ended_at=NOW, told=True, quiet_until=NOW + 1)),
        (OVER, [sign(None, 501)], OVER),
        (OVER, [sign(950)], Outage(since=950, quiet_until=NOW + 1)),
        (OVER_UNTOLD, [sign(950)], TOLD),
    ],
)
def test_what_workers_tell_makes_outages(known: Outage | None, signs: list[ProviderSign], then: Outage | None) -> None:
    assert observe(known, signs, NOW) == then


@pytest.mark.parametrize(
    ("outage", "tells"),
    [
        (GOES_ON, True),
        (Outage(since=500, quiet_until=NOW), True),
        (Outage(since=500, quiet_until=NOW + 1), False),
        (TOLD, False),
        (OVER, False),
        (OVER_UNTOLD, True),  # however quiet it is meant to be
    ],
)
def test_only_news_are_told(outage: Outage, *, tells: bool) -> None:
    assert to_tell(outage, NOW) is tells
