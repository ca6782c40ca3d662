"""The contract of `InboxStore` for notifications to an audience: one row for all, timers, recall."""

from __future__ import annotations

from hub.core.cursor import Cursor
from hub.core.model import BROADCAST, InboxQuery, MarkAction, Selection, SharedEvent, SharedState, TopicKey
from hub.ports import SharedLog
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import ADA, EVERYTHING, GRACE, LATER, TENANT, changes_of, ids, publication, table_counts
from tests.support.shared_inboxes import Follower, check, event_of, everybody, shared, to

NEWS = TopicKey(TENANT, "news")
DUE = START + 60_000


class TestPublish:
    async def test_is_one_row_whatever_the_audience(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        users = [f"user-{number}" for number in range(100)]
        await log.join(TENANT, "news", users, START)
        before = await table_counts(database)
        outcome = await store.publish(to("news"), START)
        assert outcome.shared == SharedEvent(NEWS, 2, 1, appeared_at=START + 1), "after the join, in order and in time"
        assert outcome.wakeup is not None
        after = await table_counts(database)
        grown = {name: count - before[name] for name, count in after.items() if count != before[name]}
        assert grown == {"notifications": 1, "shared_log": 1, "wakeups": 1}
        left = {wakeup.id: wakeup for wakeup in await store.leftover_wakeups(START + 1, 9)}
        assert (list(left[outcome.wakeup.id].heads), list(left[outcome.wakeup.id].shared)) == (
            [],
            [SharedEvent(NEWS, 2, 1)],
        )

    async def test_together_with_others_in_one_group(self, database: Database, store: SqlInboxStore) -> None:
        """To users and to audiences of two tenants, with a topic that is new, and one under a key that is taken."""
        await store.head(ADA)
        once, again = (everybody(idempotency=("key", b"hash")) for _ in range(2))
        users = [publication("ada") for _ in range(2)]
        topics = [to("news") for _ in range(2)]
        group = [users[0], everybody(), *topics, everybody(tenant="acme"), users[1], once, again]
        outcomes = [outcome for outcome in await store.publish_all(group, START) if not isinstance(outcome, Exception)]
        assert [outcome.shared for outcome in outcomes] == [
            None,
            SharedEvent(TopicKey(TENANT, BROADCAST), 1, 0, START),
            SharedEvent(NEWS, 2, 0, START + 1),
            SharedEvent(NEWS, 3, 2, START + 2),
            SharedEvent(TopicKey("acme", BROADCAST), 1, 0, START),
            None,
            SharedEvent(TopicKey(TENANT, BROADCAST), 4, 1, START + 3),
            None,
        ]
        assert outcomes[-1].replayed
        assert (await check(database, ADA)).counts == (4, 4)

    async def test_what_direct_changes_tell_counts_shared_items(self, database: Database, store: SqlInboxStore) -> None:
        await store.publish(publication("ada"), START)
        await shared(store)
        outcome = await store.publish(publication("ada"), START)
        assert outcome.heads["ada"] == await check(database, ADA)
        assert (outcome.heads["ada"].counts, outcome.heads["ada"].position) == ((3, 3), 1)

    async def test_its_state(self, store: SqlInboxStore) -> None:
        now = await shared(store, "news")
        later = (await store.publish(to("news", deliver_at=DUE), START)).id
        told = await store.notification(TENANT, now)
        assert told is not None
        assert told.shared == SharedState("news", 1, START, gone=False)
        told = await store.notification(TENANT, later)
        assert told is not None
        assert told.shared == SharedState("news")
        assert await store.notification("acme", now) is None


class TestDeliverAt:
    async def test_takes_its_position_when_it_appears(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        """So whoever joins before it appears has it, and a cursor from in between is told of it."""
        planned = await store.publish(to("news", deliver_at=DUE), START)
        assert (planned.shared, planned.wakeup) == (None, None)
        await log.join(TENANT, "news", ["ada"], LATER)
        follower = Follower(store, ADA)
        await follower.catch_up()
        await shared(store, "news", now=LATER)
        assert await store.apply_timers(DUE - 1, 9) == []
        [(event, wakeup)] = await store.apply_timers(DUE, 9)
        assert event == SharedEvent(NEWS, 3, 2, DUE)
        assert wakeup is not None
        assert await store.apply_timers(DUE, 9) == []
        item = await store.item(ADA, planned.id)
        assert item is not None
        assert (item.position, item.appeared_at) == (3, DUE)
        assert await follower.catch_up() is None
        await follower.assert_equals(database)
        await check(database, ADA)

    async def test_recalled_before_it_never_appears(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        planned = await store.publish(everybody(deliver_at=DUE, expires_at=DUE + 9), START)
        assert await store.recall(TENANT, planned.id, LATER) == []
        assert await store.apply_timers(DUE + 9, 9) == []
        assert (await check(database, ADA)).counts == (0, 0)


class TestGone:
    async def test_expired(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        expiring = await store.publish(everybody(expires_at=DUE), START)
        kept = await shared(store)
        follower = Follower(store, ADA)
        await follower.catch_up()
        [(event, _)] = await store.apply_timers(DUE, 9)
        assert event == SharedEvent(TopicKey(TENANT, BROADCAST), 3, 2)
        assert await store.item(ADA, expiring.id) is None
        await follower.catch_up()
        assert list(follower.items) == [kept]
        await follower.assert_equals(database)
        assert (await check(database, ADA)).counts == (1, 1)

    async def test_recalled_once(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        published = await event_of(store, everybody(), START)
        [item] = (await store.page(ADA, InboxQuery())).items
        recalled = await store.recall(TENANT, item.content.id, LATER)
        assert recalled is not None
        assert [what for what, _ in recalled] == [SharedEvent(published.key, 2, 1)]
        assert await store.recall(TENANT, item.content.id, LATER) == []
        assert await store.recall("acme", item.content.id, LATER) is None
        told = await store.notification(TENANT, item.content.id)
        assert told is not None
        assert told.shared is not None
        assert told.shared.gone
        await check(database, ADA)

    async def test_of_whoever_has_left_too(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        """They keep what they have, and lose what is taken back."""
        await log.join(TENANT, "news", ["ada"], START)
        first, second = [await shared(store, "news") for _ in range(2)]
        await log.leave(TENANT, "news", ["ada"], START)
        follower = Follower(store, ADA)
        await follower.catch_up()
        await store.recall(TENANT, first, LATER)
        await follower.catch_up()
        assert list(follower.items) == [second]
        await follower.assert_equals(database)
        await check(database, ADA)

    async def test_in_any_state(self, database: Database, store: SqlInboxStore) -> None:
        """Untouched, below and above marks, read, unread again, archived, snoozed; counts are right throughout."""
        await store.head(ADA)
        await store.head(GRACE)
        made = [await shared(store) for _ in range(14)]
        await store.mark(ADA, MarkAction.READ, ids(made[0], made[1]), LATER)
        through = (await store.head(ADA)).cursor._replace(position=6)
        await store.mark(ADA, MarkAction.READ, _through(through), LATER)
        await store.mark(ADA, MarkAction.UNREAD, ids(made[1], made[2]), LATER)
        await store.mark(ADA, MarkAction.ARCHIVE, ids(made[3], made[7]), LATER)
        await store.mark(ADA, MarkAction.SNOOZE, ids(made[4], made[8]), LATER, until=DUE)
        await store.mark(ADA, MarkAction.SEEN, ids(made[9]), LATER)
        await check(database, ADA, sizes=(3,))
        followers = [Follower(store, key) for key in (ADA, GRACE)]
        for follower in followers:
            await follower.catch_up()
        for number, each in enumerate(made):
            await store.recall(TENANT, each, LATER)
            if number % 5 == 4:  # marks that pass what went: some of it settled in the head, some not yet
                cursor = (await store.head(ADA)).cursor
                await store.mark(ADA, MarkAction.SEEN, _through(cursor._replace(position=number + 2)), LATER)
            for follower in followers:
                await follower.catch_up()
                await follower.assert_equals(database)
            await check(database, ADA, sizes=(3,))
        assert changes_of(await store.apply_timers(DUE, 9)) == [], "what has gone does not come back"
        assert (await check(database, ADA)).counts == (0, 0)
        assert (await check(database, GRACE)).counts == (0, 0)
        assert (await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)).changed == 0


def _through(cursor: Cursor) -> Selection:
    return Selection(all=True, through=cursor)
