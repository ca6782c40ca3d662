"""Workers, databases, Redis and providers that fail, as real processes: nothing is lost, and no duplicate is hidden.

A message can only be repeated if its send was begun and not written down; `check_account` holds what the carrier was
given against the trace of each delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hub.core.model import Channel
from hub.store.migrate import migrate
from tests.support.carrier import SENDGRID, Call, reply
from tests.support.ledger import check_account
from tests.support.locks import in_the_way, until_one_waits
from tests.support.pigeon import path_of
from tests.support.postgres import postgres
from tests.support.scenarios.worker_kills import SETTINGS, worker_kills
from tests.support.valkey import valkey_server
from tests.support.workers import LEASE, Workers, open_workers

IN_A_TRANSACTION = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
)
"""
WIDTH = 8
"""Deliveries of a lane that a worker has under way at once."""
MAILS = path_of(Channel.EMAIL)
TEXTS = path_of(Channel.SMS)


@pytest.fixture
async def workers(postgres_url: str, flushed_redis_url: str, tmp_path: Path) -> AsyncIterator[Workers]:
    async with open_workers(postgres_url, flushed_redis_url, tmp_path) as made:
        yield made


async def another_finishes(workers: Workers) -> None:
    await workers.ledger.until_leases_are_over()
    await workers.started(BELLWIRE_LEASE_SECONDS="60")  # however slow the machine is, this one keeps what it claims
    await workers.ledger.until_ended()
    check_account(await workers.ledger.entries(), workers.carrier)


# A worker is killed


async def test_killed_before_its_claim_is_committed(workers: Workers) -> None:
    await workers.publish(WIDTH, "email")
    async with in_the_way(workers.database_url, "devices"):
        worker = await workers.started()
        await until_one_waits(workers.database_url, "%devices%")  # claimed, and reads what goes with it
        await asyncio.to_thread(worker.kill)
    assert await workers.ledger.states() == {"queued": WIDTH}
    await another_finishes(workers)
    assert workers.carrier.taken.total() == WIDTH
    assert {entry.fence for entry in (await workers.ledger.entries()).values()} == {1}, "nobody had it before"


async def test_killed_before_the_provider_has_taken_anything(workers: Workers) -> None:
    workers.carrier.manners[MAILS] = workers.carrier.ignore
    await workers.publish(WIDTH, "email")
    worker = await workers.started()
    await workers.carrier.until_called(MAILS, WIDTH)
    await asyncio.to_thread(worker.kill)
    workers.carrier.release()
    await another_finishes(workers)
    assert workers.carrier.taken.total() == WIDTH
    assert {(each.claims, each.rescues) for each in (await workers.ledger.entries()).values()} == {(2, 1)}


async def test_killed_after_the_send_before_it_is_written_down(workers: Workers) -> None:
    """The one case in which a message goes out twice: of what was sent and not written down."""
    workers.carrier.manners[MAILS] = workers.carrier.swallow
    await workers.publish(3 * WIDTH, "email")
    worker = await workers.started()
    await workers.carrier.until_taken(WIDTH)
    await asyncio.to_thread(worker.kill)
    workers.carrier.release()
    await another_finishes(workers)
    assert workers.carrier.duplicates.total() == WIDTH
    entries = await workers.ledger.entries()
    assert {each for each, entry in entries.items() if entry.rescues} == set(workers.carrier.duplicates)


async def test_killed_before_its_settlement_is_committed(workers: Workers) -> None:
    await workers.publish(WIDTH, "email")
    async with in_the_way(workers.database_url, "attempts"):
        worker = await workers.started()
        await until_one_waits(workers.database_url, "%INSERT INTO attempts%")
        await workers.carrier.until_taken(WIDTH)
        await asyncio.to_thread(worker.kill)
    assert await workers.ledger.states() == {"sending": WIDTH}, "none of it is written"
    await another_finishes(workers)
    assert workers.carrier.duplicates.total() == WIDTH


async def test_killed_again_and_again(postgres_url: str, flushed_redis_url: str, tmp_path: Path) -> None:
    async with open_workers(postgres_url, flushed_redis_url, tmp_path, SETTINGS) as workers:
        figures = await worker_kills(workers, deliveries=1_000, kills=3)
    assert figures.failed > 100
    assert figures.duplicates <= figures.rescued


# A worker stands still for longer than its lease, and goes on


async def test_stopped_while_it_sends(workers: Workers) -> None:
    """What it sent is sent again, by another; what it writes down afterwards counts for nothing."""
    carrier, ledger = workers.carrier, workers.ledger
    carrier.manners[MAILS] = carrier.swallow
    await workers.publish(WIDTH, "email")
    stopped = await workers.started()
    await carrier.until_taken(WIDTH)
    stopped.freeze()
    while (await ledger.fetch(IN_A_TRANSACTION))[0][0]:  # the server would let go of its locks only after 15 s
        stopped.thaw()
        stopped.freeze()
    carrier.manners.clear()
    await another_finishes(workers)
    assert carrier.duplicates.total() == WIDTH
    before = await ledger.entries()
    stopped.thaw()
    assert await asyncio.to_thread(stopped.stop) == 0
    # Which of the two comes first hangs on how long it stood still: calls have a time limit too.
    assert "lease_lost" in stopped.output or "settlement_too_late" in stopped.output
    assert await ledger.entries() == before


async def test_stopped_between_its_last_look_and_the_send(workers: Workers) -> None:
    """It does not send: by the time it goes on, its lease is over, and that it can tell by itself."""
    stopped = await workers.started()
    for _ in range(3):  # or its statements would wait to be prepared, before they look
        await workers.publish(WIDTH, "email")
        await workers.ledger.until_ended()
    async with AsyncExitStack() as before_look, AsyncExitStack() as within_claim:
        await within_claim.enter_async_context(in_the_way(workers.database_url, "devices"))
        await workers.publish(WIDTH, "email")
        await until_one_waits(workers.database_url, "%devices%")
        # Next in line: behind the claim, and before the look that follows it.
        second = in_the_way(workers.database_url, "inbox_items")
        lining_up = asyncio.create_task(before_look.enter_async_context(second))
        await until_one_waits(workers.database_url, "LOCK TABLE inbox_items%")
        await within_claim.aclose()
        await lining_up
        await until_one_waits(workers.database_url, "%inbox_items%")
        stopped.freeze()
    await another_finishes(workers)
    stopped.thaw()
    assert await asyncio.to_thread(stopped.stop) == 0
    assert len(workers.carrier.calls[MAILS]) == 4 * WIDTH, "it has not even tried"
    assert sum(entry.rescues for entry in (await workers.ledger.entries()).values()) == WIDTH


# What workers stand on goes away


async def test_the_database_is_away_for_longer_than_a_lease(flushed_redis_url: str, tmp_path: Path) -> None:
    """What was sent meanwhile is written down when it is back, before anybody takes its worker for gone."""
    with postgres() as server:
        await migrate(server.url)
        async with open_workers(server.url, flushed_redis_url, tmp_path) as workers:
            carrier = workers.carrier
            both = await asyncio.gather(workers.started(), workers.started())
            for turn, end in enumerate((server.stop, server.crash)):
                carrier.manners[MAILS] = carrier.swallow
                await workers.publish(3 * WIDTH, "email")
                await carrier.until_taken((3 * turn + 2) * WIDTH)
                before = [len(worker.output) for worker in both]
                end()
                carrier.release()
                for worker, since in zip(both, before, strict=True):
                    await asyncio.to_thread(worker.wait_for_output, "store_unavailable", since=since)
                await asyncio.sleep(LEASE)  # not for something to come about: this is the fault
                server.start()
                await workers.ledger.until_ended()
            check_account(await workers.ledger.entries(), carrier)
            assert not carrier.duplicates


async def test_redis_is_away(postgres_url: str, tmp_path: Path) -> None:
    with valkey_server() as valkey:
        async with open_workers(postgres_url, valkey.url, tmp_path) as workers:
            await workers.started(BELLWIRE_RATE_LIMITS='{"mailpigeon": "1000/second"}')
            for turn in range(3):
                match turn:
                    case 1:
                        await asyncio.to_thread(valkey.kill)
                    case 2:
                        await asyncio.to_thread(valkey.start)
                await workers.publish(2 * WIDTH, "email")
                await workers.ledger.until_ended()
            check_account(await workers.ledger.entries(), workers.carrier)
            assert workers.carrier.taken.total() == 6 * WIDTH


# Providers fail


async def test_a_provider_that_hangs_holds_up_no_other_channel(workers: Workers) -> None:
    """By the order of events: all text messages have gone out, and been written down, while every e-mail hangs."""
    carrier, texts = workers.carrier, 200
    carrier.manners[MAILS] = carrier.ignore
    await workers.publish(2 * WIDTH, "email")
    await workers.started()
    await carrier.until_called(MAILS, WIDTH)
    await workers.publish(texts, "sms")
    await workers.ledger.until("SELECT bool_and(state = 'sent') FROM deliveries WHERE channel = 'sms'")
    assert len(carrier.calls[MAILS]) == WIDTH, "none of them has come back"
    carrier.release()


BAD_ANSWERS = (
    reply(429, headers={"Retry-After": "1"}),
    reply(500, b"<html>oops</html>"),
    b"\x00\xff\x00 not HTTP at all\r\n\r\n",
    b"HTTP/1.1 5",
)
"""One fewer than open a breaker."""


async def test_a_provider_that_answers_badly_is_tried_again(workers: Workers) -> None:
    """Every kind of bad answer in turn, by the SDK of a real provider; then the mails are sent, once each."""
    carrier, ledger = workers.carrier, workers.ledger
    answers = iter(BAD_ANSWERS)

    async def badly_at_first(call: Call) -> bytes:
        return next(answers) if call.number == 1 else await carrier.take(call)

    carrier.manners[SENDGRID] = badly_at_first
    await workers.started(BELLWIRE_EMAIL_PROVIDER="sendgrid")
    for away in (False, True):
        if away:
            await carrier.go_away()
        await workers.publish(len(BAD_ANSWERS), "email")
        await ledger.until("SELECT bool_and(attempts > 0) FROM deliveries")
        if away:
            await carrier.come_back()
            carrier.release()
        await ledger.hasten()
        await ledger.until_ended()
    entries = await ledger.entries()
    check_account(entries, carrier)
    assert not carrier.duplicates
    assert {(each.attempts, each.failures, each.rescues) for each in entries.values()} == {(2, 1, 0)}
