"""The contract of `InboxStore`: publishing, paging. Its siblings: catching up, marks, timers, races."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

import pytest

from hub.core.errors import DataError, IdempotencyConflict
from hub.core.ids import uuid7
from hub.core.model import Channel, InboxKey, InboxQuery, ItemState, MarkAction, Rung, Step
from hub.store.engine import Database
from hub.store.inbox import IDEMPOTENCY_KEPT, SqlInboxStore
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    GRACE,
    LATER,
    TENANT,
    check_inbox,
    fill,
    ids,
    publication,
    table_counts,
)


class TestPublish:
    async def test_writes_everything_in_one_go(self, database: Database, store: SqlInboxStore) -> None:
        sent = publication("grace", "ada", plan=[EMAIL_UNLESS_SEEN], idempotency=("key", b"hash"))
        published = await store.publish(sent, START)
        assert (published.id, published.replayed, published.response) == (sent.content.id, False, None)
        assert {user: (head.version, head.counts) for user, head in published.heads.items()} == {
            "ada": (1, (1, 1)),
            "grace": (1, (1, 1)),
        }
        for key in (ADA, GRACE):
            assert published.heads[key.user] == await check_inbox(database, key)
            item = await store.item(key, published.id)
            assert item is not None
            assert (item.content, item.version, item.since) == (sent.content, 1, 1)
            assert (item.state, item.appeared_at) == (ItemState.LIVE, START)
        [wakeup] = await store.leftover_wakeups(START + 1, 10)
        assert published.wakeup is not None
        assert (wakeup.id, list(wakeup.heads)) == (published.wakeup.id, [(ADA, 1), (GRACE, 1)])
        rows = await table_counts(database)
        assert (rows["notifications"], rows["inbox_items"], rows["deliveries"], rows["idempotency"]) == (1, 2, 2, 1)

    async def test_keeps_every_field(self, store: SqlInboxStore) -> None:
        sent = publication("ada", plan=[Step(Channel.SMS, 5, Rung.NONE), EMAIL_UNLESS_SEEN], expires_at=LATER)
        content = replace(
            sent.content,
            title="Grüße 👋 'quoted' \\ %s :name",
            body="",
            action_url="/orders/1?a=b",
            data='{"ключ":[1,null]}'.encode(),
            actor=b"{}",
        )
        await store.publish(replace(sent, content=content), START)
        item = await store.item(ADA, content.id)
        assert item is not None
        assert item.content == content

    async def test_to_a_thousand(self, database: Database, store: SqlInboxStore) -> None:
        users = [f"user-{number}" for number in range(1_000)]
        random.Random(1).shuffle(users)
        published = await store.publish(publication(*users, plan=[EMAIL_UNLESS_SEEN]), START)
        assert len(published.heads) == 1_000
        assert {head.version for head in published.heads.values()} == {1}
        assert (await table_counts(database))["deliveries"] == 1_000
        state = await store.notification(TENANT, published.id)
        assert state is not None
        assert len(state.items) == len(state.deliveries) == 1_000

    async def test_without_inbox_moves_no_head(self, database: Database, store: SqlInboxStore) -> None:
        published = await store.publish(publication(), START)
        assert (published.heads, published.wakeup) == ({}, None)
        assert (await table_counts(database))["inbox_heads"] == 0

    async def test_keeps_tenants_apart(self, database: Database, store: SqlInboxStore) -> None:
        sent = await store.publish(publication("ada", tenant="acme"), START)
        stranger = InboxKey("acme", "ada")
        assert await store.item(ADA, sent.id) is None
        assert await store.notification(TENANT, sent.id) is None
        assert (await store.head(ADA)).version == 0
        assert (await store.mark(ADA, MarkAction.READ, ids(sent.id), LATER)).changed == 0
        assert (await check_inbox(database, stranger)).counts == (1, 1)

    async def test_same_key_gives_the_first_answer(self, database: Database, store: SqlInboxStore) -> None:
        first = publication("ada", idempotency=("key", b"hash"))
        await store.publish(first, START)
        before = await table_counts(database)
        again = await store.publish(publication("ada", idempotency=("key", b"hash")), LATER)
        assert (again.id, again.replayed, again.response) == (first.content.id, True, first.idempotency[0].response)
        assert (again.heads, again.wakeup) == ({}, None)
        assert await table_counts(database) == before

    async def test_same_key_with_another_body_is_a_conflict(self, database: Database, store: SqlInboxStore) -> None:
        await store.publish(publication("ada", idempotency=("key", b"hash")), START)
        before = await table_counts(database)
        with pytest.raises(IdempotencyConflict):
            await store.publish(publication("grace", idempotency=("key", b"other")), LATER)
        assert await table_counts(database) == before

    async def test_same_key_of_another_tenant_is_another_key(self, store: SqlInboxStore) -> None:
        await store.publish(publication("ada", idempotency=("key", b"hash")), START)
        other = await store.publish(publication("ada", tenant="acme", idempotency=("key", b"other")), START)
        assert not other.replayed

    async def test_keys_are_forgotten_after_seven_days(self, store: SqlInboxStore) -> None:
        sent = publication("ada", idempotency=("key", b"hash"))
        await store.publish(sent, START)
        await store.forget_before(START + IDEMPOTENCY_KEPT)
        assert (await store.publish(publication("ada", idempotency=("key", b"hash")), START)).replayed
        await store.forget_before(START + IDEMPOTENCY_KEPT + 1)
        assert not (await store.publish(publication("ada", idempotency=("key", b"hash")), START)).replayed

    async def test_refused_value_leaves_nothing(self, database: Database, store: SqlInboxStore) -> None:
        before = await table_counts(database)
        bad = [publication("ada", title="\ud800"), publication("ada", "\udfff"), publication("ada", deliver_at=2**70)]
        for sent in bad:
            with pytest.raises(DataError):
                await store.publish(sent, START)
        assert await table_counts(database) == before
        assert (await store.publish(publication("ada"), START)).heads["ada"].version == 1

    async def test_same_id_twice_is_refused_and_leaves_nothing(self, database: Database, store: SqlInboxStore) -> None:
        sent = publication("ada")
        await store.publish(sent, START)
        with pytest.raises(DataError):
            await store.publish(replace(sent, users=("grace", "ada")), START)
        assert (await check_inbox(database, ADA)).version == 1
        assert (await table_counts(database))["inbox_heads"] == 1


class TestPage:
    async def test_pages_through_newest_first(self, store: SqlInboxStore) -> None:
        made = await fill(store, 4)
        same_time = [(await store.publish(publication("ada"), START)).id for _ in range(3)]
        order = [*reversed(made[1:]), *sorted([made[0], *same_time], reverse=True)]
        seen: list[UUID] = []
        after: tuple[int, UUID] | None = None
        for more in (True, True, True, False):
            page = await store.page(ADA, InboxQuery(after=after, limit=2))
            assert page.has_more is more
            assert page.head == await store.head(ADA)
            seen += [item.content.id for item in page.items]
            after = (page.items[-1].appeared_at, page.items[-1].content.id)
        assert seen == order

    async def test_filters(self, store: SqlInboxStore) -> None:
        plain, seen, read, archived, snoozed = await fill(store, 5)
        await store.mark(ADA, MarkAction.SEEN, ids(seen), LATER)
        await store.mark(ADA, MarkAction.READ, ids(read), LATER)
        await store.mark(ADA, MarkAction.ARCHIVE, ids(archived), LATER)
        await store.mark(ADA, MarkAction.SNOOZE, ids(snoozed), LATER, until=LATER + 9)
        order = (await store.publish(publication("ada", category="order.shipped"), START)).id

        async def found(query: InboxQuery) -> set[UUID]:
            return {item.content.id for item in (await store.page(ADA, query)).items}

        assert await found(InboxQuery()) == {plain, seen, read, order}
        assert await found(InboxQuery(unread=True)) == {plain, seen, order}
        assert await found(InboxQuery(unread=False)) == {read}
        assert await found(InboxQuery(unseen=True)) == {plain, order}
        assert await found(InboxQuery(unseen=False)) == {seen, read}
        assert await found(InboxQuery(category="order.shipped")) == {order}
        assert await found(InboxQuery(category="order.shipped", unread=False)) == set()
        assert await found(InboxQuery(archived=True)) == {archived}
        assert await found(InboxQuery(snoozed=True)) == {snoozed}
        await store.mark(ADA, MarkAction.SNOOZE, ids(archived), LATER, until=LATER + 9)
        assert await found(InboxQuery(archived=True)) == {archived}, "an archived item is never lost from sight"
        assert await found(InboxQuery(snoozed=True)) == {snoozed}

    async def test_of_a_user_never_heard_of(self, store: SqlInboxStore) -> None:
        page = await store.page(ADA, InboxQuery())
        assert (list(page.items), page.has_more, page.head.version) == ([], False, 0)
        assert page.head == await store.head(ADA) == await store.head(ADA)


class TestVersions:
    async def test_versions_leave_out_strangers(self, store: SqlInboxStore) -> None:
        await fill(store, 2)
        acme = InboxKey("acme", "ada")
        await store.publish(publication("ada", tenant="acme"), START)
        found = await store.versions([ADA, GRACE, acme, ADA])
        assert found == {ADA: (await store.head(ADA)).cursor, acme: (await store.head(acme)).cursor}
        assert found[ADA].version == 2
        assert await store.versions([]) == {}


class TestWakeups:
    async def test_settled_ones_are_gone(self, store: SqlInboxStore) -> None:
        told = [(await store.publish(publication("ada", now=START + n), START + n)).wakeup for n in range(3)]
        wakeups = [wakeup.id for wakeup in told if wakeup is not None]
        assert [wakeup.id for wakeup in await store.leftover_wakeups(START + 2, 9)] == wakeups[:2]
        assert [wakeup.id for wakeup in await store.leftover_wakeups(START + 9, 1)] == wakeups[:1]
        await store.settle_wakeups([*wakeups[:2], uuid7(START)])
        await store.settle_wakeups([])
        assert [wakeup.id for wakeup in await store.leftover_wakeups(START + 9, 9)] == wakeups[2:]
