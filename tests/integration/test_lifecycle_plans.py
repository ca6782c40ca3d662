"""How the databases find what is recalled, replaced, exported and erased: by their indexes, however much there is.

Looks at plans, never at clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from hub.core.model import InboxKey
from hub.store.collapse import queued_for, replaceable
from hub.store.engine import Database, open_database
from hub.store.erasure import nobodys
from hub.store.export import held_by
from hub.store.release import together
from hub.store.withdrawal import queued_of_notification
from tests.support.clock import START
from tests.support.plans import explain, indexes, scanned_whole, without_autovacuum

NOTIFICATION = UUID("00000000-0000-7000-8000-000000000001")
TABLES = ("inbox_heads", "inbox_items", "notifications", "deliveries", "attempts", "timers")

_FILL = f"""
INSERT INTO notifications (tenant, id, category, title, body, priority, inbox, plan, created_at)
SELECT 'default', ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'c', 't', '', 2, true, '[]', {START}
FROM generate_series(1, 2000) AS n;
INSERT INTO inbox_items (tenant, user_id, notification_id, state, version, since, appeared_at, category, collapse_key)
SELECT 'default', 'user-' || u, notifications.id, 1, 1, 1, {START}, 'c', 'order-' || u % 3
FROM notifications, generate_series(1, 10) AS u;
INSERT INTO deliveries (tenant, id, notification_id, user_id, step, channel, priority, unless, "when", state, due_at,
                        created_at)
SELECT 'default', gen_random_uuid(), notifications.id, 'user-' || u, 0, 'email', 2, 2, 'always',
       (ARRAY['queued', 'sent'])[1 + u % 2], {START}, {START}
FROM notifications, generate_series(1, 10) AS u;
INSERT INTO timers (id, tenant, due_at, kind, notification_id)
SELECT gen_random_uuid(), 'default', {START} + row_number() OVER (), 0, id FROM notifications;
INSERT INTO attempts (tenant, delivery_id, number, endpoint, provider, outcome, started_at, finished_at)
SELECT 'default', id, 1, 'e', 'console', 'ok', {START}, {START} FROM deliveries
"""  # noqa: S608 - numbers of our own


@pytest.fixture
async def filled(postgres_url: str) -> AsyncIterator[Database]:
    """A database just filled, without statistics yet."""
    async with await open_database(postgres_url) as database:
        async with database.writer() as connection:
            await without_autovacuum(connection, TABLES)
            for statement in _FILL.split(";\n"):
                await connection.execute(text(statement))
        yield database


async def test_everything_is_found_by_an_index(filled: Database) -> None:
    """One test, as filling takes longest."""
    await _plans(filled, or_by={"inbox_items_pk"})
    async with filled.writer() as connection:
        for table in TABLES:
            await connection.execute(text(f"ANALYZE {table}"))
    # Of a full inbox, only what has the key and is unread is read.
    await _plans(filled, or_by=set())


async def _plans(database: Database, or_by: set[str]) -> None:
    of = {"tenant": "default", "notification": str(NOTIFICATION)}
    either = {"deliveries_pending_user_ix", "deliveries_user_ix", "deliveries_user_step_uq"}  # user and notification
    for generic in (False, True):
        await _by(
            database,
            queued_of_notification,
            of,
            {"deliveries_user_step_uq", "deliveries_address_step_uq"},
            generic=generic,
        )
        releases = {"timers_due_ix", "timers_pk", "inbox_items_notification_ix"}
        await _by(database, together("default", START + 20, 9), {}, releases, generic=generic)
        for after in (None, NOTIFICATION):
            held = held_by(InboxKey("default", "user-1"), after, 100)
            mine = {"inbox_items_pk", "inbox_items_notification_ix"} if or_by else {"inbox_items_pk"}
            await _by(database, held, {}, mine | {"deliveries_user_ix"}, generic=generic)
        async with database.reader() as connection:
            deleting = nobodys(connection, "default", [NOTIFICATION] * 5)
        by_notification = {"inbox_items_notification_ix", "deliveries_user_step_uq", "deliveries_address_step_uq"}
        await _by(database, deleting, {}, by_notification | {"notifications_pk"}, generic=generic)
        for count in (1, 300):
            names = [f"user-{number}" for number in range(count)]
            async with database.reader() as connection:
                older = replaceable(connection, "default", names, "order-7")
                queued = queued_for(connection, "default", [(name, NOTIFICATION) for name in names])
            await _by(database, older, {}, {"inbox_items_collapse_ix"} | or_by, generic=generic)
            await _by(database, queued, {}, either, generic=generic)


async def _by(database: Database, statement: Any, values: dict[str, Any], wanted: set[str], *, generic: bool) -> None:
    plan = await explain(database, statement, values, generic=generic)
    assert scanned_whole(plan) == set()
    assert indexes(plan)
    assert indexes(plan) <= wanted
