"""A node that is killed in the middle of a batch: each notification of it is there whole or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from hub.core.model import InboxKey
from hub.store.bulk import Bulk
from hub.store.engine import Database, open_database
from hub.store.heads import lock_heads
from hub.store.tables import deliveries, inbox_items, notifications
from tests.support.cluster import open_cluster, until

USERS = [f"user-{number}" for number in range(5)]
SLOW = "slow"
"""A user whose inbox somebody else holds."""
COUNT = 400
"""They are stored in three groups; all but the first are in the way of `SLOW`."""
BATCH = {
    "notifications": [
        {
            "recipients": [*USERS[1:], SLOW] if number in {COUNT // 2, COUNT - 1} else USERS,
            "title": str(number),
            "fallback": [{"channel": "email", "after": "1h"}],
        }
        for number in range(COUNT)
    ]
}
KEY = {"Idempotency-Key": "the-batch"}


async def test_a_batch_whose_node_is_killed(postgres_url: str, flushed_redis_url: str) -> None:
    async with open_cluster(postgres_url, flushed_redis_url) as cluster, await open_database(postgres_url) as database:
        first, second = cluster.nodes

        async def send(url: str) -> list[dict[str, Any]]:
            answer = await cluster.http.post(f"{url}/v1/notifications/batch", json=BATCH, headers=KEY)
            assert answer.status_code == 200, answer.text
            results: list[dict[str, Any]] = answer.json()["results"]
            return results

        async with database.writer() as holder:
            await lock_heads(holder, [InboxKey("default", SLOW)], 0, Bulk(holder))
            sending = asyncio.create_task(send(first.url))
            await until(lambda: _stuck(database))
            stored = await _whole(database)
            assert 0 < len(stored) < COUNT
            await asyncio.to_thread(first.kill)
            with pytest.raises(httpx2.TransportError):
                await sending
            assert await _whole(database) == stored

        again = await send(second.url)
        assert {result["status"] for result in again} == {201}
        replayed = {number: result["id"] for number, result in enumerate(again) if result.get("replayed")}
        assert replayed == stored
        assert await _whole(database) == {number: result["id"] for number, result in enumerate(again)}
        once_more = await send(second.url)
        assert [result["id"] for result in once_more] == [result["id"] for result in again]
        assert all(result.get("replayed") for result in once_more)
        assert len(await _whole(database)) == COUNT


async def _stuck(database: Database) -> bool:
    """Tell whether something is stored, and what comes next waits."""
    async with database.reader() as connection:
        waiting = (await connection.execute(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar_one()
    return waiting > 0 and len(await _whole(database)) > 0


async def _whole(database: Database) -> dict[int, str]:
    """Read the ids of what is stored, by its place in the batch; everything that belongs to it has to be there."""
    items, sent = (
        sa.select(sa.func.count()).where(table.c.notification_id == notifications.c.id).scalar_subquery()
        for table in (inbox_items, deliveries)
    )
    async with database.reader() as connection:
        rows = (await connection.execute(sa.select(notifications.c.title, notifications.c.id, items, sent))).all()
    assert all(tuple(row[2:]) == (len(USERS), len(USERS)) for row in rows)
    return {int(row.title): str(row.id) for row in rows}
