"""The contract of `Alerts`: what failed is told of, once, by one, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from hub.core.model import AlertGroup, Channel, DeadLetter, DeliveryState, FailureKind, Step
from hub.core.transitions import Actor, may
from hub.ports import Alerts, DeliveryQueue
from hub.store.alerts import SqlAlerts
from hub.store.engine import Database
from tests.support.clock import START
from tests.support.queue import EMAIL, LEASE, MAX_CLAIMS, SECOND, claim_one, settled
from tests.support.rows import Rows

MINUTE = 60 * SECOND
GROUP = AlertGroup("default", Channel.EMAIL, "smtp", FailureKind.REFUSED)


@pytest.fixture
def alerts(database: Database) -> Alerts:
    return SqlAlerts(database)


class Failing:
    """Makes deliveries fail."""

    def __init__(self, queue: DeliveryQueue, rows: Rows) -> None:
        self._queue = queue
        self._rows = rows

    async def fail(
        self,
        *users: str,
        now: int = START,
        kind: FailureKind = FailureKind.REFUSED,
        provider: str | None = "smtp",
        tenant: str = "default",
    ) -> list[UUID]:
        """Let a notification's deliveries by e-mail fail in one settlement; returns them."""
        await self._rows.notification(users=users, plan=[Step(Channel.EMAIL, 0)], tenant=tenant)
        claims = await self._queue.claim(EMAIL, now, LEASE, 100)
        failed = [replace(settled(claim, DeliveryState.FAILED), failure=kind, provider=provider) for claim in claims]
        failed = [replace(each, reason=f"no mailbox {number}") for number, each in enumerate(failed)]
        assert len(await self._queue.settle(failed, now)) == len(users)
        return [each.delivery for each in failed]


@pytest.fixture
def failing(queue: DeliveryQueue, rows: Rows) -> Failing:
    return Failing(queue, rows)


async def test_nothing_to_tell(alerts: Alerts) -> None:
    assert await alerts.claim(START, LEASE, 10) == []
    assert await alerts.next_due() is None


async def test_what_failed_is_told_of_with_the_last_one_as_an_example(
    alerts: Alerts, failing: Failing, rows: Rows
) -> None:
    *_, last = await failing.fail("ada", "ben", "cyd")
    assert (await alerts.next_due() or 0) <= START
    [alert] = await alerts.claim(START + 1, LEASE, 10)
    assert (alert.group, alert.count, alert.since, alert.number, alert.tries) == (GROUP, 3, START, 1, 0)
    row = await rows.state(last)
    assert alert.latest == DeadLetter(last, row.notification_id, row.user_id, "no mailbox 2", START)


async def test_groups_are_told_of_apart(alerts: Alerts, failing: Failing) -> None:
    await failing.fail("ada")
    await failing.fail("ada", kind=FailureKind.EXHAUSTED)
    await failing.fail("ada", "ben", provider="sendgrid")
    await failing.fail("ada", provider=None)
    await failing.fail("ada", tenant="acme")
    told = {alert.group: alert.count for alert in await alerts.claim(START, LEASE, 10)}
    assert told == {
        GROUP: 1,
        GROUP._replace(kind=FailureKind.EXHAUSTED): 1,
        GROUP._replace(provider="sendgrid"): 2,
        GROUP._replace(provider=""): 1,
        GROUP._replace(tenant="acme"): 1,
    }


async def test_only_failures_count(alerts: Alerts, queue: DeliveryQueue, rows: Rows) -> None:
    await rows.notification(users=["ada", "ben"], plan=[Step(Channel.EMAIL, 0)])
    sent, skipped = await queue.claim(EMAIL, START, LEASE, 10)
    await queue.settle([settled(sent, DeliveryState.SENT), settled(skipped, DeliveryState.SKIPPED)], START)
    assert await alerts.next_due() is None


async def test_a_settlement_that_is_not_ours_counts_nothing(alerts: Alerts, queue: DeliveryQueue, rows: Rows) -> None:
    await rows.notification(plan=[Step(Channel.EMAIL, 0)])
    claim = await claim_one(queue)
    await queue.settle([settled(claim, DeliveryState.SENT)], START)
    assert await queue.settle([settled(claim, DeliveryState.FAILED)], START) == []
    assert await alerts.next_due() is None


async def test_what_crashes_its_workers_is_told_of(alerts: Alerts, queue: DeliveryQueue, rows: Rows) -> None:
    await rows.notification(plan=[Step(Channel.EMAIL, 0)])
    now = START
    for _ in range(MAX_CLAIMS):
        await queue.claim(EMAIL, now, LEASE, 10)
        now += LEASE
        await queue.rescue(now, MAX_CLAIMS, 10)
    [alert] = await alerts.claim(now, LEASE, 10)
    assert alert.group == AlertGroup("default", Channel.EMAIL, "", FailureKind.CRASHED)
    assert alert.latest is not None
    assert "vanished" in alert.latest.reason


async def test_one_worker_tells_whoever_asks_at_once(database_url: str, alerts: Alerts, failing: Failing) -> None:
    for tenant in ("default", "acme", "umbra"):
        await failing.fail("ada", tenant=tenant)
    claims = await asyncio.gather(*(alerts.claim(START, LEASE, 2) for _ in range(4)))
    groups = [alert.group for claim in claims for alert in claim]
    assert len(groups) == len(set(groups)) == 3


async def test_a_group_that_was_told_of_is_quiet_and_then_tells_what_failed_meanwhile(
    alerts: Alerts, failing: Failing
) -> None:
    await failing.fail("ada")
    [first] = await alerts.claim(START, LEASE, 10)
    await failing.fail("ben", now=START + 1)  # while it is being told
    await alerts.told(first, START + SECOND, 15 * MINUTE)
    await failing.fail("cyd", "dan", now=START + MINUTE)
    quiet_until = START + SECOND + 15 * MINUTE
    assert await alerts.claim(quiet_until - 1, LEASE, 10) == []
    assert await alerts.next_due() == quiet_until
    [digest] = await alerts.claim(quiet_until, LEASE, 10)
    assert (digest.count, digest.number, digest.since) == (3, 2, START + SECOND)
    await alerts.told(digest, quiet_until, 15 * MINUTE)
    assert await alerts.next_due() is None
    await failing.fail("eve", now=quiet_until + 60 * MINUTE)
    [later] = await alerts.claim(quiet_until + 60 * MINUTE, LEASE, 10)  # quiet for long enough: at once
    assert (later.count, later.since) == (1, quiet_until + 60 * MINUTE)


async def test_what_could_not_be_told_is_tried_again_with_what_came_since(alerts: Alerts, failing: Failing) -> None:
    await failing.fail("ada")
    [first] = await alerts.claim(START, LEASE, 10)
    await alerts.failed(first, START + MINUTE)
    await failing.fail("ben", now=START + SECOND)
    assert await alerts.claim(START + MINUTE - 1, LEASE, 10) == []
    [again] = await alerts.claim(START + MINUTE, LEASE, 10)
    assert (again.count, again.number, again.tries) == (2, 1, 1)
    await alerts.told(again, START + MINUTE, MINUTE)
    assert await alerts.next_due() is None


async def test_whoever_vanishes_while_telling_is_followed_by_another_and_comes_too_late(
    alerts: Alerts, failing: Failing
) -> None:
    await failing.fail("ada")
    [vanished] = await alerts.claim(START, LEASE, 10)
    assert await alerts.claim(START + LEASE - 1, LEASE, 10) == []
    [other] = await alerts.claim(START + LEASE, LEASE, 10)
    assert other.number == vanished.number  # the same message, for receivers that look
    await alerts.told(vanished, START + LEASE, MINUTE)
    await alerts.failed(vanished, START)
    assert await alerts.claim(START + LEASE, LEASE, 10) == []
    await alerts.told(other, START + LEASE, MINUTE)
    assert await alerts.next_due() is None


async def test_telling_twice_counts_once(alerts: Alerts, failing: Failing) -> None:
    """As after a COMMIT whose answer was lost."""
    await failing.fail("ada", "ben")
    [alert] = await alerts.claim(START, LEASE, 10)
    await failing.fail("cyd", now=START + 1)
    await alerts.told(alert, START + 2, MINUTE)
    await alerts.told(alert, START + 2, MINUTE)
    [rest] = await alerts.claim(START + 2 + MINUTE, LEASE, 10)
    assert rest.count == 1


async def test_an_example_that_is_gone_is_missing(alerts: Alerts, failing: Failing, rows: Rows) -> None:
    [delivery] = await failing.fail("ada")
    await rows.erase("deliveries", id=delivery)
    [alert] = await alerts.claim(START, LEASE, 10)
    assert (alert.count, alert.latest) == (1, None)


async def test_many_settle_failures_of_the_same_groups_at_once(
    alerts: Alerts, queue: DeliveryQueue, rows: Rows
) -> None:
    await rows.notification(users=[f"user-{n}" for n in range(24)], plan=[Step(Channel.EMAIL, 0)])
    claims = await queue.claim(EMAIL, START, LEASE, 24)
    failed = [
        replace(settled(claim, DeliveryState.FAILED), provider=("b", "a")[n % 2]) for n, claim in enumerate(claims)
    ]
    await asyncio.gather(*(queue.settle(failed[start::6], START) for start in range(6)))
    assert sorted(alert.count for alert in await alerts.claim(START, LEASE, 10)) == [12, 12]


@pytest.mark.parametrize("state", [state for state in DeliveryState if may(Actor.WORKER, DeliveryState.SENDING, state)])
async def test_a_kind_of_failure_goes_with_failing_only(queue: DeliveryQueue, rows: Rows, state: DeliveryState) -> None:
    await rows.notification(plan=[Step(Channel.EMAIL, 0)])
    settlement = settled(await claim_one(queue), state, due_at=START)
    wrong = replace(settlement, failure=None if settlement.failure else FailureKind.REFUSED)
    with pytest.raises(ValueError, match="of what kind"):
        await queue.settle([wrong], START)
