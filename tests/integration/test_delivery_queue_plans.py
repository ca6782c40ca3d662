"""How PostgreSQL carries out the queue's statements: by their indexes, whatever the queue's length.

Looks at plans, never at clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from hub.core.model import Channel, DeliveryState, Priority
from hub.core.model.queues import DeliveryFilter
from hub.store import delivery_rescue, queue_depths, worker_reports
from hub.store.deliveries import next_due, renewal
from hub.store.delivery_claims import claim_direct, claim_direct_of_tenant
from hub.store.delivery_turns import recipients_steps
from hub.store.engine import Database, open_database
from hub.store.queue_find import walk_of
from hub.store.queue_pauses import waiting_direct
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
UPDATE deliveries SET state = 'failed', finished_at = due_at, reason = 'no'
WHERE id IN (SELECT id FROM deliveries WHERE state = 'queued' LIMIT 10000);
INSERT INTO expansions (tenant, notification_id, step, channel, priority, turn, state, due_at, created_at)
SELECT 'default', id, 0, 'email', 2, 0, CASE WHEN random() < 0.02 THEN 'waiting' ELSE 'done' END, {START}, {START}
FROM notifications;
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
            for table in ("notifications", "inbox_items", "deliveries", "expansions"):
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
    await _past_pauses(full)
    await _depths(full)
    await _searches(full)


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


async def _past_pauses(full: Database) -> None:
    lane = {"in_channel": "email", "in_priority": 2}
    plan = await explain(full, waiting_direct, lane)
    assert scanned_whole(plan) <= {"queue_pauses"}
    assert "deliveries_tenant_queue_ix" in indexes(plan)
    values = {**lane, "of_tenant": "default", "now": START + 500_000, "limit": 50, "leased_until": START + 600_000}
    for generic in (False, True):
        plan = await explain(full, claim_direct_of_tenant, values, generic=generic)
        assert scanned_whole(plan) == set()
        assert {"deliveries_queue_ix", "deliveries_tenant_queue_ix"} & set(indexes(plan))
        assert "Sort" not in kinds(plan), "the index already has the order"
    tidying = {**lane, "of_tenant": "default", "now": START + 500_000, "limit": 50}
    assert scanned_whole(await explain(full, delivery_rescue.tidy_direct_of_tenant, tidying)) == set()


async def _depths(full: Database) -> None:
    values = {"of_tenant": "default", "now": START + 500_000}
    plan = await explain(full, queue_depths.depths(Channel.EMAIL), values)
    assert scanned_whole(plan) == set()
    assert indexes(plan) <= {
        "deliveries_queue_ix",
        "deliveries_shared_queue_ix",
        "deliveries_tenant_queue_ix",
        "deliveries_tenant_shared_queue_ix",
    }
    plan = await explain(full, queue_depths.others(Channel.EMAIL), values)
    assert scanned_whole(plan) == set()
    assert {"expansions_tenant_ix", "expansions_queue_ix"} & indexes(plan), "of one tenant both are as good"
    for statement in (worker_reports.lane_gauges, worker_reports.channel_gauges):
        assert scanned_whole(await explain(full, statement, {"now": START})) == set()


async def _searches(full: Database) -> None:
    """Every walk goes by an index and stops: whatever is asked beyond it."""
    notification = UUID("00000000-0000-7000-8000-000000000001")
    failed, queued, sending = DeliveryState.FAILED, DeliveryState.QUEUED, DeliveryState.SENDING
    questions = [
        (DeliveryFilter(), "deliveries_pk"),
        (DeliveryFilter(state=DeliveryState.SENT, channel=Channel.SMS), "deliveries_pk"),
        (DeliveryFilter(user="user-1", reason="x"), "deliveries_user_ix"),
        (DeliveryFilter(notification=notification), "deliveries_user_step_uq"),
        (DeliveryFilter(state=queued), "deliveries_tenant_shared_queue_ix"),  # of one tenant, direct ones have two
        (DeliveryFilter(state=queued, channel=Channel.EMAIL, provider="smtp"), "deliveries_tenant_shared_queue_ix"),
        (DeliveryFilter(state=sending), "deliveries_lease_ix"),
        (DeliveryFilter(state=failed, reason="x"), "deliveries_dead_ix"),
        (DeliveryFilter(state=failed, channel=Channel.EMAIL, ended_after=START), "deliveries_dead_ix"),
    ]
    for wanted, index in questions:
        for oldest_first in (False, True):
            walk = walk_of("default", wanted, oldest_first=oldest_first)
            rows = walk.rows(None, 2_000)
            plan = await explain(full, sa.select(rows).where(*walk.rest(rows)).limit(50), {})
            assert scanned_whole(plan) == set(), wanted
            assert index in indexes(plan), wanted
