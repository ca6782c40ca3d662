"""How PostgreSQL carries out the queue's statements: by their indexes, whatever the queue's length.

Looks at plans, never at clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from hub.core.model import Channel, Priority
from hub.store import delivery_rescue
from hub.store.deliveries import next_due, renewal
from hub.store.delivery_claims import claim_direct
from hub.store.delivery_turns import recipients_steps
from hub.store.engine import Database, open_database
from tests.support.clock import START
from tests.support.plans import explain, indexes, kinds, scanned_whole

QUEUED = 100_000
USERS = 10

_FILL = f"""
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
SELECT 'default', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'c', 't', '', n % 4, true,
       '[]', {START}
FROM generate_series(1, {QUEUED // USERS}) AS n;
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category)
SELECT 'default', 'user-' || u, notifications.id, 1, 1, 1, {START}, 'c'
FROM notifications, generate_series(1, {USERS}) AS u;
INSERT INTO deliveries (tenant, id, notification_id, user_id, step, channel, priority, unless, "when", state, due_at,
                        created_at)
SELECT 'default', gen_random_uuid(), notifications.id, 'user-' || u, 0,
       (ARRAY['push', 'webpush', 'email', 'sms', 'chat'])[1 + u % 5], notifications.priority, 2, 'always', 'queued',
       {START} + (random() * 1000000)::int, {START}
FROM notifications, generate_series(1, {USERS}) AS u;
UPDATE deliveries SET state = 'sending', lease_until = {START}
WHERE id IN (SELECT id FROM deliveries LIMIT 500);
"""  # noqa: S608 - numbers of our own


@pytest.fixture
async def full(postgres_url: str) -> AsyncIterator[Database]:
    """A database with a long queue, whose statistics are up to date."""
    database = await open_database(postgres_url)
    try:
        async with database.writer() as connection:
            for statement in _FILL.split(";\n"):
                if statement.strip():
                    await connection.execute(text(statement))
            for table in ("notifications", "inbox_items", "deliveries"):
                await connection.execute(text(f"ANALYZE {table}"))
        yield database
    finally:
        await database.close()


async def test_every_statement_of_the_queue_goes_by_an_index(full: Database) -> None:
    """One test, as filling the queue takes longest."""
    await _claim(full, generic=False)
    await _claim(full, generic=True)
    await _next_due(full)
    await _rescue(full)
    await _renew(full)
    await _steps(full)


async def _claim(full: Database, *, generic: bool) -> None:
    values = {
        "in_channel": "email",
        "in_priority": 2,
        "now": START + 500_000,
        "limit": 50,
        "leased_until": START + 600_000,
    }
    plan = await explain(full, claim_direct, values, generic=generic)
    assert scanned_whole(plan) == set()
    assert "deliveries_queue_ix" in indexes(plan)
    assert "Sort" not in kinds(plan), "the index already has the order"
    [item] = [node for node in plan if node.get("Relation Name") == "inbox_items"]
    assert "user_id" in item["Index Cond"], "of a notification to a thousand users, one item is read"


async def _next_due(full: Database) -> None:
    plan = await explain(full, next_due, {})
    probes = [node for node in plan if node.get("Index Name") == "deliveries_queue_ix"]
    assert len(probes) == len(Channel) * len(Priority)
    assert scanned_whole(plan) == set()
    assert kinds(plan).isdisjoint({"Aggregate", "Sort"})


async def _rescue(full: Database) -> None:
    returning = await explain(full, delivery_rescue.return_due, {"now": START + 1, "max_claims": 5, "limit": 100})
    assert scanned_whole(returning) == set()
    assert "deliveries_lease_ix" in indexes(returning)

    tidying = await explain(full, delivery_rescue.tidy_direct, {"now": START + 500_000, "limit": 10})
    assert scanned_whole(tidying) == set()
    probes = [node for node in tidying if node.get("Index Name") == "deliveries_queue_ix"]
    assert len(probes) == len(Channel) * len(Priority)


async def _renew(full: Database) -> None:
    async with full.reader() as connection:
        sending = await connection.execute(
            text("SELECT id, fence FROM deliveries WHERE state = 'sending' ORDER BY id LIMIT 50")
        )
        claims = [(row.id, row.fence) for row in sending]
    plan = await explain(full, renewal, {"held": claims, "leased_until": START + 1})
    assert "deliveries" not in scanned_whole(plan)
    assert "deliveries_lease_ix" in indexes(plan)


async def _steps(full: Database) -> None:
    async with full.reader() as connection:
        some = await connection.execute(text("SELECT tenant, id FROM deliveries ORDER BY id LIMIT 50"))
        keys = [(row.tenant, row.id) for row in some]
    plan = await explain(full, recipients_steps, {"keys": keys})
    assert scanned_whole(plan) == set()
