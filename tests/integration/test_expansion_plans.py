"""How PostgreSQL carries out what expands shared audiences, and sends to them: by indexes, however many there are.

Looks at plans, never at clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from hub.core.model import Channel, Priority
from hub.store import delivery_rescue
from hub.store.delivery_claims import claim_shared
from hub.store.delivery_turns import members
from hub.store.engine import Database, open_database
from hub.store.expansion_chunk import members_of_everybody, members_of_topic, steps_at_hand
from hub.store.expansions import at_hand, due_expansions, next_due, queued_of
from hub.store.shared_collapse import queued_for
from tests.support.clock import START
from tests.support.plans import explain, indexes, kinds, scanned_whole

USERS = 20_000
NEWS = UUID("00000000-0000-7000-8000-000000000001")
GROWING = {"inbox_heads", "memberships", "shared_items", "shared_log", "deliveries", "expansions", "users", "devices"}

_FILL = f"""
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, audience, topic, created_at)
SELECT 'default', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'c', 't', '', 2, true, '[]', 1,
       'news', {START}
FROM generate_series(1, 1000) AS n;
INSERT INTO shared_log (tenant, position, kind, topic, previous, ordinal, notification_id, category, appeared_at)
SELECT 'default', row_number() OVER (ORDER BY id), 0, 'news', 0, 0, id, 'c', {START} FROM notifications;
INSERT INTO inbox_heads (tenant, user_id, epoch, version, floor, unread_count, unseen_count, created_at)
SELECT 'default', 'user-' || u, 'e', 0, 0, 0, 0, {START} FROM generate_series(1, {USERS}) AS u;
INSERT INTO users (tenant, user_id, email, created_at, updated_at)
SELECT 'default', 'user-' || u, 'a@b.example', {START}, {START} FROM generate_series(1, {USERS}) AS u;
INSERT INTO devices (tenant, id, user_id, kind, token, created_at)
SELECT 'default', gen_random_uuid(), 'user-' || u, 'fcm_token', u::text, {START} FROM generate_series(1, {USERS}) AS u;
INSERT INTO memberships (tenant, user_id, topic, joined, left_at)
SELECT 'default', 'user-' || u, topic, 0, CASE WHEN u % 10 = 0 THEN 5000 END
FROM generate_series(1, {USERS}) AS u, unnest(ARRAY['news', 'other']) AS topic;
INSERT INTO shared_items (tenant, user_id, position, notification_id, version)
SELECT 'default', 'user-' || u, 1, '{NEWS}', 1 FROM generate_series(1, {USERS}, 2) AS u;
INSERT INTO deliveries (tenant, id, notification_id, user_id, position, step, channel, priority, unless, "when", state,
                        due_at, created_at)
SELECT 'default', gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(to_hex(1 + u % 50), 12, '0'))::uuid,
       'user-' || u, 1 + u % 50, 0,
       (ARRAY['push', 'webpush', 'email', 'sms', 'chat'])[1 + u % 5], u % 4, 2, 'always',
       CASE WHEN u % 2 = 0 THEN 'queued' ELSE 'sent' END, {START} + u, {START}
FROM generate_series(1, {USERS}) AS u;
INSERT INTO expansions (tenant, notification_id, step, channel, priority, turn, state, due_at, created_at)
SELECT 'default', id, step, (ARRAY['push', 'webpush', 'email', 'sms', 'chat'])[1 + step % 5], 2, 0,
       CASE WHEN step < 2 THEN 'done' ELSE 'waiting' END, {START}, {START}
FROM notifications, generate_series(0, 5) AS step;
"""  # noqa: S608 - numbers of our own


@pytest.fixture
async def full(postgres_url: str) -> AsyncIterator[Database]:
    """A database with a large audience, whose statistics are up to date."""
    database = await open_database(postgres_url)
    try:
        async with database.writer() as connection:
            for statement in _FILL.split(";\n"):
                if statement.strip():
                    await connection.execute(text(statement))
            await connection.execute(text("ANALYZE"))
        yield database
    finally:
        await database.close()


async def test_every_statement_goes_by_an_index(full: Database) -> None:
    """One test, as filling the tables takes longest."""
    chunk = {"tenant": "default", "position": 1, "after_user": "user-5", "limit": 500}
    of_topic = await by_index(full, members_of_topic, {**chunk, "topic": "news"})
    assert {"memberships_member_uq", "memberships_left_ix"} <= of_topic
    assert "inbox_heads_pk" in await by_index(full, members_of_everybody, chunk)
    steps = {"tenant": "default", "notification": NEWS, "first": "user-5", "last": "user-6"}
    assert "deliveries_user_step_uq" in await by_index(full, steps_at_hand, steps)

    assert await by_index(full, due_expansions, {"now": START, "limit": 3}) == {"expansions_queue_ix"}
    assert await by_index(full, next_due, {}) == {"expansions_queue_ix"}
    for statement in at_hand.values():
        values = {"now": START + USERS, "depth": 500}
        assert await by_index(full, statement, values) == {"deliveries_shared_queue_ix"}
    ending = {"tenant": "default", "notification": NEWS, "limit": 10_000}
    assert "deliveries_shared_open_ix" in await by_index(full, queued_of, ending)
    async with full.reader() as connection:
        replaced = queued_for(connection, "default", [NEWS] * 5)
    assert await by_index(full, replaced, {}) == {"deliveries_shared_open_ix"}
    await claims_go_by_their_own_index(full)


async def claims_go_by_their_own_index(full: Database) -> None:
    values = {
        "in_channel": "email",
        "in_priority": 2,
        "now": START + USERS,
        "limit": 50,
        "leased_until": START + 2 * USERS,
    }
    for generic in (False, True):
        plan = await explain(full, claim_shared, values, generic=generic)
        assert not scanned_whole(plan) & GROWING
        assert "deliveries_shared_queue_ix" in indexes(plan)
        assert "Sort" not in kinds(plan), "the index already has the order"

    tidying = await explain(full, delivery_rescue.tidy_shared, {"now": START + USERS, "limit": 2})
    assert not scanned_whole(tidying) & GROWING
    probes = [node for node in tidying if node.get("Index Name") == "deliveries_shared_queue_ix"]
    assert len(probes) == len(Channel) * len(Priority)

    async with full.reader() as connection:
        some = await connection.execute(text("SELECT tenant, id FROM deliveries ORDER BY id LIMIT 5"))
        keys = [(row.tenant, row.id) for row in some]
    await by_index(full, members, {"keys": keys})


async def by_index(full: Database, statement: Any, values: dict[str, Any]) -> set[str]:
    """Check that no table that grows is read whole; returns the indexes used."""
    plan = await explain(full, statement, values)
    assert not scanned_whole(plan) & GROWING, statement
    return indexes(plan)
