"""What publishes share is locked, and made, in bytewise order: only then can overlapping ones never wait in a circle.

That is idempotency keys and deliveries, then heads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.model import InboxKey, MarkAction, Publication
from hub.store import inbox_publish
from hub.store.bulk import Bulk
from hub.store.engine import Database, open_database
from hub.store.heads import lock_heads
from hub.store.idempotency_keys import claim_keys
from hub.store.inbox import SqlInboxStore
from hub.store.inbox_publish import Publish
from hub.store.tables import deliveries, inbox_heads
from tests.support.clock import START
from tests.support.inboxes import EMAIL_UNLESS_SEEN, LATER, delivery_states, ids, publication

USERS = ["Z", "a", "b", "z", "ä", "😀"]
"""In the order of their UTF-8 bytes; a language's collation has another."""
WANTED = ["z", "😀", "a", "ä", "Z", "b"]
HELD = "b"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with await open_database(postgres_url) as opened:
        yield opened


def head(user: str) -> dict[str, object]:
    counts = {"version": 0, "floor": 0, "unread_count": 0, "unseen_count": 0}
    return {"tenant": "default", "user_id": user, "epoch": "e", "created_at": START, **counts}


async def insert(connection: AsyncConnection, *users: str) -> None:
    bulk = Bulk(connection)
    bulk.insert_where_free(inbox_heads, [head(user) for user in users])
    await bulk.write()


async def lock(connection: AsyncConnection, *users: str) -> list[str]:
    keys = [InboxKey("default", user) for user in users]
    return [key.user for key in await lock_heads(connection, keys, START, Bulk(connection))]


async def until_somebody_waits(connection: AsyncConnection) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while (await connection.execute(waiting)).scalar_one() == 0:
        pass  # asking gives way to the others


async def free_heads(connection: AsyncConnection) -> list[str]:
    free = sa.select(inbox_heads.c.user_id).with_for_update(skip_locked=True)
    return sorted((await connection.execute(free)).scalars())


async def test_heads_are_locked_in_order(database: Database) -> None:
    async with database.writer() as connection:
        await insert(connection, *reversed(USERS))

    async def lock_as_found(connection: AsyncConnection) -> None:
        # However the rows are found: here in the order in which they lie in the table.
        await connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
        await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        await lock(connection, *WANTED)

    async with database.writer() as holder:
        await lock(holder, HELD)
        locking = asyncio.ensure_future(database.write(lock_as_found))
        async with database.writer() as onlooker:
            await until_somebody_waits(onlooker)
            assert await free_heads(onlooker) == USERS[USERS.index(HELD) + 1 :]
    await locking


async def test_heads_are_made_in_order(database: Database) -> None:
    async with database.writer() as holder:
        await insert(holder, HELD)
        locking = asyncio.ensure_future(database.write(lambda connection: lock(connection, *WANTED)))
        async with database.writer() as onlooker:
            await until_somebody_waits(onlooker)
            await onlooker.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            async with onlooker.begin_nested() as trial:
                await insert(onlooker, *USERS[USERS.index(HELD) + 1 :])
                await trial.rollback()
    assert await locking == USERS


def keyed(key: str) -> Publication:
    return publication("a", idempotency=(key, b"hash"))


async def test_keys_are_taken_in_order_and_before_heads(database: Database) -> None:
    """A group that waits for a key holds those before it, none after it, and no head."""
    async with database.writer() as connection:
        await insert(connection, *USERS)
    async with database.writer() as holder:
        await inbox_publish.store(holder, [Publish(keyed(HELD), START)], "cluster")
        store = SqlInboxStore(database)
        waiting = asyncio.gather(*(store.publish(keyed(key), START) for key in WANTED))
        async with database.writer() as onlooker:
            await until_somebody_waits(onlooker)
            await onlooker.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            assert await free_heads(onlooker) == [user for user in USERS if user != "a"], "but for the holder's own"
            async with onlooker.begin_nested() as trial:
                later = [keyed(key) for key in USERS[USERS.index(HELD) + 1 :]]
                assert await claim_keys(onlooker, later, START) == [None] * len(later)
                await trial.rollback()
    assert [outcome.replayed for outcome in await waiting] == [key == HELD for key in WANTED]


async def test_marks_lock_deliveries_in_order_and_before_heads(database: Database) -> None:
    """Marks of many users that wait for a delivery hold those before it, none after it, and no head."""
    store = SqlInboxStore(database)
    sent = [publication(user, plan=[EMAIL_UNLESS_SEEN]) for user in WANTED]
    await asyncio.gather(*(store.publish(each, START) for each in sent))
    order = sorted(each.deliveries[0].id for each in sent)
    lock_one = sa.select(deliveries.c.id).where(deliveries.c.id == order[2]).with_for_update()
    free = sa.select(deliveries.c.id).order_by(deliveries.c.id).with_for_update(skip_locked=True)
    async with database.writer() as holder:
        await holder.execute(lock_one)
        waiting = asyncio.gather(
            *(
                store.mark(InboxKey("default", each.users[0]), MarkAction.SEEN, ids(each.content.id), LATER)
                for each in sent
            )
        )
        async with database.writer() as onlooker:
            await until_somebody_waits(onlooker)
            assert await free_heads(onlooker) == USERS
            assert (await onlooker.execute(free)).scalars().all() == order[3:]
    assert [marked.changed for marked in await waiting] == [1] * len(sent)
    assert {state for user in USERS for state, _, _ in await delivery_states(database, InboxKey("default", user))} == {
        "cancelled"
    }
