"""What one channel notices of another's provider that fails, as a ratio to normal.

By the order of events it is shown in `tests/e2e/test_worker_faults.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hub.core.model import Channel
from tests.support.carrier import Call, Carrier, Manner, reply
from tests.support.cluster import API_KEY, JWT_SECRET
from tests.support.http_fake import closed_port
from tests.support.pigeon import path_of
from tests.support.process import BellwireProcess
from tests.support.workers import Workers, command, open_workers

MAILS = path_of(Channel.EMAIL)
WARM_UP = 40
"""The first ones, which meet a worker that has just started, do not count."""
PUBLISHED = 600
PER_SECOND = 40
PATIENCE = 60.0
WORSE = 3.0
"""At most so many times the normal p99."""
LEAST = 0.020
"""Seconds: a p99 below this counts as this, or the ratio would be one of noise to noise."""


def answering(answer: bytes) -> Callable[[Carrier], Manner]:
    def manner_of(_carrier: Carrier) -> Manner:
        async def answers(_call: Call) -> bytes:
            return answer

        return answers

    return manner_of


FAULTS: dict[str, Callable[[Carrier], Manner]] = {
    "hangs": lambda carrier: carrier.ignore,
    "takes it and hangs": lambda carrier: carrier.swallow,
    "answers 429": answering(reply(429)),
    "answers 500": answering(reply(500)),
    "answers garbage": answering(b"\x00\xff\x00 not HTTP at all\r\n\r\n"),
}


async def test_other_channels_p99_while_a_provider_fails(
    postgres_url: str, flushed_redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    async with open_workers(postgres_url, flushed_redis_url, tmp_path, settings) as workers:
        node = workers.process(*command("hub1"))
        await asyncio.to_thread(node.start)
        await workers.introduce([f"user-{number:05}" for number in range(WARM_UP + PUBLISHED)])
        normal = [await p99(workers, node, "nothing", None)]
        bad = {}
        for fault, manner_of in FAULTS.items():
            bad[fault] = await p99(workers, node, fault, manner_of(workers.carrier))
        with closed_port() as port:
            nowhere = f"http://127.0.0.1:{port}"
            bad["refuses connections"] = await p99(workers, node, "refuses", None, MAIL_PIGEON_URL=nowhere)
        normal.append(await p99(workers, node, "nothing", None))
    usual = max(LEAST, *normal)
    with capsys.disabled():
        print(f"\nnothing fails: p99 of text messages {' and '.join(f'{each * 1000:.0f} ms' for each in normal)}")
        for fault, worse in bad.items():
            print(f"the e-mail provider {fault}: {worse * 1000:.0f} ms, ratio {max(worse, LEAST) / usual:.2f}")
    assert max(bad.values()) <= WORSE * usual


async def publish(http: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """Publish as every publisher should: again, under the same key, where a connection breaks."""
    headers = {"Idempotency-Key": str(uuid4())}
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                answer = await http.post("/v1/notifications", json=body, headers=headers)
            except httpx2.TransportError:
                continue
            assert answer.status_code == httpx2.codes.CREATED, answer.text
            return


async def p99(workers: Workers, node: BellwireProcess, name: str, manner: Manner | None, **settings: str) -> float:
    """Publish steadily with an e-mail and a text message each, and return the p99 of the time from due to sent."""
    carrier = workers.carrier
    worker = await workers.started(**settings)
    if manner is not None:
        carrier.manners[MAILS] = manner
    headers = {"Authorization": f"Bearer {API_KEY}"}
    plan = [{"channel": channel, "unless": None} for channel in ("email", "sms")]
    http = httpx2.AsyncClient(base_url=node.url, headers=headers, timeout=PATIENCE, trust_env=False)
    async with http, asyncio.TaskGroup() as group:
        for number in range(WARM_UP + PUBLISHED):
            body = {"recipients": [f"user-{number:05}"], "title": name, "fallback": plan}
            group.create_task(publish(http, body))
            await asyncio.sleep(1 / PER_SECOND)
    await workers.ledger.until("SELECT bool_and(state = 'sent') FROM deliveries WHERE channel = 'sms'")
    carrier.release()
    await asyncio.to_thread(worker.kill)
    # What waits for its provider is not to be this one's burden on the next fault.
    await workers.ledger.fetch("UPDATE deliveries SET state = 'cancelled', lease_until = NULL WHERE channel = 'email'")
    due = await workers.ledger.fetch(
        "SELECT id::text, due_at FROM deliveries WHERE channel = 'sms' ORDER BY created_at DESC LIMIT $1", PUBLISHED
    )
    took = sorted(carrier.first_taken[row[0]] - row[1] / 1000 for row in due)
    assert len(took) == PUBLISHED
    found: float = took[len(took) * 99 // 100]
    return found
