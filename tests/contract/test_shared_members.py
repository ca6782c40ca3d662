"""The contract of `SharedLog`: joining, leaving, and who therefore sees what."""

from __future__ import annotations

import pytest

from hub.core.errors import InvalidRequest
from hub.core.model import BROADCAST, InboxKey, TopicHead
from hub.ports import SharedLog
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import ADA, GRACE, LATER, TENANT, publication, table_counts
from tests.support.shared_inboxes import Follower, check, event_of, everybody, shared, to, whole


async def titles(database: Database, key: InboxKey) -> list[str]:
    return [item.content.title for item in reversed(await whole(database, key))]


class TestWhoSeesWhat:
    async def test_members_see_what_comes_after_they_joined_and_before_they_left(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        await log.join(TENANT, "news", ["grace"], START)
        await shared(store, "news", title="before")
        await log.join(TENANT, "news", ["ada"], START)
        await shared(store, "news", title="during")
        await shared(store, "other", title="elsewhere")
        await log.leave(TENANT, "news", ["ada"], START)
        await shared(store, "news", title="after")
        await log.join(TENANT, "news", ["ada"], START)
        await shared(store, "news", title="again")
        assert await titles(database, ADA) == ["during", "again"]
        assert await titles(database, GRACE) == ["before", "during", "after", "again"]
        assert (await check(database, ADA)).counts == (2, 2)
        assert (await check(database, GRACE)).counts == (4, 4)

    async def test_a_new_user_sees_no_earlier_broadcast(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        await shared(store, title="first")
        for make_head in (store.head(GRACE), store.publish(publication("joan", "mary"), START)):
            await make_head
        await shared(store, title="second")
        assert await titles(database, ADA) == ["first", "second"]
        assert await titles(database, GRACE) == ["second"]
        assert await titles(database, InboxKey(TENANT, "joan")) == ["Hello", "second"]
        for user in ("ada", "grace", "joan", "mary"):
            await check(database, InboxKey(TENANT, user))

    async def test_of_several_topics_and_everybody(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        """At the same time too: no two shared items have the same, own ones may have one of theirs."""
        await log.join(TENANT, "one", ["ada"], START)
        await log.join(TENANT, "two", ["ada"], START)
        for number in range(3):
            await store.publish(publication("ada", title=f"own {number}"), START)
            for topic in ("one", "two", BROADCAST):
                await shared(store, topic, category="other" if number == 1 else "general")
        await check(database, ADA, sizes=(1, 2, 3, 5, 100))

    async def test_tenants_are_kept_apart(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        acme = InboxKey("acme", "ada")
        for key in (ADA, acme):
            await store.head(key)
        await log.join("acme", "news", ["ada"], START)
        await store.publish(to("news", tenant="acme", title="theirs"), START)
        await store.publish(everybody(tenant="acme", title="to all of them"), START)
        await shared(store, "news", title="ours")
        assert await titles(database, ADA) == []
        assert await titles(database, acme) == ["theirs", "to all of them"]
        assert (await log.members(TENANT, "news", "", 9), await log.topics_of([ADA])) == ([], {})
        assert await log.topic_heads(TENANT, ["news", BROADCAST]) == {
            "news": TopicHead(1, 0),
            BROADCAST: TopicHead(0, 0),
        }
        assert await log.log_positions({TENANT, "acme", "unheard-of"}) == {TENANT: 1, "acme": 3, "unheard-of": 0}
        assert (await check(database, ADA)).position == 0
        await check(database, acme)


class TestJoinAndLeave:
    async def test_each_inbox_takes_a_version_that_changes_nothing(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        await store.publish(publication("ada"), START)
        joined = await log.join(TENANT, "news", ["grace", "ada", "ada"], LATER)
        assert list(joined.cursors) == ["ada", "grace"]
        assert {user: cursor.version for user, cursor in joined.cursors.items()} == {"ada": 2, "grace": 1}
        assert joined.cursors["ada"].epoch == (await store.head(ADA)).epoch
        assert joined.wakeup is not None
        left = {wakeup.id: list(wakeup.heads) for wakeup in await store.leftover_wakeups(LATER + 1, 9)}
        assert left[joined.wakeup.id] == [(ADA, 2), (GRACE, 1)]
        follower = Follower(store, ADA)
        await follower.catch_up()
        gone = await log.leave(TENANT, "news", ["ada", "grace", "stranger"], LATER)
        assert {user: cursor.version for user, cursor in gone.cursors.items()} == {"ada": 3, "grace": 2}
        assert gone.position > joined.position
        assert await follower.catch_up() is None
        assert follower.told == []
        await check(database, ADA)

    async def test_twice_changes_nothing(self, store: SqlInboxStore, log: SharedLog) -> None:
        await log.join(TENANT, "news", ["ada"], START)
        again = await log.join(TENANT, "news", ["ada", "grace"], START)
        assert list(again.cursors) == ["grace"]
        nothing = await log.join(TENANT, "news", ["ada", "grace"], START)
        assert (nothing.cursors, nothing.wakeup) == ({}, None)
        await log.leave(TENANT, "news", ["ada"], START)
        nothing = await log.leave(TENANT, "news", ["ada"], START)
        assert (nothing.cursors, nothing.wakeup) == ({}, None)
        assert (await store.head(ADA)).version == 2
        assert await log.members(TENANT, "news", "", 9) == ["grace"]

    async def test_many_in_one_call(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        users = [f"user-{number:05}" for number in range(2_000)]
        await store.publish(publication(*users[:500]), START)
        await log.join(TENANT, "news", users[:1_000], START)
        joined = await log.join(TENANT, "news", users, START)
        assert len(joined.cursors) == 1_000
        rows = await table_counts(database)
        assert (rows["memberships"], rows["inbox_heads"], rows["wakeups"]) == (2_000, 2_000, 3)
        await shared(store, "news")
        for user, counts in ((users[0], (2, 2)), (users[700], (1, 1)), (users[-1], (1, 1))):
            assert (await store.head(InboxKey(TENANT, user))).counts == counts
        await log.leave(TENANT, "news", users[:1_999], START)
        assert await log.members(TENANT, "news", "", 9) == users[-1:]

    @pytest.mark.parametrize("move", ["join", "leave"])
    async def test_everybody_is_neither_joined_nor_left(self, log: SharedLog, move: str) -> None:
        with pytest.raises(InvalidRequest, match="name"):
            await getattr(log, move)(TENANT, BROADCAST, ["ada"], START)


class TestLists:
    async def test_members_by_pages_in_bytewise_order(self, log: SharedLog) -> None:
        users = ["Z", "a", "b", "z", "ä", "😀"]
        await log.join(TENANT, "news", list(reversed(users)), START)
        await log.leave(TENANT, "news", ["b"], START)
        await log.join(TENANT, "other", ["c"], START)
        first = await log.members(TENANT, "news", "", 3)
        assert first == ["Z", "a", "z"]
        assert await log.members(TENANT, "news", first[-1], 3) == ["ä", "😀"]
        assert await log.members(TENANT, "nobody's", "", 3) == []

    async def test_topics_of_users(self, log: SharedLog) -> None:
        await log.join(TENANT, "two", ["ada", "grace"], START)
        await log.join(TENANT, "one", ["ada"], START)
        await log.leave(TENANT, "two", ["ada"], START)
        await log.join("acme", "theirs", ["ada"], START)
        stranger = InboxKey(TENANT, "stranger")
        assert await log.topics_of([ADA, GRACE, stranger, ADA]) == {ADA: ["one"], GRACE: ["two"]}
        assert await log.topics_of([ADA], left=True) == {ADA: ["one", "two"]}
        assert await log.topics_of([]) == {}

    async def test_heads(self, store: SqlInboxStore, log: SharedLog) -> None:
        assert await log.topic_heads(TENANT, ["news"]) == {"news": TopicHead(0, 0)}
        first = await event_of(store, to("news"), START)
        second = await event_of(store, everybody(), START)
        third = await event_of(store, to("news"), START)
        assert (first.previous, second.previous, third.previous) == (0, 0, first.position)
        assert first.position < second.position < third.position
        assert await log.topic_heads(TENANT, ["news", BROADCAST, "other"]) == {
            "news": TopicHead(third.position, 0),
            BROADCAST: TopicHead(second.position, 0),
            "other": TopicHead(0, 0),
        }
        assert await log.topic_heads(TENANT, []) == {}
        assert await log.log_positions({TENANT}) == {TENANT: third.position}
        assert await log.log_positions(()) == {}

    async def test_what_happens_in_a_topic_is_a_chain_with_joining_and_leaving(
        self, store: SqlInboxStore, log: SharedLog
    ) -> None:
        first = await event_of(store, to("news"), START)
        joined = await log.join(TENANT, "news", ["ada", "grace"], START)
        again = await log.join(TENANT, "news", ["ada"], START)
        second = await event_of(store, to("news"), START)
        left = await log.leave(TENANT, "news", ["ada"], START)
        elsewhere = await log.join(TENANT, "sales", ["ada"], START)
        assert await store.recall(TENANT, await shared(store, "news"), START)
        heads = await log.topic_heads(TENANT, ["news", "sales"])
        assert (joined.previous, second.previous, left.previous) == (first.position, joined.position, second.position)
        assert (again.cursors, elsewhere.previous) == ({}, 0)
        assert heads["news"].members_at == left.position
        assert heads["news"].last == heads["news"].position == left.position + 3
        assert heads["sales"] == TopicHead(0, elsewhere.position)
