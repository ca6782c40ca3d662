"""The contract of `Outages`: many workers find a provider out, and operators are told of it once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from hub.core.model import Channel, ProviderOutage
from hub.core.model.queues import ProviderSign, WorkerSign
from hub.ports import Outages
from hub.store.engine import Database, open_database
from hub.store.outages import SqlOutages
from hub.store.worker_reports import ALIVE, SqlWorkerReports
from tests.support.clock import START
from tests.support.queue import LEASE, SECOND

MINUTE = 60 * SECOND
QUIET = 15 * MINUTE


class Workers:
    """Workers that report how they find the provider."""

    def __init__(self, database: Database) -> None:
        self._reports = SqlWorkerReports(database)

    async def report(
        self, number: int, now: int, *, out: int | None = None, answered: int | None = None, provider: str = "smtp"
    ) -> None:
        sign = ProviderSign(Channel.EMAIL, provider, out, answered)
        await self._reports.report(WorkerSign(UUID(int=number), START, {}, (sign,)), {}, now)


@pytest.fixture
def outages(database: Database) -> Outages:
    return SqlOutages(database)


@pytest.fixture
def workers(database: Database) -> Workers:
    return Workers(database)


def told(claimed: Sequence[ProviderOutage]) -> list[str]:
    return ["out" if each.ended_at is None else "back" for each in claimed]


async def test_while_all_is_well_nothing_is_told(outages: Outages, workers: Workers) -> None:
    assert await outages.claim(START, LEASE) == []
    await workers.report(1, START, answered=START)
    assert await outages.claim(START, LEASE) == []


async def test_of_ten_workers_that_find_it_out_one_tells_once(
    outages: Outages, workers: Workers, database_url: str
) -> None:
    for number in range(10):
        await workers.report(number, START, out=START - number)
    await workers.report(10, START)
    others = [await open_database(database_url, exclusive=False) for _ in range(2)]
    found = await asyncio.gather(*(SqlOutages(each).claim(START, LEASE) for each in others for _ in range(3)))
    for other in others:
        await other.close()
    [[outage]] = [each for each in found if each]
    assert (outage.channel, outage.provider, outage.since, outage.ended_at) == (
        Channel.EMAIL,
        "smtp",
        START - 9,
        None,
    )
    assert (outage.workers, outage.of_workers) == (10, 11)
    await outages.told(outage, START, QUIET)
    assert await outages.claim(START + QUIET - 1, LEASE) == []


async def test_that_it_is_back_is_told_once_somebody_had_an_answer(outages: Outages, workers: Workers) -> None:
    await workers.report(1, START, out=START)
    await workers.report(2, START, out=START)
    [outage] = await outages.claim(START, LEASE)
    await outages.told(outage, START, QUIET)
    await workers.report(1, START + 1, answered=START + 1)
    assert await outages.claim(START + 1, LEASE) == []  # the other still finds it out
    await workers.report(2, START + 2)  # as one that was restarted
    [back] = await outages.claim(START + 2, LEASE)
    assert (back.since, back.ended_at, back.number) == (START, START + 2, 2)
    await outages.told(back, START + 2, QUIET)
    assert await outages.claim(START + QUIET, LEASE) == []


async def test_a_worker_that_is_gone_says_nothing_of_the_provider(outages: Outages, workers: Workers) -> None:
    await workers.report(1, START, out=START)
    [outage] = await outages.claim(START, LEASE)
    await outages.told(outage, START, QUIET)
    now = START + ALIVE
    await workers.report(2, now)
    assert await outages.claim(now, LEASE) == []
    await workers.report(2, now + 1, answered=now + 1)
    assert told(await outages.claim(now + 1, LEASE)) == ["back"]


async def test_one_that_comes_and_goes_makes_two_messages_in_each_quiet_time(
    outages: Outages, workers: Workers
) -> None:
    heard: list[str] = []
    for second in range(0, 2 * QUIET // SECOND, 30):
        now = START + second * SECOND
        if second % 60:
            await workers.report(1, now, answered=now)
        else:
            await workers.report(1, now, out=now)
        for outage in await outages.claim(now, LEASE):
            heard += told([outage])
            await outages.told(outage, now, QUIET)
    assert heard == ["out", "back", "out", "back"]


async def test_what_ended_before_it_was_told_is_not_told(outages: Outages, workers: Workers) -> None:
    await workers.report(1, START, out=START)
    [outage] = await outages.claim(START, LEASE)
    await outages.failed(outage, START + MINUTE)
    await workers.report(1, START + MINUTE, answered=START + 1)
    assert await outages.claim(START + MINUTE, LEASE) == []


async def test_what_could_not_be_told_is_tried_again_as_the_same_message(outages: Outages, workers: Workers) -> None:
    await workers.report(1, START, out=START)
    [first] = await outages.claim(START, LEASE)
    await outages.failed(first, START + 20)
    assert await outages.claim(START + 19, LEASE) == []
    [second] = await outages.claim(START + 20, LEASE)
    assert (second.number, second.tries) == (first.number, 1)


async def test_whoever_vanishes_while_telling_is_followed_by_another_and_comes_too_late(
    outages: Outages, workers: Workers
) -> None:
    await workers.report(1, START, out=START)
    [lost] = await outages.claim(START, LEASE)
    await workers.report(1, START + LEASE, out=START)
    [again] = await outages.claim(START + LEASE, LEASE)
    assert again.number == lost.number
    await outages.failed(lost, START + 10 * QUIET)
    await outages.told(again, START + LEASE, QUIET)
    await outages.told(again, START + LEASE, QUIET)  # a COMMIT that was lost sight of
    await workers.report(1, START + LEASE + 1, answered=START + LEASE + 1)
    [back] = await outages.claim(START + LEASE + 1, LEASE)
    assert back.number == again.number + 1


async def test_providers_are_told_of_apart(outages: Outages, workers: Workers) -> None:
    await workers.report(1, START, out=START)
    await workers.report(2, START, out=START, provider="sendgrid")
    await workers.report(3, START, provider="console")
    assert [each.provider for each in await outages.claim(START, LEASE)] == ["sendgrid", "smtp"]
