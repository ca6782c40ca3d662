"""The contract of `InboxStore.catch_up` for shared items: whatever a client missed, it ends equal to the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from hub.core.cursor import Cursor
from hub.core.model import InboxKey, InboxQuery, MarkAction, Selection
from hub.ports import SharedLog
from hub.store import inbox_catch_up, shared_append, shared_heads, shared_members
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.shared_heads import SETTLE_AFTER
from hub.store.tables import inbox_heads, notifications, shared_items, shared_logs, topics
from tests.support.clock import START
from tests.support.inboxes import ADA, EVERYTHING, GRACE, LATER, TENANT, fill, ids, missed, publication
from tests.support.shared_inboxes import Follower, check, shared, to, whole


async def following(store: SqlInboxStore, key: InboxKey = ADA) -> Follower:
    follower = Follower(store, key)
    await follower.catch_up()
    return follower


class TestOne:
    async def test_is_told_exactly_what_changed(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        made = [await shared(store) for _ in range(8)]
        await store.mark(ADA, MarkAction.SEEN, Selection(all=True, through=(await store.head(ADA)).cursor), LATER)
        follower = await following(store)
        new = await shared(store)
        assert await follower.catch_up() is None
        assert follower.told == [new]
        await store.mark(ADA, MarkAction.READ, ids(made[3], made[5]), LATER)
        await store.recall(TENANT, made[0], LATER)
        await follower.catch_up()
        assert follower.told == [made[0], made[3], made[5]]
        cursor = (await store.head(ADA)).cursor._replace(position=3)
        await store.mark(ADA, MarkAction.READ, Selection(all=True, through=cursor), LATER)
        await follower.catch_up()
        assert follower.told == made[1:3], "those that the mark has passed, and no more"
        await follower.assert_equals(database)
        await follower.catch_up()
        assert follower.told == []

    async def test_a_leave_while_it_was_behind(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        await log.join(TENANT, "news", ["ada"], START)
        follower = await following(store)
        before = await shared(store, "news")
        await log.leave(TENANT, "news", ["ada"], START)
        await shared(store, "news")
        assert await follower.catch_up() is None
        assert follower.told == [before]
        await follower.assert_equals(database)

    async def test_left_and_joined_again_while_it_was_behind(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        follower = await following(store)
        expected = []
        for _ in range(2):
            await log.join(TENANT, "news", ["ada"], START)
            expected.append(await shared(store, "news"))
            await log.leave(TENANT, "news", ["ada"], START)
            await shared(store, "news")
        await follower.catch_up()
        assert follower.told == expected
        await follower.assert_equals(database)

    async def test_own_items_come_first(self, store: SqlInboxStore) -> None:
        follower = await following(store)
        first = await shared(store)
        own = (await store.publish(publication("ada"), START)).id
        second = await shared(store)
        await follower.catch_up()
        assert follower.told == [own, first, second]

    async def test_what_came_and_went_is_told_as_gone(self, store: SqlInboxStore) -> None:
        """A connected client may have been told of it at once, which does not move the cursor."""
        follower = await following(store)
        recalled = await shared(store)
        await store.recall(TENANT, recalled, LATER)
        assert await follower.catch_up() is None
        assert follower.told == [recalled]
        assert follower.items == {}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"position": 99}, "ahead_of_server"),
            ({"position": 99, "version": 0}, "ahead_of_server"),
            ({"epoch": "f" * 12}, "unknown_epoch"),
            ({"position": 0}, "too_many_changes"),
        ],
    )
    async def test_is_told_when_there_is_no_resuming(
        self, store: SqlInboxStore, change: dict[str, Any], reason: str
    ) -> None:
        """Ahead of the log is whoever comes with a cursor from before a backup was restored."""
        await fill(store, 1)
        for _ in range(3):
            await shared(store)
        head = await store.head(ADA)
        refused = await missed(store, ADA, head.cursor._replace(**change), 2)
        assert (refused.resync, list(refused.items), refused.head) == (reason, [], head)

    async def test_own_and_shared_together_are_limited(self, store: SqlInboxStore) -> None:
        await fill(store, 2)
        for _ in range(2):
            await shared(store)
        start = (await store.head(ADA)).cursor._replace(version=0, position=0)
        assert len((await missed(store, ADA, start, 4)).items) == 4
        assert (await missed(store, ADA, start, 3)).resync == "too_many_changes"


class TestRetention:
    async def test_below_the_floor(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        """Old items go first, then their states and contents; the log's rows stay, as they are what is counted by."""
        await log.join(TENANT, "news", ["ada"], START)
        await store.head(GRACE)
        old = [await shared(store, topic) for topic in ("news", "", "news", "")]
        await store.mark(ADA, MarkAction.READ, ids(old[0], old[1]), LATER)
        follower, quiet = await following(store), await following(store, GRACE)
        new = [await shared(store, topic) for topic in ("news", "")]
        for each in old:
            await store.recall(TENANT, each, LATER)
        early = (await store.head(ADA)).cursor._replace(position=7)
        async with database.writer() as connection:
            await shared_heads.settle(connection, [ADA, GRACE])
            await connection.execute(sa.delete(shared_items).where(shared_items.c.position <= 5))
            await connection.execute(sa.delete(notifications).where(notifications.c.id.in_(old)))
            await connection.execute(sa.update(shared_logs).values(floor=8))
            await connection.execute(sa.update(topics).values(floor=8))
        assert (await check(database, ADA)).counts == (2, 2)
        assert (await check(database, GRACE)).counts == (1, 1)
        assert (await missed(store, ADA, early, 99)).resync == "too_old"
        assert (await missed(store, ADA, early._replace(position=8), 99)).resync is None
        for each_follower in (follower, quiet):
            assert await each_follower.catch_up() == "too_old"
            await each_follower.assert_equals(database)
        assert set(follower.items) == set(new)
        await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
        assert (await check(database, ADA)).counts == (0, 0)

    async def test_settling_changes_nothing_that_is_seen(
        self, database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hub.store.shared_heads.SETTLE_AFTER", 3)
        assert SETTLE_AFTER > 3
        for key in (ADA, GRACE):
            await store.head(key)
        made = [await shared(store) for _ in range(6)]
        await store.mark(ADA, MarkAction.READ, ids(made[0], made[3]), LATER)
        assert await _settled(database) == {0}, "nothing went, whatever came"
        for each in made[:4]:
            await store.recall(TENANT, each, LATER)
            for key in (ADA, GRACE):
                follower = await following(store, key)
                await follower.assert_equals(database)
                await check(database, key, sizes=(9,))
        assert min(await _settled(database)) > 0
        await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
        await check(database, ADA)


class TestMany:
    async def test_each_is_answered_in_its_place(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        """Many users of two tenants, some behind, some not, some strangers; in a handful of statements."""
        keys = [InboxKey(tenant, f"user-{number:02}") for tenant in (TENANT, "acme") for number in range(40)]
        for tenant in (TENANT, "acme"):
            await log.join(tenant, "news", [key.user for key in keys[:30:2]], START)
        followers = [await following(store, key) for key in keys[:60]]
        for tenant in (TENANT, "acme"):
            for topic in ("news", "", "news", "other"):
                await store.publish(to(topic, tenant=tenant), START)
        for follower in followers[::5]:
            await follower.catch_up()
        await store.mark(keys[4], MarkAction.READ, EVERYTHING, LATER)
        wishes: list[tuple[InboxKey, Cursor | None]] = [(each.key, each.cursor) for each in followers]
        wishes += [(key, None) for key in keys[60:]]
        await store.catch_up([(key, None) for key in keys], 9)  # heads are made
        statements = _count_statements(database)
        answers = await store.catch_up(wishes, 9)
        assert len(statements) <= 4
        for (key, _), changes in zip(wishes, answers, strict=True):
            assert changes.head == await store.head(key)
            assert changes.resync is None
        for follower, changes in zip(followers, answers, strict=False):
            for item in changes.items:
                follower.take(item)
            assert follower.items == {item.content.id: item for item in await whole(database, follower.key)}
        del statements[:]
        await store.catch_up([(key, changes.head.cursor) for (key, _), changes in zip(wishes, answers, strict=True)], 9)
        assert len(statements) == 1, "whoever is up to date costs no more than the head"

    async def test_a_batch_is_bounded(self, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inbox_catch_up, "BATCH_ITEMS", 5)
        starts = [(key, (await store.head(key)).cursor) for key in (ADA, GRACE)]
        for _ in range(3):
            await shared(store)
        answers = await store.catch_up(starts, 10)
        assert sorted(changes.resync or "" for changes in answers) == ["", "too_many_changes"]

    async def test_all_are_of_one_snapshot(self, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch) -> None:
        start = (await store.head(ADA)).cursor
        first = await shared(store)
        head = await store.head(ADA)
        read = inbox_catch_up._heads

        async def interrupted(connection: AsyncConnection, wanted: Sequence[Any], limit: int) -> Any:
            found = list(await read(connection, wanted, limit))
            await shared(store)
            await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
            return found

        monkeypatch.setattr(inbox_catch_up, "_heads", interrupted)
        changes = await missed(store, ADA, start, 10)
        assert changes.head == head
        assert [(item.content.id, item.read_at) for item in changes.items] == [(first, None)]


class TestRaces:
    async def test_a_join_while_a_publish_is_on_its_way(
        self, database: Database, store: SqlInboxStore, log: SharedLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever takes its position first; the other one waits for its commit."""
        follower = await following(store)
        waiting, taken = asyncio.Event(), shared_append.take_positions

        async def slowly(*arguments: Any) -> Any:
            result = await taken(*arguments)
            waiting.set()
            await asyncio.sleep(0)
            return result

        for module, first, second in (
            (shared_append, lambda: shared(store, "news"), lambda: log.join(TENANT, "news", ["ada"], START)),
            (shared_members, lambda: log.leave(TENANT, "news", ["ada"], START), lambda: shared(store, "news")),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(module, "take_positions", slowly)
                waiting.clear()
                one = asyncio.ensure_future(first())
                await waiting.wait()
                two = asyncio.ensure_future(second())
                await asyncio.gather(one, two)
            await follower.catch_up()
            assert follower.items == {}
            await follower.assert_equals(database)
            await check(database, ADA)

    async def test_everything_at_once(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        """Whoever catches up meanwhile ends equal to the rows, and nobody waits in a circle."""
        keys = [InboxKey(TENANT, user) for user in ("ada", "grace", "joan")]
        followers = [await following(store, key) for key in keys]
        with capture_logs() as logs:
            await asyncio.gather(
                *(_publish_and_recall(store) for _ in range(2)),
                *(_come_and_go(log, key.user) for key in keys),
                *(_mark(store, key) for key in keys),
                *(follower.catch_up() for follower in followers for _ in range(5)),
            )
        assert [line for line in logs if line["event"] == "transaction_repeated"] == []
        for follower in followers:
            await follower.catch_up()
            await follower.assert_equals(database)
            await check(database, follower.key, sizes=(3,))


async def _publish_and_recall(store: SqlInboxStore) -> None:
    for number in range(6):
        made = await shared(store, "news" if number % 2 else "")
        if number % 3 == 0:
            await store.recall(TENANT, made, LATER)


async def _come_and_go(log: SharedLog, user: str) -> None:
    for _ in range(3):
        await log.join(TENANT, "news", [user, "joan"], START)
        await log.leave(TENANT, "news", ["joan", user], START)


async def _mark(store: SqlInboxStore, key: InboxKey) -> None:
    for action in (MarkAction.SEEN, MarkAction.READ, MarkAction.UNREAD):
        page = await store.page(key, InboxQuery(limit=2))
        await store.mark(key, action, ids(*(item.content.id for item in page.items)), LATER)
        await store.mark(key, action, EVERYTHING, LATER)
        await store.publish(publication("ada", "joan"), LATER)


def _count_statements(database: Database) -> list[str]:
    """Collect what is executed from now on, but for the transaction's own."""
    statements: list[str] = []

    @event.listens_for(database._reading.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            statements.append(statement)

    return statements


async def _settled(database: Database) -> set[int]:
    async with database.reader() as connection:
        return set((await connection.execute(sa.select(inbox_heads.c.settled))).scalars())
