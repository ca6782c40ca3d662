"""The contract of `InboxStore.catch_up`: what one client missed, and what many did, in one snapshot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.cursor import Cursor
from hub.core.model import Changes, InboxKey, MarkAction
from hub.store import inbox_catch_up
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import ADA, GRACE, LATER, TENANT, fill, ids, missed, publication, table_counts

ACME_ADA = InboxKey("acme", "ada")


class TestOne:
    async def test_is_told_what_changed_in_order(self, store: SqlInboxStore) -> None:
        first, second, third = await fill(store, 3)
        cursor = (await store.head(ADA)).cursor
        assert list((await missed(store, ADA, cursor, 10)).items) == []
        await store.mark(ADA, MarkAction.SEEN, ids(third, first), LATER)
        fourth = (await store.publish(publication("ada"), LATER)).id
        await store.mark(ADA, MarkAction.READ, ids(first), LATER)
        changes = await missed(store, ADA, cursor, 10)
        assert changes.resync is None
        assert [(item.content.id, item.version) for item in changes.items] == [(third, 4), (fourth, 5), (first, 6)]
        assert changes.head == await store.head(ADA)
        assert second not in {item.content.id for item in changes.items}

    async def test_items_of_one_version_come_by_id(self, store: SqlInboxStore) -> None:
        made = await fill(store, 5)
        cursor = (await store.head(ADA)).cursor
        random.Random(1).shuffle(made)
        await store.mark(ADA, MarkAction.READ, ids(*made), LATER)
        assert [item.content.id for item in (await missed(store, ADA, cursor, 10)).items] == sorted(made)

    async def test_without_a_cursor_is_told_the_head_alone(self, store: SqlInboxStore) -> None:
        await fill(store, 3)
        assert await missed(store, ADA, None, 10) == Changes(await store.head(ADA))

    @pytest.mark.parametrize(
        ("move", "reason"),
        [
            (lambda cursor: cursor._replace(epoch="f" * 12), "unknown_epoch"),
            (lambda cursor: cursor._replace(epoch="f" * 12, version=0), "unknown_epoch"),
            (lambda cursor: cursor._replace(version=cursor.version + 1), "ahead_of_server"),
            (lambda cursor: cursor._replace(version=10**18 - 1), "ahead_of_server"),
            (lambda cursor: cursor._replace(version=0), "too_many_changes"),
        ],
    )
    async def test_is_told_when_there_is_no_resuming(self, store: SqlInboxStore, move: object, reason: str) -> None:
        await fill(store, 3)
        assert callable(move)
        refused = await missed(store, ADA, move((await store.head(ADA)).cursor), 2)
        assert (refused.resync, list(refused.items), refused.head) == (reason, [], await store.head(ADA))

    async def test_below_the_floor(self, database: Database, store: SqlInboxStore) -> None:
        await fill(store, 3)
        async with database.writer() as connection:
            await connection.exec_driver_sql("UPDATE inbox_heads SET floor = 2")
        epoch = (await store.head(ADA)).epoch
        assert (await missed(store, ADA, Cursor(epoch, 1), 9)).resync == "too_old"
        assert [item.version for item in (await missed(store, ADA, Cursor(epoch, 2), 9)).items] == [3]

    async def test_exactly_the_limit_is_told(self, store: SqlInboxStore) -> None:
        await fill(store, 3)
        start = Cursor((await store.head(ADA)).epoch, 0)
        assert len((await missed(store, ADA, start, 3)).items) == 3

    async def test_of_a_user_never_heard_of(self, store: SqlInboxStore) -> None:
        changes = await missed(store, ADA, Cursor("0" * 12, 0), 10)
        assert (changes.resync, changes.head.version, changes.head.counts) == ("unknown_epoch", 0, (0, 0))
        again = await missed(store, ADA, changes.head.cursor, 10)
        assert (again.resync, list(again.items)) == (None, [])


class TestMany:
    async def test_nobody_wishes(self, store: SqlInboxStore) -> None:
        assert list(await store.catch_up([], 10)) == []

    async def test_each_is_answered_in_its_place(self, store: SqlInboxStore) -> None:
        """The same user twice with different cursors, two tenants with the same user, a stranger, a refusal."""
        made = await fill(store, 4)
        await fill(store, 2, "grace")
        theirs = (await store.publish(publication("ada", tenant="acme"), START)).id
        ada, grace = (await store.head(ADA)).cursor, (await store.head(GRACE)).cursor
        acme = (await store.head(ACME_ADA)).cursor
        stranger = InboxKey(TENANT, "nobody 'quoted' \"ж\" 😀 \\ {},")
        wishes: list[tuple[InboxKey, Cursor | None]] = [
            (ADA, ada._replace(version=3)),
            (stranger, None),
            (ADA, ada._replace(version=1)),
            (ACME_ADA, acme._replace(version=0)),
            (GRACE, ada),
            (ADA, None),
            (stranger, Cursor("0" * 12, 0)),
            (ADA, ada),
            (GRACE, grace._replace(version=1)),
            (ADA, ada._replace(version=3)),
        ]
        answers = await store.catch_up(wishes, 10)
        assert [[item.content.id for item in changes.items] for changes in answers[:4]] == [
            made[3:],
            [],
            made[1:],
            [theirs],
        ]
        assert [changes.resync for changes in answers] == [
            *[None] * 4,
            "unknown_epoch",
            None,
            "unknown_epoch",
            *[None] * 3,
        ]
        assert [len(changes.items) for changes in answers] == [1, 0, 3, 1, 0, 0, 0, 0, 1, 1]
        for (key, _), changes in zip(wishes, answers, strict=True):
            assert changes.head == await store.head(key)
            assert all(item.content.tenant == key.tenant for item in changes.items)

    async def test_five_hundred(self, database: Database, store: SqlInboxStore) -> None:
        """In random order, a fifth of them strangers; however many, in a handful of statements."""
        users = [f"user-{number}" for number in range(400)]
        await store.publish(publication(*users), START)
        await store.publish(publication(*users[::2]), START)
        keys = [InboxKey(TENANT, user) for user in [*users, *(f"stranger-{number}" for number in range(100))]]
        random.Random(1).shuffle(keys)
        rows = await table_counts(database)
        heads = await store.catch_up([(key, None) for key in keys], 10)
        assert (await table_counts(database))["inbox_heads"] == rows["inbox_heads"] + 100
        assert len({changes.head.epoch for changes in heads}) == 500
        wishes = [
            (key, changes.head.cursor._replace(version=max(changes.head.version - 1, 0)))
            for key, changes in zip(keys, heads, strict=True)
        ]
        statements = _count_statements(database)
        answers = await store.catch_up(wishes, 10)
        assert len(statements) == 2
        for key, changes, head in zip(keys, answers, heads, strict=True):
            assert changes.head == head.head
            assert changes.resync is None
            assert [item.version for item in changes.items] == ([] if "str" in key.user else [head.head.version])
        del statements[:]
        await store.catch_up([(key, changes.head.cursor) for key, changes in zip(keys, answers, strict=True)], 10)
        assert len(statements) == 1, "whoever is up to date costs no read of items"

    async def test_all_are_of_one_snapshot(self, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is committed between the statements of one call is in none of its answers."""
        before = {user: await fill(store, 2, user) for user in ("ada", "grace")}
        heads = {user: await store.head(InboxKey(TENANT, user)) for user in before}
        read = inbox_catch_up._heads

        async def interrupted(connection: AsyncConnection, wanted: Sequence[Any], limit: int) -> Any:
            found = await read(connection, wanted, limit)
            await store.publish(publication("ada", "grace"), LATER)
            await store.mark(ADA, MarkAction.READ, ids(before["ada"][0]), LATER)
            return found

        monkeypatch.setattr(inbox_catch_up, "_heads", interrupted)
        wishes = [(InboxKey(TENANT, user), head.cursor._replace(version=0)) for user, head in heads.items()]
        answers = await store.catch_up(wishes, 10)
        for changes, user in zip(answers, before, strict=True):
            assert changes.head == heads[user]
            assert [item.content.id for item in changes.items] == before[user]
            assert all(item.read_at is None for item in changes.items)

    async def test_too_much_for_one_is_no_matter_of_others(self, store: SqlInboxStore) -> None:
        await fill(store, 4)
        await fill(store, 2, "grace")
        wishes = [(key, (await store.head(key)).cursor._replace(version=0)) for key in (ADA, GRACE)]
        ada, grace = await store.catch_up(wishes, 3)
        assert (ada.resync, list(ada.items)) == ("too_many_changes", [])
        assert (grace.resync, len(grace.items)) == (None, 2)

    async def test_a_batch_is_bounded(self, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those who missed most read their newest page instead."""
        monkeypatch.setattr(inbox_catch_up, "BATCH_ITEMS", 5)
        await fill(store, 4)
        await fill(store, 2, "grace")
        await fill(store, 3, "joan")
        keys = [ADA, GRACE, InboxKey(TENANT, "joan")]
        wishes = [(key, (await store.head(key)).cursor._replace(version=0)) for key in keys]
        answers = await store.catch_up(wishes, 10)
        assert [changes.resync for changes in answers] == ["too_many_changes", None, None]
        assert [len(changes.items) for changes in answers] == [0, 2, 3]


def _count_statements(database: Database) -> list[str]:
    """Collect what is executed from now on, but for the transaction's own."""
    statements: list[str] = []

    @event.listens_for(database._reading.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    return statements
