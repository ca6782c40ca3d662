"""The contract of `InboxStore.apply_timers`: release, expiry, and the end of a snooze."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hub.core.model import InboxKey, InboxQuery, ItemState, MarkAction
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    EVERYTHING,
    GRACE,
    LATER,
    TENANT,
    ClientView,
    changes_of,
    check_inbox,
    delivery_states,
    fill,
    ids,
    missed,
    publication,
    stored_items,
    table_counts,
)

DUE = START + 60_000


@pytest.fixture
async def other_store(database: Database, database_url: str) -> AsyncIterator[SqlInboxStore]:
    """The same database, opened once more, as by another process."""
    async with await open_database(database_url, exclusive=False) as opened:
        assert opened.cluster == database.cluster
        yield SqlInboxStore(opened)


class TestRelease:
    async def test_pending_items_are_nowhere_until_then(self, database: Database, store: SqlInboxStore) -> None:
        sent = publication("ada", "grace", deliver_at=DUE, plan=[EMAIL_UNLESS_SEEN])
        published = await store.publish(sent, START)
        assert (published.heads, published.wakeup) == ({}, None)
        head = await store.head(ADA)
        assert (head.version, head.counts) == (0, (0, 0))
        assert (await store.page(ADA, InboxQuery())).items == []
        assert await store.item(ADA, published.id) is None
        assert list((await missed(store, ADA, head.cursor, 9)).items) == []
        for action in MarkAction:
            for selection in (ids(published.id), EVERYTHING):
                assert (await store.mark(ADA, action, selection, LATER, until=None)).changed == 0
        assert [state for state, _, _ in await delivery_states(database, ADA)] == ["queued"]
        assert await store.apply_timers(DUE - 1, 9) == []
        assert await store.next_timer() == DUE

    async def test_appears_when_due(self, database: Database, store: SqlInboxStore) -> None:
        earlier = (await fill(store, 1))[0]
        sent = await store.publish(publication("ada", "grace", deliver_at=DUE), START)
        client = await ClientView.of(store, ADA)
        applied = await store.apply_timers(DUE, 9)
        assert [(change.key, change.head.version) for change in changes_of(applied)] == [(ADA, 2), (GRACE, 1)]
        assert len({wakeup for _, wakeup in applied}) == 1
        wakeups = {wakeup.id: list(wakeup.heads) for wakeup in await store.leftover_wakeups(DUE + 1, 9)}
        told = applied[0][1]
        assert told is not None
        assert wakeups[told.id] == [(ADA, 2), (GRACE, 1)]
        for change in changes_of(applied):
            assert change.head == await check_inbox(database, change.key)
            assert change.item == await store.item(change.key, sent.id)
        item = await store.item(ADA, sent.id)
        assert item is not None
        assert (item.state, item.version, item.since, item.appeared_at) == (ItemState.LIVE, 2, 2, DUE)
        await client.take(store, changes_of(applied)[0])
        await client.assert_equals(database, ADA)
        page = await store.page(ADA, InboxQuery())
        assert [item.content.id for item in page.items] == [sent.id, earlier]
        assert await store.next_timer() is None
        assert await store.apply_timers(DUE, 9) == []

    async def test_to_a_thousand_at_once(self, database: Database, store: SqlInboxStore) -> None:
        users = [f"user-{number}" for number in range(1_000)]
        await store.publish(publication(*users, deliver_at=DUE), START)
        assert len(await store.apply_timers(DUE, 1)) == 1_000
        assert (await check_inbox(database, InboxKey(TENANT, users[500]))).counts == (1, 1)


class TestReleaseOfMany:
    """What waits for the same hour appears together: a transaction for each would make the last of them late."""

    async def test_all_appear_with_versions_in_order(self, database: Database, store: SqlInboxStore) -> None:
        sent = [
            publication(*users, now=START + number, deliver_at=DUE + number % 3)
            for number, users in enumerate([("ada",), ("ada", "grace"), ("grace",), ("ada",)] * 5)
        ]
        for each in sent:
            await store.publish(each, LATER)
        client = await ClientView.of(store, ADA)
        applied = await store.apply_timers(DUE + 2, 100)
        assert len({wakeup for _, wakeup in applied}) == 1, "one transaction"
        for key, count in ((ADA, 15), (GRACE, 10)):
            told = [change for change in changes_of(applied) if change.key == key]
            assert [change.head.version for change in told] == list(range(1, count + 1))
            assert told[-1].head == await check_inbox(database, key)
            assert told[-1].head.counts == (count, count)
        for change in changes_of(applied):
            if change.key == ADA:
                await client.take(store, change)
        await client.assert_equals(database, ADA)
        assert await store.next_timer() is None

    async def test_each_tenant_for_itself(self, database: Database, store: SqlInboxStore) -> None:
        for tenant in ("acme", TENANT) * 2:
            await store.publish(publication("ada", tenant=tenant, deliver_at=DUE), START)
        applied = await store.apply_timers(DUE, 100)
        assert len(applied) == 4
        assert len({wakeup for _, wakeup in applied}) == 2
        for tenant in ("acme", TENANT):
            assert (await check_inbox(database, InboxKey(tenant, "ada"))).counts == (2, 2)

    async def test_at_most_as_many_as_asked_for(self, store: SqlInboxStore) -> None:
        for _ in range(5):
            await store.publish(publication("ada", deliver_at=DUE), START)
        assert [len(await store.apply_timers(DUE, 2)) for _ in range(4)] == [2, 2, 1, 0]

    async def test_what_goes_to_many_or_is_not_due_waits_for_its_own_turn(
        self, database: Database, store: SqlInboxStore
    ) -> None:
        crowd = [f"user-{number}" for number in range(11)]
        sent = [
            publication("ada", now=START, deliver_at=DUE),
            publication("ada", *crowd, now=START + 1, deliver_at=DUE + 1),
            publication("ada", now=START + 2, deliver_at=DUE + 2),
            publication("ada", now=START + 3, deliver_at=DUE + 4),
        ]
        for each in sent:
            await store.publish(each, LATER)
        applied = await store.apply_timers(DUE + 3, 100)
        assert len({wakeup for _, wakeup in applied}) == 2
        states = {item.content.id: item.state for item in await stored_items(database, ADA)}
        live, pending = ItemState.LIVE, ItemState.PENDING
        assert [states[each.content.id] for each in sent] == [live, live, live, pending]
        assert (await check_inbox(database, ADA)).counts == (3, 3)

    async def test_of_those_with_one_collapse_key_the_last_stays(
        self, database: Database, store: SqlInboxStore
    ) -> None:
        before = await store.publish(publication("ada", collapse_key="k"), START)
        client = await ClientView.of(store, ADA)
        sent = [
            publication("ada", now=START + number, deliver_at=DUE + at, collapse_key="k", plan=[EMAIL_UNLESS_SEEN])
            for number, at in enumerate([3, 1, 2])
        ]
        for each in sent:
            await store.publish(each, LATER)
        applied = changes_of(await store.apply_timers(DUE + 9, 100))
        assert [change.head.version for change in applied] == list(range(2, 8))
        assert [change.ids for change in applied[::2]] == [(before.id,), (sent[1].content.id,), (sent[2].content.id,)]
        for change in applied:
            await client.take(store, change)
        await client.assert_equals(database, ADA)
        assert [item.content.id for item in (await store.page(ADA, InboxQuery())).items] == [sent[0].content.id]
        assert (await check_inbox(database, ADA)).counts == (1, 1)
        states = sorted(state for state, _, _ in await delivery_states(database, ADA))
        assert states == ["cancelled", "cancelled", "queued"]


class TestExpire:
    async def test_tombstones_items_and_ends_deliveries(self, database: Database, store: SqlInboxStore) -> None:
        sent = await store.publish(publication("ada", "grace", expires_at=DUE, plan=[EMAIL_UNLESS_SEEN]), START)
        await store.mark(GRACE, MarkAction.SEEN, ids(sent.id), LATER)
        client = await ClientView.of(store, ADA)
        cursor = (await store.head(ADA)).cursor
        applied = changes_of(await store.apply_timers(DUE, 9))
        assert [(change.ids, change.fields) for change in applied] == [((sent.id,), {"removed": True})] * 2
        for key in (ADA, GRACE):
            assert (await check_inbox(database, key)).counts == (0, 0)
            assert await store.item(key, sent.id) is None
        await client.take(store, applied[0])
        await client.assert_equals(database, ADA)
        [gone] = (await missed(store, ADA, cursor, 9)).items
        assert (gone.content.id, gone.state, gone.version) == (sent.id, ItemState.GONE, 2)
        [(state, reason, finished_at)] = await delivery_states(database, ADA)
        assert (state, finished_at) == ("expired", DUE)
        assert reason is not None
        assert [state for state, _, _ in await delivery_states(database, GRACE)] == ["cancelled"]
        assert (await store.mark(ADA, MarkAction.READ, ids(sent.id), DUE)).changed == 0

    @pytest.mark.parametrize("action", [None, *MarkAction])
    async def test_counts_stay_right_whatever_was_done(
        self, database: Database, store: SqlInboxStore, action: MarkAction | None
    ) -> None:
        sent = await store.publish(publication("ada", expires_at=DUE, plan=[EMAIL_UNLESS_SEEN]), START)
        await fill(store, 1)
        if action is not None:
            until = DUE + 9 if action is MarkAction.SNOOZE else None
            await store.mark(ADA, action, ids(sent.id), LATER, until=until)
        await store.apply_timers(DUE, 9)
        assert (await check_inbox(database, ADA)).counts == (1, 1)
        assert await store.apply_timers(DUE + 9, 9) == [], "the end of the snooze finds nothing"
        assert (await check_inbox(database, ADA)).counts == (1, 1)

    async def test_before_it_appeared(self, database: Database, store: SqlInboxStore) -> None:
        sent = publication("ada", deliver_at=DUE, expires_at=DUE + 10, plan=[EMAIL_UNLESS_SEEN])
        await store.publish(sent, START)
        async with database.writer() as connection:  # a release that never came
            await connection.exec_driver_sql("DELETE FROM timers WHERE kind = 0")
        await store.apply_timers(DUE + 10, 9)
        assert (await check_inbox(database, ADA)).counts == (0, 0)
        assert [item.state for item in await stored_items(database, ADA)] == [ItemState.GONE]

    async def test_late_release_and_expiry_come_in_order(self, database: Database, store: SqlInboxStore) -> None:
        await store.publish(publication("ada", deliver_at=DUE, expires_at=DUE + 10), START)
        first, second = changes_of(await store.apply_timers(DUE + 99, 9))
        assert first.item is not None
        assert second.fields == {"removed": True}
        assert (await check_inbox(database, ADA)).version == 2

    async def test_addresses_without_inbox(self, database: Database, store: SqlInboxStore) -> None:
        await store.publish(publication(expires_at=DUE), START)
        assert await store.apply_timers(DUE, 9) == []
        assert await store.next_timer() is None
        assert (await table_counts(database))["timers"] == 0


class TestUnsnooze:
    async def test_comes_back_whole(self, database: Database, store: SqlInboxStore) -> None:
        item, other = await fill(store, 2)
        await store.mark(ADA, MarkAction.READ, ids(other), LATER)
        await store.mark(ADA, MarkAction.SNOOZE, EVERYTHING, LATER, until=DUE)
        assert (await check_inbox(database, ADA)).counts == (0, 0)
        client = await ClientView.of(store, ADA)
        applied = changes_of(await store.apply_timers(DUE, 9))
        assert {change.item.content.id for change in applied if change.item is not None} == {item, other}
        for change in applied:
            await client.take(store, change)
        await client.assert_equals(database, ADA)
        assert (await check_inbox(database, ADA)).counts == (1, 1)

    async def test_archived_meanwhile_stays_archived(self, database: Database, store: SqlInboxStore) -> None:
        [item] = await fill(store, 1)
        await store.mark(ADA, MarkAction.SNOOZE, ids(item), LATER, until=DUE)
        await store.mark(ADA, MarkAction.ARCHIVE, ids(item), LATER)
        await store.mark(ADA, MarkAction.UNREAD, ids(item), LATER)
        await store.apply_timers(DUE, 9)
        assert (await check_inbox(database, ADA)).counts == (0, 0)
        assert [each.content.id for each in (await store.page(ADA, InboxQuery(archived=True))).items] == [item]

    async def test_limit(self, store: SqlInboxStore) -> None:
        await fill(store, 3)
        await store.mark(ADA, MarkAction.SNOOZE, EVERYTHING, LATER, until=DUE)
        assert len(await store.apply_timers(DUE, 2)) == 2
        assert len(await store.apply_timers(DUE, 2)) == 1


async def test_two_processes_apply_each_timer_once(
    database: Database, store: SqlInboxStore, other_store: SqlInboxStore
) -> None:
    for number in range(20):
        sent = publication("ada", "grace", now=START + number, deliver_at=DUE, expires_at=DUE + 5)
        await store.publish(sent, START + number)
    for now, version in ((DUE, 20), (DUE + 5, 40)):
        batches = []
        while await store.next_timer() == now:
            batches += await asyncio.gather(*(each.apply_timers(now, 9) for each in (store, other_store) * 2))
        told = [(change.key, change.head.version) for batch in batches for change in changes_of(batch)]
        assert sorted(told) == [(key, number) for key in (ADA, GRACE) for number in range(version - 19, version + 1)]
        assert (await check_inbox(database, ADA)).version == version
