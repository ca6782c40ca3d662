"""A worker that is killed in the middle of expanding a shared audience: another goes on, nobody gets two or none."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fallback.expander import CHUNK
from hub.core.ids import uuid7
from hub.core.model import Channel, Step
from hub.ports import ExpansionKey
from hub.store.clock import DatabaseClock
from hub.store.engine import Database, open_database
from hub.store.tables import deliveries, inbox_heads, memberships, users
from tests.support.locks import until_one_waits
from tests.support.process import BellwireProcess
from tests.support.shared_rows import POSITION, TOPIC, SharedRows
from tests.support.smtp_fake import SmtpFake

PATIENCE = 30.0
CONCURRENCY = 8
"""Deliveries of a lane that a worker has on their way at once."""
MEMBERS = [f"user-{number:04}" for number in range(CHUNK + 100)]
"""The audience is expanded in two chunks."""
REACHABLE = MEMBERS[::10]


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as opened:
        yield opened


async def test_a_worker_killed_within_a_chunk(database: Database, postgres_url: str, flushed_redis_url: str) -> None:
    shared = SharedRows(database)
    clock = DatabaseClock(database)
    await clock.sync()
    await database.write(_audience)
    notification = await shared.publish([Step(Channel.EMAIL, 0)], at=clock.now())
    expansion = ExpansionKey("default", notification, 0)

    async with SmtpFake().running() as smtp:
        env = {
            "BELLWIRE_ENV": "production",
            "BELLWIRE_DATABASE_URL": postgres_url,
            "BELLWIRE_REDIS_URL": flushed_redis_url,
            "BELLWIRE_SMTP_URL": f"smtp://127.0.0.1:{smtp.port}",
            "BELLWIRE_MAIL_FROM": "Bellwire <bell@example.com>",
            "BELLWIRE_LEASE_SECONDS": "2",
        }
        first, second = (BellwireProcess("worker", env=env) for _ in range(2))
        # In the way of the second chunk: it waits for us here, half written.
        async with database.writer() as connection, connection.begin_nested() as in_the_way:
            await connection.execute(insert(deliveries).values(_delivery(notification, MEMBERS[CHUNK + 50])))
            await asyncio.to_thread(first.start)
            # A worker that starts may wait for other things.
            await until_one_waits(postgres_url, "%INSERT INTO deliveries%")
            await asyncio.to_thread(first.kill)
            await in_the_way.rollback()
        made = CHUNK // 10
        assert await shared.counts(expansion) == ("waiting", CHUNK, made, 0, CHUNK - made)
        assert await shared.recipients(notification) == REACHABLE[:made]

        await asyncio.to_thread(second.start)
        try:
            async with asyncio.timeout(PATIENCE):
                while await shared.states(notification) != {"sent": len(REACHABLE)}:
                    pass
        finally:
            await asyncio.to_thread(second.stop)
    assert await shared.recipients(notification) == REACHABLE
    assert await shared.counts(expansion) == ("done", len(MEMBERS), len(REACHABLE), 0, len(MEMBERS) - len(REACHABLE))
    assert second.output.count("expansion_ended") == 1
    mails = Counter(smtp.recipients)
    assert set(mails) == {f"{user}@example.com" for user in REACHABLE}
    assert mails.total() - len(REACHABLE) <= CONCURRENCY, "only what was being sent when it was killed"


async def _audience(connection: AsyncConnection) -> None:
    head: dict[str, Any] = {"epoch": "e", "version": 0, "floor": 0, "unread_count": 0, "unseen_count": 0}
    of_user = [{"tenant": "default", "user_id": user} for user in MEMBERS]
    await connection.execute(insert(inbox_heads), [{**each, **head, "created_at": 0} for each in of_user])
    await connection.execute(insert(memberships), [{**each, "topic": TOPIC, "joined": 0} for each in of_user])
    contact = {"tenant": "default", "created_at": 0, "updated_at": 0}
    contacts = [{**contact, "user_id": user, "email": f"{user}@example.com"} for user in REACHABLE]
    await connection.execute(insert(users), contacts)


def _delivery(notification: UUID, user: str) -> dict[str, Any]:
    return {
        "tenant": "default",
        "id": uuid7(0),
        "notification_id": notification,
        "user_id": user,
        "position": POSITION,
        "step": 0,
        "channel": "email",
        "priority": 2,
        "unless": 2,
        "when": "always",
        "state": "queued",
        "due_at": 0,
        "created_at": 0,
    }
