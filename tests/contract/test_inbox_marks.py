"""The contract of `InboxStore.mark`: what changes, what is told of it, and which deliveries it makes needless."""

from __future__ import annotations

import random
from uuid import uuid4

import pytest

from hub.core.cursor import Cursor
from hub.core.model import Channel, MarkAction, Rung, Selection, Step
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    EVERYTHING,
    GRACE,
    LATER,
    ClientView,
    changes_of,
    check_inbox,
    delivery_states,
    fill,
    ids,
    publication,
    stored_items,
)


class TestMark:
    @pytest.mark.parametrize(
        ("action", "counts", "fields"),
        [
            (MarkAction.SEEN, (3, 2), {"seen_at": LATER}),
            (MarkAction.READ, (2, 2), {"seen_at": LATER, "read_at": LATER}),
            (MarkAction.ARCHIVE, (2, 2), {"seen_at": LATER, "read_at": LATER, "archived_at": LATER}),
            (MarkAction.SNOOZE, (2, 2), {"snoozed_until": LATER + 60_000}),
        ],
    )
    async def test_one_of_three(
        self,
        database: Database,
        store: SqlInboxStore,
        action: MarkAction,
        counts: tuple[int, int],
        fields: dict[str, int],
    ) -> None:
        [_, item, _] = await fill(store, 3)
        until = LATER + 60_000 if action is MarkAction.SNOOZE else None
        marked = await store.mark(ADA, action, ids(item), LATER, until=until)
        assert (marked.changed, marked.head.version, marked.head.counts) == (1, 4, counts)
        assert marked.change is not None
        assert (marked.change.ids, marked.change.fields) == ((item,), fields)
        assert marked.change.head == marked.head == await check_inbox(database, ADA)
        stored = await store.item(ADA, item)
        assert stored is not None
        assert stored.version == 4
        assert {name: getattr(stored, name) for name in fields} == fields
        wakeups = {wakeup.id: list(wakeup.heads) for wakeup in await store.leftover_wakeups(START + 9_999, 9)}
        assert marked.wakeup is not None
        assert wakeups[marked.wakeup.id] == [(ADA, 4)]

    @pytest.mark.parametrize("action", [action for action in MarkAction if action is not MarkAction.UNREAD])
    async def test_again_changes_nothing(self, database: Database, store: SqlInboxStore, action: MarkAction) -> None:
        items = await fill(store, 2)
        until = LATER + 5 if action is MarkAction.SNOOZE else None
        await store.mark(ADA, action, EVERYTHING, LATER, until=until)
        before = await stored_items(database, ADA)
        wakeups = await store.leftover_wakeups(LATER + 9_999, 99)
        for selection in (ids(*items), EVERYTHING):
            again = await store.mark(ADA, action, selection, LATER + 7, until=until)
            assert (again.changed, again.change, again.wakeup) == (0, None, None)
        assert await stored_items(database, ADA) == before
        assert await store.leftover_wakeups(LATER + 9_999, 99) == wakeups

    async def test_unread_clears_read_only(self, database: Database, store: SqlInboxStore) -> None:
        [item] = await fill(store, 1)
        await store.mark(ADA, MarkAction.READ, ids(item), LATER)
        marked = await store.mark(ADA, MarkAction.UNREAD, ids(item), LATER + 1)
        assert marked.head.counts == (1, 0)
        stored = await store.item(ADA, item)
        assert stored is not None
        assert (stored.seen_at, stored.read_at) == (LATER, None)
        await store.mark(ADA, MarkAction.READ, ids(item), LATER + 2)
        stored = await store.item(ADA, item)
        assert stored is not None
        assert (stored.seen_at, stored.read_at) == (LATER, LATER + 2)
        await check_inbox(database, ADA)

    async def test_unarchived_item_is_told_whole(self, database: Database, store: SqlInboxStore) -> None:
        [item, other] = await fill(store, 2)
        await store.mark(ADA, MarkAction.ARCHIVE, EVERYTHING, LATER)
        one = await store.mark(ADA, MarkAction.UNARCHIVE, ids(item), LATER)
        assert one.change is not None
        assert one.change.item == await store.item(ADA, item)
        await store.mark(ADA, MarkAction.ARCHIVE, ids(item), LATER)
        both = await store.mark(ADA, MarkAction.UNARCHIVE, ids(item, other), LATER)
        assert both.change is not None
        assert (both.change.item, both.change.ids, both.change.all) == (None, (), False), "to be read"
        await check_inbox(database, ADA)

    async def test_unknown_and_foreign_ids_are_ignored(self, store: SqlInboxStore) -> None:
        [mine] = await fill(store, 1)
        [hers] = await fill(store, 1, "grace")
        marked = await store.mark(ADA, MarkAction.READ, ids(uuid4(), hers, mine), LATER)
        assert marked.changed == 1
        assert (await store.head(GRACE)).counts == (1, 1)
        nothing = await store.mark(ADA, MarkAction.READ, ids(uuid4()), LATER)
        assert (nothing.changed, nothing.change) == (0, None)

    @pytest.mark.parametrize("selection", [EVERYTHING, ids(uuid4()), Selection(all=True, through=Cursor("0" * 12, 9))])
    async def test_of_a_user_never_heard_of(self, store: SqlInboxStore, selection: Selection) -> None:
        marked = await store.mark(ADA, MarkAction.READ, selection, LATER)
        assert (marked.changed, marked.head.version, marked.head.counts) == (0, 0, (0, 0))
        assert marked.head == await store.head(ADA)

    async def test_through_leaves_what_came_later(self, store: SqlInboxStore) -> None:
        [first, second] = await fill(store, 2)
        through = (await store.head(ADA)).cursor
        await store.mark(ADA, MarkAction.SEEN, ids(first), LATER)
        await fill(store, 1)
        marked = await store.mark(ADA, MarkAction.READ, Selection(all=True, through=through), LATER)
        assert marked.change is not None
        assert marked.change.ids == tuple(sorted([first, second]))
        assert marked.head.counts == (1, 1)

    async def test_through_of_another_epoch_selects_nothing(self, store: SqlInboxStore) -> None:
        await fill(store, 2)
        head = await store.head(ADA)
        strange = Cursor("0" * 12 if head.epoch != "0" * 12 else "1" * 12, head.version)
        marked = await store.mark(ADA, MarkAction.READ, Selection(all=True, through=strange), LATER)
        assert (marked.changed, marked.head, marked.change) == (0, head, None)

    async def test_through_ahead_of_the_head_is_all(self, store: SqlInboxStore) -> None:
        await fill(store, 2)
        ahead = Cursor((await store.head(ADA)).epoch, 99)
        assert (await store.mark(ADA, MarkAction.READ, Selection(all=True, through=ahead), LATER)).changed == 2

    async def test_a_hundred_by_id_more_by_all(self, store: SqlInboxStore) -> None:
        old = await fill(store, 101)
        through = (await store.head(ADA)).cursor
        new = await fill(store, 2)
        marked = await store.mark(ADA, MarkAction.SEEN, Selection(all=True, through=through), LATER)
        assert marked.change is not None
        assert (marked.changed, marked.change.all, marked.change.ids) == (101, True, ())
        assert marked.change.but == tuple(sorted(new))
        by_id = await store.mark(ADA, MarkAction.READ, ids(*old[:100]), LATER)
        assert by_id.change is not None
        assert by_id.change.ids == tuple(sorted(old[:100]))
        more = await store.mark(ADA, MarkAction.ARCHIVE, ids(*old), LATER)
        assert more.change is not None
        assert (more.changed, more.change.ids, more.change.all, more.change.item) == (101, (), False, None)

    async def test_all_with_too_many_exceptions_is_to_be_read(self, store: SqlInboxStore) -> None:
        await fill(store, 101)
        through = (await store.head(ADA)).cursor
        await fill(store, 101)
        marked = await store.mark(ADA, MarkAction.SEEN, Selection(all=True, through=through), LATER)
        assert marked.change is not None
        assert (marked.changed, marked.change.ids, marked.change.all) == (101, (), False)

    async def test_snooze_replaces_a_snooze(self, database: Database, store: SqlInboxStore) -> None:
        [item] = await fill(store, 1)
        await store.mark(ADA, MarkAction.SNOOZE, ids(item), LATER, until=LATER + 10)
        await store.mark(ADA, MarkAction.SNOOZE, ids(item), LATER, until=LATER + 50)
        assert await store.apply_timers(LATER + 10, 9) == []
        assert (await store.head(ADA)).counts == (0, 0)
        back = changes_of(await store.apply_timers(LATER + 50, 9))
        assert [change.item.snoozed_until for change in back if change.item is not None] == [None]
        assert (await check_inbox(database, ADA)).counts == (1, 1)
        await store.mark(ADA, MarkAction.SNOOZE, ids(item), LATER, until=LATER + 90)
        ended = await store.mark(ADA, MarkAction.SNOOZE, ids(item), LATER, until=None)
        assert ended.change is not None
        assert ended.change.item == await store.item(ADA, item)
        assert (await check_inbox(database, ADA)).counts == (1, 1)

    async def test_random_marks_merge_right(self, database: Database, store: SqlInboxStore) -> None:
        """A client that applies what it is told ends with what the database holds, whatever the states before."""
        dice = random.Random(7)
        items = await fill(store, 120)
        client = await ClientView.of(store, ADA)
        now = LATER
        cursors = [client.head.cursor]
        for _ in range(60):
            now += 1
            action = dice.choice([action for action in MarkAction if action is not MarkAction.DELIVERED])
            until = now + dice.choice([5, 50]) if action is MarkAction.SNOOZE and dice.random() < 0.8 else None
            selection = dice.choice(
                [
                    ids(*dice.sample(items, dice.choice([1, 3, 110]))),
                    Selection(all=True),
                    Selection(all=True, through=dice.choice(cursors)),
                ]
            )
            marked = await store.mark(ADA, action, selection, now, until=until)
            if marked.change is not None:
                await client.take(store, marked.change)
            if dice.random() < 0.3:
                published = await store.publish(publication("ada", now=now), now)
                items.append(published.id)
                whole = await store.item(ADA, published.id)
                assert whole is not None
                client.items[published.id], client.head = whole, published.heads["ada"]
            if dice.random() < 0.3:
                for change in changes_of(await store.apply_timers(now, 500)):
                    await client.take(store, change)
            cursors.append(client.head.cursor)
            await client.assert_equals(database, ADA)
        await check_inbox(database, ADA)


class TestFallback:
    """What a mark does to deliveries."""

    PLAN = (
        Step(Channel.PUSH, 10, Rung.DELIVERED),
        Step(Channel.EMAIL, 20, Rung.SEEN),
        Step(Channel.SMS, 30, Rung.READ),
        Step(Channel.CHAT, 40, Rung.NONE),
    )

    @pytest.mark.parametrize(
        ("action", "cancelled"),
        [
            (MarkAction.DELIVERED, 1),
            (MarkAction.SEEN, 2),
            (MarkAction.READ, 3),
            (MarkAction.ARCHIVE, 3),
            (MarkAction.SNOOZE, 0),
            (MarkAction.UNREAD, 0),
            (MarkAction.UNARCHIVE, 0),
        ],
    )
    @pytest.mark.parametrize("every", [False, True])
    async def test_reached_rungs_cancel(
        self,
        database: Database,
        store: SqlInboxStore,
        action: MarkAction,
        cancelled: int,
        every: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        sent = await store.publish(publication("ada", "grace", plan=self.PLAN), START)
        until = LATER + 5 if action is MarkAction.SNOOZE else None
        await store.mark(ADA, action, EVERYTHING if every else ids(sent.id), LATER, until=until)
        states = await delivery_states(database, ADA)
        assert [state for state, _, _ in states] == ["cancelled"] * cancelled + ["queued"] * (4 - cancelled)
        for _, reason, finished_at in states[:cancelled]:
            assert reason is not None
            assert reason.endswith("before it was due.")
            assert finished_at == LATER
        assert all(state == "queued" for state, _, _ in await delivery_states(database, GRACE))

    async def test_all_through_cancels_only_what_it_marks(self, database: Database, store: SqlInboxStore) -> None:
        await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
        through = (await store.head(ADA)).cursor
        await store.publish(publication("ada", now=START + 1, plan=[EMAIL_UNLESS_SEEN]), START + 1)
        await store.mark(ADA, MarkAction.SEEN, Selection(all=True, through=through), LATER)
        assert [state for state, _, _ in await delivery_states(database, ADA)] == ["cancelled", "queued"]

    async def test_delivered_takes_no_version(self, database: Database, store: SqlInboxStore) -> None:
        sent = await store.publish(publication("ada", plan=self.PLAN), START)
        marked = await store.mark(ADA, MarkAction.DELIVERED, ids(sent.id), LATER)
        assert (marked.changed, marked.change, marked.wakeup) == (1, None, None)
        assert marked.head == sent.heads["ada"] == await check_inbox(database, ADA)

    async def test_delivered_is_stored_only_where_it_matters(self, store: SqlInboxStore) -> None:
        sent = await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
        for selection in (ids(sent.id), EVERYTHING):
            marked = await store.mark(ADA, MarkAction.DELIVERED, selection, LATER)
            assert (marked.changed, marked.head) == (0, sent.heads["ada"])
