from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
import structlog.testing

from fallback import alerter as module
from fallback.alerter import BACK_OFF, IDLE, Alerter
from fallback.notices import Notice
from hub.core.errors import StoreUnavailable
from hub.core.model import Alert, AlertGroup, Channel, DeadLetter, FailureKind, ProviderOutage
from tests.support.clock import START, ManualClock

EVERY = 900_000


def outage(ended_at: int | None = None, *, number: int = 1, tries: int = 0) -> ProviderOutage:
    return ProviderOutage(
        Channel.EMAIL, "smtp", START, ended_at, workers=2, of_workers=3, number=number, fence=1, tries=tries
    )


def alert(number: int = 1, *, count: int = 1, tries: int = 0, tenant: str = "default") -> Alert:
    group = AlertGroup(tenant, Channel.EMAIL, "smtp", FailureKind.REFUSED)
    letter = DeadLetter(UUID(int=1), UUID(int=2), "ada", "no such mailbox", START)
    return Alert(group, number=number, fence=1, tries=tries, count=count, since=START, latest=letter)


@dataclass
class Desk:
    """Alerts that are handed out as told, and what came back."""

    waiting: list[Alert] = field(default_factory=list)
    due: int | None = None
    told_of: list[tuple[Alert, int, int]] = field(default_factory=list)
    failures: list[tuple[Alert, int]] = field(default_factory=list)
    settling: Exception | None = None

    async def claim(self, now: int, lease: int, limit: int) -> Sequence[Alert]:
        claimed, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return claimed

    async def told(self, alert: Alert, now: int, quiet: int) -> None:
        if self.settling:
            raise self.settling
        self.told_of.append((alert, now, quiet))

    async def failed(self, alert: Alert, again_at: int) -> None:
        if self.settling:
            raise self.settling
        self.failures.append((alert, again_at))

    async def next_due(self) -> int | None:
        return self.due


@dataclass
class Outages:
    """The same of outages."""

    waiting: list[ProviderOutage] = field(default_factory=list)
    told_of: list[tuple[ProviderOutage, int, int]] = field(default_factory=list)
    failures: list[tuple[ProviderOutage, int]] = field(default_factory=list)

    async def claim(self, now: int, lease: int) -> Sequence[ProviderOutage]:
        claimed, self.waiting = self.waiting, []
        return claimed

    async def told(self, outage: ProviderOutage, now: int, quiet: int) -> None:
        self.told_of.append((outage, now, quiet))

    async def failed(self, outage: ProviderOutage, again_at: int) -> None:
        self.failures.append((outage, again_at))


class Told:
    """A target that takes alerts, or does not."""

    def __init__(self, name: str = "webhook", error: Exception | None = None) -> None:
        self.name = name
        self.error = error
        self.block: asyncio.Event | None = None
        self.notices: list[Notice] = []
        self.closed = False

    async def tell(self, notice: Notice, now: int) -> None:
        self.notices.append(notice)
        if self.block is not None:
            await self.block.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.closed = True


def alerter(desk: Desk, *targets: Told, outages: Outages | None = None) -> Alerter:
    return Alerter(desk, outages or Outages(), targets, ManualClock(), every=EVERY, random=lambda: 0.5)


async def test_what_is_told_leaves_its_group_quiet() -> None:
    desk, target = Desk([alert(), alert(tenant="acme")]), Told()
    assert await alerter(desk, target).round() == IDLE
    assert desk.told_of == [(each, START, EVERY) for each in (alert(), alert(tenant="acme"))]
    assert [notice.about["tenant"] for notice in target.notices] == ["default", "acme"]
    assert desk.failures == []


async def test_what_nobody_takes_is_tried_again_later_and_later_but_never_given_up() -> None:
    desk = Desk([alert(tries=0), alert(tries=3), alert(tries=10_000)])
    await alerter(desk, Told(error=OSError("refused"))).round()
    waits = [again_at - START for _, again_at in desk.failures]
    assert waits == [BACK_OFF.base // 2, BACK_OFF.base * 4, BACK_OFF.cap // 2]
    assert desk.told_of == []


async def test_one_of_several_targets_is_enough_and_the_other_is_logged_without_its_words() -> None:
    desk = Desk([alert()])
    with structlog.testing.capture_logs() as logs:
        await alerter(desk, Told("webhook", OSError("https://hooks.example.com/secret")), Told("apprise")).round()
    assert [each.number for each, _, _ in desk.told_of] == [1]
    assert [(line["event"], line["target"]) for line in logs] == [
        ("alert_failed", "webhook"),
        ("alert_told", "apprise"),
    ]
    assert "secret" not in repr(logs)


async def test_a_target_that_hangs_fails_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.01)
    hanging = Told()
    hanging.block = asyncio.Event()
    desk = Desk([alert(), alert(tenant="acme")])
    await alerter(desk, hanging).round()
    assert len(desk.failures) == 2


async def test_an_outage_of_the_store_after_telling_is_left_to_the_lease() -> None:
    desk = Desk([alert()], settling=StoreUnavailable("away"))
    with structlog.testing.capture_logs() as logs:
        await alerter(desk, Told()).round()
    assert logs[-1]["event"] == "alert_not_settled"


@pytest.mark.parametrize(("due", "rest"), [(None, IDLE), (START + 1_200, 1_200), (START - 5, 0), (START + 10**9, IDLE)])
async def test_it_rests_until_the_next_one_is_due(due: int | None, rest: int) -> None:
    assert await alerter(Desk(due=due), Told()).round() == rest


async def test_an_outage_and_its_end_are_told_as_failures_are() -> None:
    desk, target = Outages([outage(), outage(START + 1, number=2)]), Told()
    await alerter(Desk(), target, outages=desk).round()
    assert [notice.type for notice in target.notices] == ["provider.out", "provider.back"]
    assert desk.told_of == [(each, START, EVERY) for each in (outage(), outage(START + 1, number=2))]
    desk = Outages([outage(tries=3)])
    await alerter(Desk(), Told(error=OSError("refused")), outages=desk).round()
    assert desk.failures == [(outage(tries=3), START + BACK_OFF.base * 4)]


async def test_closing_closes_the_targets() -> None:
    target = Told()
    await alerter(Desk(), target).close()
    assert target.closed
