"""The contract of `InboxStore.mark` for shared items: by ids, all, up to a cursor; what it tells, and counts."""

from __future__ import annotations

import pytest

from hub.core.model import (
    Channel,
    InboxKey,
    MarkAction,
    Rung,
    Selection,
    Step,
)
from hub.ports import SharedLog
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EVERYTHING,
    GRACE,
    LATER,
    TENANT,
    ClientView,
    changes_of,
    delivery_states,
    fill,
    ids,
    table_counts,
)
from tests.support.rows import Rows
from tests.support.shared_inboxes import Follower, check, everybody, shared, whole

DUE = LATER + 60_000
ACTIONS = [action for action in MarkAction if action not in {MarkAction.DELIVERED, MarkAction.SNOOZE}]


async def upto(store: SqlInboxStore, position: int, key: InboxKey = ADA) -> Selection:
    """Select everything up to a position of the log."""
    return Selection(all=True, through=(await store.head(key)).cursor._replace(position=position))


class TestByIds:
    @pytest.mark.parametrize("action", ACTIONS)
    async def test_own_and_shared_with_one_version(
        self, database: Database, store: SqlInboxStore, action: MarkAction
    ) -> None:
        [own] = await fill(store, 1)
        made = [await shared(store) for _ in range(2)]
        view = await ClientView.of(store, ADA)
        if action in {MarkAction.UNREAD, MarkAction.UNARCHIVE}:
            marked = await store.mark(ADA, MarkAction.ARCHIVE, ids(own, made[0]), LATER)
            assert marked.change is not None
            await view.take(store, marked.change)
        marked = await store.mark(ADA, action, ids(own, made[0]), LATER)
        assert (marked.changed, marked.change is not None) == (2, True)
        assert marked.change is not None
        await view.take(store, marked.change)
        assert view.items == {item.content.id: item for item in await whole(database, ADA)}
        assert marked.head == await check(database, ADA)
        assert (await store.mark(ADA, action, ids(own, made[0]), LATER + 9)).changed == 0

    async def test_of_others_nothing(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        """What somebody is no member of, what came before they joined or after they left, another tenant's."""
        await log.join(TENANT, "news", ["grace"], START)
        made = [await shared(store, "news")]
        await log.join(TENANT, "news", ["ada"], START)
        await log.leave(TENANT, "news", ["ada"], START)
        made.append(await shared(store, "news"))
        made.append((await store.publish(everybody(tenant="acme"), START)).id)
        for action in (MarkAction.READ, MarkAction.SEEN, MarkAction.DELIVERED):
            for selection in (ids(*made), EVERYTHING):
                marked = await store.mark(ADA, action, selection, LATER)
                assert (marked.changed, marked.change) == (0, None)
        assert (await table_counts(database))["shared_items"] == 0
        assert (await check(database, GRACE)).counts == (2, 2)

    async def test_times_keep_their_first_value(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        item = await shared(store)
        await store.mark(ADA, MarkAction.SEEN, ids(item), LATER)
        await store.mark(ADA, MarkAction.READ, ids(item), LATER + 5)
        await store.mark(ADA, MarkAction.ARCHIVE, EVERYTHING, LATER + 9)
        [found] = await whole(database, ADA)
        assert (found.seen_at, found.read_at, found.archived_at) == (LATER, LATER + 5, LATER + 9)
        await check(database, ADA)

    async def test_delivered_where_a_step_asks_for_it(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        plain = await shared(store)
        tracked = [await shared(store, plan=[Step(Channel.EMAIL, 60_000, Rung.DELIVERED)]) for _ in range(2)]
        await store.mark(ADA, MarkAction.SEEN, await upto(store, 2), LATER)
        head = await store.head(ADA)
        before = await whole(database, ADA)
        assert (await store.mark(ADA, MarkAction.DELIVERED, ids(plain, tracked[0]), LATER)).changed == 1
        assert (await store.mark(ADA, MarkAction.DELIVERED, EVERYTHING, LATER)).changed == 1
        marked = await store.mark(ADA, MarkAction.DELIVERED, EVERYTHING, LATER)
        assert (marked.changed, marked.change, marked.head) == (0, None, head)
        assert await whole(database, ADA) == before, "nothing that anybody sees"
        assert (await table_counts(database))["shared_items"] == 2
        await check(database, ADA)


class TestAll:
    async def test_moves_marks_and_writes_no_rows(self, database: Database, store: SqlInboxStore) -> None:
        [own] = await fill(store, 1)
        made = [await shared(store) for _ in range(3)]
        view = await ClientView.of(store, ADA)
        marked = await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
        assert marked.change is not None
        assert (marked.changed, set(marked.change.ids), marked.head.counts) == (4, {own, *made}, (0, 0))
        await view.take(store, marked.change)
        assert view.items == {item.content.id: item for item in await whole(database, ADA)}
        rows = await table_counts(database)
        assert (rows["shared_items"], rows["shared_marks"]) == (0, 2)
        again = await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
        assert (again.changed, again.change, again.head) == (0, None, marked.head)
        await shared(store)
        assert (await check(database, ADA)).counts == (1, 1)

    async def test_then_unread_then_all_again(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        made = [await shared(store) for _ in range(4)]
        await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
        assert (await store.mark(ADA, MarkAction.UNREAD, ids(*made[1:3]), LATER)).head.counts == (2, 0)
        await shared(store)
        assert (await check(database, ADA)).counts == (3, 1)
        marked = await store.mark(ADA, MarkAction.READ, await upto(store, 2), LATER + 5)
        assert (marked.changed, marked.head.counts) == (1, (2, 1)), "a lower one reads what was unread below it"
        assert marked.head == await check(database, ADA)
        marked = await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER + 9)
        assert (marked.changed, marked.head.counts) == (2, (0, 0))
        await check(database, ADA)
        times = {item.content.id: item.read_at for item in await whole(database, ADA)}
        assert [times[each] for each in made] == [LATER, LATER + 5, LATER + 9, LATER]

    @pytest.mark.parametrize("action", [MarkAction.UNREAD, MarkAction.UNARCHIVE, MarkAction.SNOOZE])
    async def test_backwards(self, database: Database, store: SqlInboxStore, action: MarkAction) -> None:
        await fill(store, 1)
        for _ in range(3):
            await shared(store)
        await store.mark(ADA, MarkAction.ARCHIVE, await upto(store, 2), LATER)
        until = DUE if action is MarkAction.SNOOZE else None
        follower = Follower(store, ADA)
        await follower.catch_up()
        marked = await store.mark(ADA, action, EVERYTHING, LATER, until=until)
        assert marked.changed == (4 if action is MarkAction.SNOOZE else 3)
        assert marked.head == await check(database, ADA)
        await follower.catch_up()
        await follower.assert_equals(database)
        for again in (MarkAction.READ, MarkAction.ARCHIVE):
            await store.mark(ADA, again, EVERYTHING, LATER + 9)
            await check(database, ADA, sizes=(2,))

    async def test_of_a_cursor_from_elsewhere_means_nothing(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        await shared(store)
        cursor = (await store.head(ADA)).cursor
        selection = Selection(all=True, through=cursor._replace(epoch="f" * 12))
        assert (await store.mark(ADA, MarkAction.READ, selection, LATER)).changed == 0
        ahead = Selection(all=True, through=cursor._replace(position=99, version=99))
        assert (await store.mark(ADA, MarkAction.READ, ahead, LATER)).changed == 1
        await shared(store)
        assert (await check(database, ADA)).counts == (1, 1)

    async def test_many_are_told_with_exceptions(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        for _ in range(101):
            await shared(store)
        view = await ClientView.of(store, ADA)
        newer = [await shared(store) for _ in range(2)]
        marked = await store.mark(ADA, MarkAction.READ, await upto(store, 101), LATER)
        assert marked.change is not None
        assert (marked.changed, marked.change.all, list(marked.change.but)) == (101, True, newer)
        view.items |= {item.content.id: item for item in await whole(database, ADA) if item.content.id in newer}
        await view.take(store, marked.change)
        assert view.items == {item.content.id: item for item in await whole(database, ADA)}
        await check(database, ADA, sizes=(50,))

    async def test_a_join_later_is_not_marked(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        await store.head(ADA)
        await shared(store)
        await shared(store, "news")
        await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
        await log.join(TENANT, "news", ["ada"], LATER)
        await shared(store, "news")
        assert (await check(database, ADA)).counts == (1, 1)


class TestSnooze:
    async def test_comes_back_whole(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        first, second = [await shared(store) for _ in range(2)]
        await store.mark(ADA, MarkAction.SNOOZE, ids(first, second), LATER, until=DUE)
        await store.mark(ADA, MarkAction.SNOOZE, ids(second), LATER, until=DUE + 9)
        assert (await check(database, ADA)).counts == (0, 0)
        [back] = changes_of(await store.apply_timers(DUE, 9))
        assert back.item == await store.item(ADA, first)
        assert back.head == await check(database, ADA)
        [back] = changes_of(await store.apply_timers(DUE + 9, 9))
        assert (await check(database, ADA)).counts == (2, 2)
        await store.mark(ADA, MarkAction.SNOOZE, ids(first), LATER, until=DUE + 20)
        ended = await store.mark(ADA, MarkAction.SNOOZE, ids(first), LATER, until=None)
        assert ended.change is not None
        assert ended.change.item == await store.item(ADA, first)
        assert await store.apply_timers(DUE + 20, 9) == []
        await check(database, ADA)


class TestDeliveries:
    async def test_needless_ones_are_cancelled(self, database: Database, store: SqlInboxStore, rows: Rows) -> None:
        """As if the fallback had expanded them."""
        await store.head(ADA)
        made = [await shared(store, now=START + number) for number in range(3)]
        for notification in made:
            for user in ("ada", "grace"):
                await rows.delivery(notification, user=user)
        await store.mark(ADA, MarkAction.SEEN, ids(made[2]), LATER)
        assert [state for state, _, _ in await delivery_states(database, ADA)] == ["queued", "queued", "cancelled"]
        await store.mark(ADA, MarkAction.READ, await upto(store, 1), LATER)
        assert [state for state, _, _ in await delivery_states(database, ADA)] == ["cancelled", "queued", "cancelled"]
        assert {state for state, _, _ in await delivery_states(database, GRACE)} == {"queued"}
