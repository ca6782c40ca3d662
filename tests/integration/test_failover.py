"""Providers that fail, for real: mail servers that refuse, hang and answer anything; breakers, limits, alerts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from fallback.alert_targets import Webhook
from fallback.alerter import Alerter
from fallback.providers.base import Fault, Ok, Permanent, Transient
from fallback.providers.smtp import SmtpProvider, SmtpServer
from fallback.reporter import Reporter
from fallback.worker import Worker
from hub.bus.memory import MemoryRateLimiter
from hub.core.breaker import BreakerPolicy, BreakerState
from hub.core.model import Channel, DeliveryState
from hub.core.rates import Rate
from hub.core.views import rfc3339
from hub.store.alerts import SqlAlerts
from hub.store.outages import SqlOutages
from hub.store.worker_reports import SqlWorkerReports
from tests.integration.test_alert_targets import HOOK, SECRET
from tests.integration.test_worker import MINUTE, World, open_world, running, states
from tests.support.clock import START
from tests.support.http_fake import HttpFake, Reply, closed_port
from tests.support.scripted import ScriptedProvider
from tests.support.smtp_fake import SmtpFake

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

AWAY = Transient("away")
PAUSE = BreakerPolicy().pause
IN_A_ROW = BreakerPolicy().in_a_row


class Mail:
    """Two mail servers, tried in this order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.first, self.second = SmtpFake(), SmtpFake()
        self.timeout = 5.0

    def worker(self, **options: Any) -> Worker:
        servers = {"first": self.first, "second": self.second}
        return self.world.worker(
            providers={Channel.EMAIL: [self.provider(name, fake) for name, fake in servers.items()]}, **options
        )

    def provider(self, name: str, fake: SmtpFake) -> SmtpProvider:
        server = SmtpServer(host="127.0.0.1", port=fake.port, start_tls=False)
        made = SmtpProvider(server, "Acme <notifications@acme.example>", self.world.clock, self.timeout)
        made.name = name  # type: ignore[misc] # each its own
        return made

    async def publish(self) -> UUID:
        return await self.world.publish({"channel": "email", "after": 0})

    async def log(self, notification: UUID) -> list[tuple[int, str, str]]:
        found = await self.world.hub.notifications.status("default", notification)
        return [(each.number, each.provider, each.outcome) for each in found.deliveries[0].attempts]


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[World]:
    async with open_world(sqlite_url) as made:
        yield made


@pytest.fixture
async def mail(world: World) -> AsyncIterator[Mail]:
    made = Mail(world)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(made.first.running())
        await stack.enter_async_context(made.second.running())
        yield made


def breaker(worker: Worker, channel: Channel = Channel.EMAIL) -> BreakerState:
    return worker.routes.of(channel).guards[0].state


async def test_a_server_that_refuses_connections_is_followed_by_the_next(mail: Mail) -> None:
    with closed_port() as port:
        mail.first.port = port
        notification = await mail.publish()
        assert states(await mail.worker().run_once()) == [DeliveryState.SENT]
    assert await mail.log(notification) == [(1, "first", "transient"), (1, "second", "ok")]
    assert len(mail.second.mails) == 1


@pytest.mark.parametrize(
    ("reply", "word", "opens"),
    [
        ({"mail_reply": "452 4.3.1 no space left"}, "transient", False),
        ({"rcpt_reply": "421 4.3.2 closing down"}, "transient", False),
        ({"rcpt_reply": "550 5.7.1 relaying denied"}, "unusable", False),
        ({"mail_reply": "530 5.7.0 Authentication required"}, "unusable", True),
    ],
)
async def test_what_is_about_the_server_goes_to_the_next(
    mail: Mail,
    reply: dict[str, str],
    word: str,
    opens: bool,  # noqa: FBT001 - an example's value
) -> None:
    for name, text in reply.items():
        setattr(mail.first, name, text)
    worker, notification = mail.worker(), await mail.publish()
    assert states(await worker.run_once()) == [DeliveryState.SENT]
    assert await mail.log(notification) == [(1, "first", word), (1, "second", "ok")]
    assert (breaker(worker) is BreakerState.OPEN) == opens
    await mail.publish()
    await worker.run_once()
    assert mail.first.sessions == (1 if opens else 2)
    assert len(mail.second.mails) == 2


@pytest.mark.parametrize(
    ("reply", "state"),
    [("450 4.2.2 mailbox full", DeliveryState.QUEUED), ("550 5.1.1 no such user", DeliveryState.FAILED)],
)
async def test_what_is_about_the_recipient_does_not(mail: Mail, reply: str, state: DeliveryState) -> None:
    mail.first.rcpt_reply = reply
    worker = mail.worker()
    for _ in range(IN_A_ROW + 1):
        await mail.publish()
    assert states(await worker.run_once()) == [state] * (IN_A_ROW + 1)
    assert (breaker(worker), mail.second.sessions) == (BreakerState.CLOSED, 0)


async def test_a_server_that_hangs_before_the_mail_is_over_is_followed_by_the_next(mail: Mail) -> None:
    mail.timeout, mail.first.silent = 0.1, True
    notification = await mail.publish()
    assert states(await mail.worker().run_once()) == [DeliveryState.SENT]
    assert await mail.log(notification) == [(1, "first", "transient"), (1, "second", "ok")]


async def test_a_mail_that_may_have_been_taken_stays_with_its_server_until_the_breaker_opens(mail: Mail) -> None:
    mail.timeout, mail.first.silent_at_data = 0.1, True
    worker, notification = mail.worker(), await mail.publish()
    for _ in range(2):
        assert states(await worker.run_once()) == [DeliveryState.QUEUED]
    assert await mail.log(notification) == [(1, "first", "transient"), (2, "first", "transient")]
    others = [await mail.publish() for _ in range(IN_A_ROW)]
    while len(mail.second.mails) < 1 + len(others):
        await worker.run_once()
    assert breaker(worker) is BreakerState.OPEN
    assert [(await mail.log(each))[-1][1:] for each in (notification, *others)] == [("second", "ok")] * (
        1 + len(others)
    )
    # Should the first server have taken one after all, both mails have the same Message-ID.
    found = await mail.world.hub.notifications.status("default", notification)
    key = f"<{found.deliveries[0].id}@acme.example>"
    assert [str(each["Message-ID"]) for each in mail.second.mails].count(key) == 1


async def test_a_server_that_hangs_holds_up_nobody_else(mail: Mail) -> None:
    """By the order of events: every push has gone out before the first mail comes back."""
    mail.timeout, mail.first.silent = 60.0, True
    push, pushed = mail.world.push, asyncio.Event()

    def count() -> None:
        if len(push.calls) == 2 * 20 - 1:  # to two devices each
            pushed.set()

    push.before = count
    for _ in range(10):
        await mail.publish()
    async with asyncio.timeout(60):
        worker = mail.worker(concurrency=4)
        await worker._pool.fill()
        await mail.first.asked.wait()
        for _ in range(20):
            await mail.world.publish({"channel": "push", "after": 0})
        while not pushed.is_set():
            await worker._pool.fill()
            await asyncio.sleep(0)
        assert mail.first.sessions == 4  # its own lane is full
        await worker._pool.abandon()
        await worker._settler.close()


# A queue before providers that are not to be called


async def test_while_its_only_provider_is_out_a_channel_waits_in_its_order_and_others_go_on(world: World) -> None:
    worker = world.worker(concurrency=IN_A_ROW)
    world.email.default = AWAY
    for _ in range(IN_A_ROW):
        await world.publish({"channel": "email", "after": 0})
    await worker.run_once()
    waiting = [await world.publish({"channel": "email", "after": 0}) for _ in range(3)]
    calls = len(world.email.calls)
    await world.publish({"channel": "push", "after": 0})
    assert states(await worker.run_once()) == [DeliveryState.SENT]  # the push
    assert await worker.run_once() == []
    assert len(world.email.calls) == calls
    found = [(await world.hub.notifications.status("default", each)).deliveries[0] for each in waiting]
    assert [(each.state, list(each.attempts)) for each in found] == [("queued", [])] * 3

    world.clock.advance(PAUSE)
    [trial] = await worker.run_once()  # one, though there are many
    assert trial.state is DeliveryState.QUEUED
    assert await worker.run_once() == []
    world.email.default = ScriptedProvider().default
    world.clock.advance(2 * PAUSE)
    assert breaker(worker) is BreakerState.HALF_OPEN
    before = len(world.email.calls)
    settled = await worker.run_once()
    assert len(settled) == len(world.email.calls) - before == 1
    while more := await worker.run_once():
        settled += more
    assert states(settled) == [DeliveryState.SENT] * (IN_A_ROW + 3)


async def test_another_workers_breaker_is_its_own(world: World) -> None:
    one, other = world.worker(), world.worker()
    world.email.default = AWAY
    for _ in range(IN_A_ROW):
        await world.publish({"channel": "email", "after": 0})
    await one.run_once()
    world.email.default = ScriptedProvider().default
    assert await one.run_once() == []
    assert states(await other.run_once()) == [DeliveryState.SENT] * IN_A_ROW


async def test_critical_overtakes_a_queue_full_of_bulk(world: World) -> None:
    worker = world.worker(concurrency=2)
    for _ in range(6):
        await world.publish({"channel": "email", "after": 0}, priority="low")
    world.email.block = release = asyncio.Event()
    await worker._pool.fill()
    await world.email.called.wait()
    urgent = await world.publish({"channel": "email", "after": 0}, priority="critical")
    overtook = asyncio.Event()
    world.email.before = overtook.set
    await worker._pool.fill()
    await overtook.wait()
    release.set()
    settled = await worker._pool.drain()
    assert len(settled) == 3
    assert await world.states(urgent) == ["sent"]
    while await worker.run_once():
        pass
    assert len(world.email.calls) == 7


async def test_of_what_is_due_together_critical_goes_first(world: World) -> None:
    order: list[str] = []
    for priority in ("low", "normal", "high", "critical"):
        notification = await world.publish({"channel": "email", "after": 0}, priority=priority)
        order.insert(0, str((await world.hub.notifications.status("default", notification)).deliveries[0].id))
    limiter = MemoryRateLimiter()
    worker = world.worker(limiter=limiter, rates={"scripted": [Rate(1, MINUTE)]})
    while len(world.email.calls) < 4:
        await worker.run_once()
        world.clock.advance(MINUTE)
    assert [str(delivery) for _, delivery in world.email.calls] == order


async def test_workers_share_a_rate_limit_and_wait_without_using_attempts(world: World) -> None:
    limiter = MemoryRateLimiter()
    workers = [world.worker(limiter=limiter, rates={"scripted": [Rate(3, MINUTE)]}) for _ in range(2)]
    times: list[int] = []
    world.email.before = lambda: times.append((world.clock.now() - START) // MINUTE)
    notifications = [await world.publish({"channel": "email", "after": 0}) for _ in range(8)]
    while len(times) < 8:
        while any([await worker.run_once() for worker in workers]):
            pass
        world.clock.advance(MINUTE)
    assert times == [0, 0, 0, 1, 1, 1, 2, 2]
    for notification in notifications:
        found = await world.hub.notifications.status("default", notification)
        assert [each.number for each in found.deliveries[0].attempts] == [1]


async def test_a_worker_that_stops_leaves_nobody_in_line(world: World) -> None:
    waiting = asyncio.Event()

    class Slow(MemoryRateLimiter):
        async def take(self, *arguments: Any) -> Any:
            waiting.set()
            await asyncio.Event().wait()

    notification = await world.publish({"channel": "email", "after": 0})
    async with running(world.worker(limiter=Slow(), rates={"scripted": [Rate(1, MINUTE)]})) as worker:
        await waiting.wait()
        worker.stop()
    assert await world.states(notification) == ["queued"]
    assert states(await world.worker().run_once()) == [DeliveryState.SENT]  # at once: no lease has to run out


# Alerts


@asynccontextmanager
async def hook(world: World) -> AsyncIterator[tuple[HttpFake, list[Alerter]]]:
    with HttpFake().running() as fake:
        fake.replies[HOOK] = Reply(204, b"")
        alerts, outages = SqlAlerts(world.database), SqlOutages(world.database)
        made = [
            Alerter(alerts, outages, [Webhook(fake.url + HOOK, SECRET)], world.clock, every=15 * MINUTE)
            for _ in range(2)
        ]
        yield fake, made
        for alerter in made:
            await alerter.close()


async def test_dead_letters_are_told_of_once_by_whichever_worker_and_then_in_a_digest(world: World) -> None:
    world.email.default = Permanent("no such mailbox")
    async with hook(world) as (fake, alerters):

        async def rounds() -> list[int]:
            await asyncio.gather(*(alerter.round() for alerter in alerters))
            return [json.loads(request.body)["data"]["count"] for request in fake.received(HOOK)]

        notification = await world.publish({"channel": "email", "after": 0})
        await world.worker().run_once()
        assert await rounds() == [1]
        for _ in range(3):
            await world.publish({"channel": "email", "after": 0})
            await world.worker().run_once()  # each time a worker that has just started
        assert await rounds() == [1]
        world.clock.advance(15 * MINUTE)
        assert await rounds() == [1, 3]
        data = json.loads(fake.received(HOOK)[0].body)["data"]
    assert data["latest"]["notification"] == str(notification)
    assert (data["latest"]["user"], data["provider"], data["latest"]["reason"]) == (
        "ada",
        "scripted",
        "no such mailbox",
    )
    assert "ada@example.com" not in json.dumps(data)


async def test_ten_workers_breakers_make_one_message_and_one_when_it_is_back(world: World) -> None:
    world.email.default = AWAY
    reports = SqlWorkerReports(world.database)
    crew = [world.worker() for _ in range(10)]
    reporters = [
        Reporter(reports, worker.metrics, world.clock, providers={}, signs=worker.routes.signs) for worker in crew
    ]
    async with hook(world) as (fake, alerters):

        async def told() -> list[tuple[str, int]]:
            """Let every worker report, and every alerter look after each."""
            for reporter in reporters:
                await reporter.report()
                await asyncio.gather(*(alerter.round() for alerter in alerters))
            bodies = [json.loads(request.body) for request in fake.received(HOOK)]
            return [(each["type"], each["data"]["workers"]) for each in bodies if each["type"] != "deliveries.failed"]

        assert await told() == []
        for worker in crew:
            await world.publish({"channel": "email", "after": 0})
            for _ in range(IN_A_ROW):
                await worker.run_once()
        assert {breaker(worker) for worker in crew} == {BreakerState.OPEN}
        assert await told() == [("provider.out", 1)]  # the first that reported was enough
        assert await told() == [("provider.out", 1)]

        world.email.default = Ok()
        world.clock.advance(PAUSE)
        for worker in crew[:-1]:
            await world.publish({"channel": "email", "after": 0})
            await worker.run_once()
        assert await told() == [("provider.out", 1)], "one of them does not call it yet"
        await world.publish({"channel": "email", "after": 0})
        await crew[-1].run_once()
        assert {breaker(worker) for worker in crew} == {BreakerState.CLOSED}
        assert await told() == [("provider.out", 1), ("provider.back", 0)]
        data = json.loads(fake.received(HOOK)[-1].body)["data"]
    assert (data["channel"], data["provider"], data["since"]) == ("email", "scripted", rfc3339(START))


async def test_a_running_worker_tells_at_once_and_a_webhook_that_is_away_disturbs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.email.default = Permanent("bad credentials", fault=Fault.PROVIDER)

    async def until_nudged(event: asyncio.Event, milliseconds: int) -> None:
        await event.wait()

    async with hook(world) as (fake, [alerter, _]):
        fake.replies[HOOK] = Reply(500, b"")
        told = asyncio.Event()
        tell = alerter._told

        async def watched(*arguments: Any) -> bool:
            taken = await tell(*arguments)
            told.set()
            return taken

        monkeypatch.setattr(alerter, "_told", watched)
        notification = await world.publish({"channel": "email", "after": 0}, {"channel": "push", "after": "1h"})
        async with running(world.worker(alerter=alerter, wait=until_nudged)) as worker:
            worker.nudge()
            await told.wait()
        assert len(fake.received(HOOK)) == 1
    assert await world.states(notification) == ["failed", "sent"]


async def test_who_has_no_address_is_told_of_without_one(world: World) -> None:
    world.email.default = Permanent("no such mailbox")
    await world.publish({"channel": "email", "after": 0}, users=[{"email": "eve@example.com"}], inbox=False)  # type: ignore[list-item]
    await world.worker().run_once()
    async with hook(world) as (fake, [alerter, _]):
        await alerter.round()
        [request] = fake.received(HOOK)
    assert json.loads(request.body)["data"]["latest"]["user"] is None
    assert b"eve@example.com" not in request.body
