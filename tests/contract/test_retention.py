"""The contract of `Retention`, of users' own items: what is dropped has been written, and inboxes stay right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.core.archives import made_before
from hub.core.errors import ArchiveUnavailable, StoreUnavailable
from hub.core.model import (
    Channel,
    DeliveryState,
    Hold,
    InboxKey,
    InboxQuery,
    ItemState,
    MarkAction,
    OwnPart,
    Rung,
    Step,
    TimerKind,
)
from hub.ports import DeliveryQueue
from hub.service.retention import Caretaker
from hub.store import retention_drops
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.retention import SqlRetention
from hub.store.tables import attempts, deliveries, inbox_items, metadata, notifications, timers
from tests.support.archive import DAY, MUCH_LATER, MemoryShelf, Told, archive
from tests.support.clock import START, ManualClock
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    EVERYTHING,
    GRACE,
    LATER,
    TENANT,
    ClientView,
    check_inbox,
    fill,
    ids,
    missed,
    publication,
    stored_items,
    table_counts,
)
from tests.support.queue import EMAIL, LEASE, claim_one, settled
from tests.support.rows import Rows, attempt

NEW = START + 50 * DAY
DUE = START + 60_000


@pytest.fixture
def shelf() -> MemoryShelf:
    return MemoryShelf()


async def all_rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    async with database.reader() as connection:
        return [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]


def as_written(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: str(value) if isinstance(value, UUID) else value for name, value in row.items()} for row in rows]


async def test_an_old_notification_is_written_then_dropped(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue, rows: Rows, shelf: MemoryShelf
) -> None:
    old = publication("ada", "grace", plan=[EMAIL_UNLESS_SEEN], now=START)
    await store.publish(old, START)
    await store.mark(GRACE, MarkAction.READ, EVERYTHING, LATER)
    [claim] = await queue.claim(EMAIL, DUE, LEASE, 9)
    calls = [attempt(claim.delivery.id, outcome="ok")]
    await queue.settle([replace(settled(claim, DeliveryState.SENT), attempts=calls, provider_calls=1)], DUE)
    before = {
        "notification": await all_rows(database, notifications),
        "item": await all_rows(database, inbox_items),
        "delivery": await all_rows(database, deliveries),
        "attempt": await all_rows(database, attempts),
    }
    await store.publish(publication("ada", now=NEW), NEW)

    summary = await archive(database, shelf)

    assert (summary.notifications, summary.lines, dict(summary.held)) == (1, 6, {})
    assert list(shelf.files) == [(TENANT, f"{old.content.id}.jsonl.gz")]
    for kind, stored in before.items():
        written = [{name: value for name, value in line.items() if name != "kind"} for line in shelf.of_kind(kind)]
        assert sorted(written, key=repr) == sorted(as_written(stored), key=repr), "every column of every row"
    kinds = [line["kind"] for line in shelf.lines]
    assert kinds[:3] == ["notification", "item", "item"]
    place = kinds.index("attempt")
    assert shelf.lines[place]["delivery_id"] == shelf.lines[place - 1]["id"], "an attempt follows its delivery"
    counts = await table_counts(database)
    assert (counts["notifications"], counts["inbox_items"], counts["deliveries"], counts["attempts"]) == (1, 1, 0, 0)
    assert await store.notification(TENANT, old.content.id) is None
    assert (await check_inbox(database, ADA)).counts == (1, 1)
    assert (await check_inbox(database, GRACE)).counts == (0, 0)


async def test_clients_are_told_and_older_cursors_read_anew(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    old = await fill(store, retention_drops.IDS_AT_ONCE + 3)
    new = (await store.publish(publication("ada", now=NEW), NEW)).id
    await store.mark(ADA, MarkAction.READ, ids(old[0]), NEW)
    view = await ClientView.of(store, ADA)
    told = Told()
    await archive(database, shelf, told=told)
    # As many as fit into what is told: nobody has to read the database for it.
    assert [len(change.ids) for change in told.changes] == [retention_drops.IDS_AT_ONCE, 3]
    assert {identifier for change in told.changes for identifier in change.ids} == set(old)
    for change in told.changes:
        await view.take(store, change)
    await view.assert_equals(database, ADA)
    assert {identifier for identifier, item in view.items.items() if item.state is ItemState.LIVE} == {new}
    head = await check_inbox(database, ADA)
    assert head.floor == head.version
    assert (await missed(store, ADA, head.cursor, 9)).resync is None
    assert (await missed(store, ADA, head.cursor._replace(version=head.version - 1), 9)).resync == "too_old"


async def test_a_wakeup_is_left_until_all_have_been_told(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    await fill(store, 2)
    await store.settle_wakeups([wakeup.id for wakeup in await store.leftover_wakeups(MUCH_LATER, 9)])
    await archive(database, shelf)
    head = await store.head(ADA)
    [left] = await store.leftover_wakeups(MUCH_LATER + 1, 9)
    assert list(left.heads) == [(ADA, head.version)]


async def test_what_had_gone_takes_no_version(database: Database, store: SqlInboxStore, shelf: MemoryShelf) -> None:
    [old] = await fill(store, 1)
    await store.recall(TENANT, old, LATER)
    await store.publish(publication("ada", now=NEW), NEW)
    before = await store.head(ADA)
    told = Told()
    assert (await archive(database, shelf, told=told)).notifications == 1
    after = await check_inbox(database, ADA)
    assert told.changes == []
    assert (after.version, after.counts) == (before.version, before.counts)
    assert after.floor == 2, "whoever has heard of the recall need not read anew"
    assert (await missed(store, ADA, before.cursor._replace(version=2), 9)).resync is None
    assert (await missed(store, ADA, before.cursor._replace(version=1), 9)).resync == "too_old"
    [line] = shelf.of_kind("notification")
    assert line["recalled_at"] == LATER


async def test_what_is_still_wanted_stays(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue, shelf: MemoryShelf
) -> None:
    await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
    await store.publish(publication("grace", plan=[Step(Channel.SMS, 60_000, Rung.NONE)]), START)
    assert await queue.claim(EMAIL, DUE, LEASE, 9)
    await store.publish(publication("ada", deliver_at=START + 200 * DAY), START)
    await store.publish(publication("ada", expires_at=START + 200 * DAY), START)
    snoozed = (await store.publish(publication("ada"), START)).id
    await store.mark(ADA, MarkAction.SNOOZE, ids(snoozed), LATER, until=START + 200 * DAY)
    before = await table_counts(database)
    summary = await archive(database, shelf)
    assert dict(summary.held) == {Hold.DELIVERY: 2, Hold.TIMER: 3}
    assert summary.notifications == 0
    assert shelf.files == {}
    assert await table_counts(database) == before


async def test_only_what_is_older_goes(database: Database, store: SqlInboxStore, shelf: MemoryShelf) -> None:
    for at in (START - 1, START, START + 1):
        await store.publish(publication("ada", now=at), at)
    assert (await archive(database, shelf, older_than=START)).notifications == 1
    assert [line["created_at"] for line in shelf.of_kind("notification")] == [START - 1]


async def test_tenants_have_files_of_their_own(database: Database, store: SqlInboxStore, shelf: MemoryShelf) -> None:
    for tenant in ("acme", TENANT):
        await store.publish(publication("ada", tenant=tenant), START)
    assert (await archive(database, shelf, tenant="acme")).notifications == 1
    assert {tenant for tenant, _ in shelf.files} == {"acme"}
    assert {line["tenant"] for line in shelf.lines} == {"acme"}
    assert (await check_inbox(database, ADA)).counts == (1, 1)
    assert (await check_inbox(database, InboxKey("acme", "ada"))).counts == (0, 0)
    assert await SqlRetention(database).tenants() == [TENANT]


async def test_what_goes_past_the_inbox_goes_too(database: Database, rows: Rows, shelf: MemoryShelf) -> None:
    of_address = await rows.notification(users=(), inbox=False)
    delivery = await rows.delivery(of_address, user=None, address="a@b.example")
    assert dict((await archive(database, shelf)).held) == {Hold.DELIVERY: 1}
    async with database.writer() as connection:
        here = deliveries.c.id == delivery
        await connection.execute(sa.update(deliveries).where(here).values(state="sent", finished_at=DUE))
    assert (await archive(database, shelf)).notifications == 1
    assert shelf.kinds == {"notification": 1, "delivery": 1}
    assert sum((await table_counts(database)).values()) == (await table_counts(database))["meta"]


@pytest.mark.parametrize("what", ["marked", "delivered", "recalled", "snoozed", "to wait"])
async def test_what_changes_while_it_is_written_is_written_again(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf, what: str
) -> None:
    [changed, other] = await fill(store, 2)

    async def change() -> None:
        match what:
            case "marked":
                await store.mark(ADA, MarkAction.READ, ids(changed), NEW)
            case "delivered":
                async with database.writer() as connection:
                    mine = inbox_items.c.notification_id == changed
                    await connection.execute(sa.update(inbox_items).where(mine).values(delivered_at=NEW))
            case "recalled":
                await store.recall(TENANT, changed, NEW)
            case "snoozed":
                await store.mark(ADA, MarkAction.SNOOZE, ids(changed), NEW, until=NEW + 1)
            case "to wait":  # for something that is in no row of its own
                timer = {"id": changed, "tenant": TENANT, "due_at": NEW, "kind": int(TimerKind.UNSNOOZE)}
                async with database.writer() as connection:
                    values = {**timer, "notification_id": changed, "user_id": "ada"}
                    await connection.execute(sa.insert(timers).values(values))

    shelf.before_keeping = change
    summary = await archive(database, shelf)
    assert (summary.notifications, dict(summary.held)) == (1, {Hold.CHANGED: 1})
    assert [item.content.id for item in await stored_items(database, ADA)] == [changed]
    await check_inbox(database, ADA)

    shelf.before_keeping = None
    await store.apply_timers(MUCH_LATER, 9)
    assert (await archive(database, shelf)).notifications == 1
    written = [line["id"] for line in shelf.of_kind("notification")]
    assert sorted(written) == sorted([str(changed), str(other), str(changed)]), "twice, under the same key"
    assert await stored_items(database, ADA) == []
    await check_inbox(database, ADA)


async def test_a_file_that_cannot_be_kept_costs_nothing(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    await fill(store, 2)
    before = await table_counts(database)

    async def full() -> None:
        raise ArchiveUnavailable("full")

    shelf.before_keeping = full
    with pytest.raises(ArchiveUnavailable):
        await archive(database, shelf)
    assert shelf.discarded == 1
    assert await table_counts(database) == before


async def test_two_runs_at_once_drop_everything_once(database: Database, store: SqlInboxStore) -> None:
    await fill(store, 5)
    shelves = [MemoryShelf(), MemoryShelf()]
    summaries = await asyncio.gather(*(archive(database, shelf) for shelf in shelves))
    assert sum(summary.notifications for summary in summaries) == 5
    assert len({line["id"] for shelf in shelves for line in shelf.of_kind("notification")}) == 5
    assert await stored_items(database, ADA) == []
    await check_inbox(database, ADA)


async def test_parts_are_bounded(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large an inbox is, and however many there are: a transaction drops a bounded part."""
    monkeypatch.setattr("hub.service.retention.PART_ROWS", 4)
    monkeypatch.setattr("hub.service.retention.CHUNK", 5)
    await fill(store, 7)
    await store.publish(publication("ada", "grace", "joan", "mary", "rosa", now=LATER + DAY // 2), LATER + DAY // 2)
    parts: list[OwnPart] = []
    drop = retention_drops.drop

    async def watched(connection: AsyncConnection, **named: Any) -> Any:
        parts.append(named["part"])
        return await drop(connection, **named)

    monkeypatch.setattr(retention_drops, "drop", watched)
    summary = await archive(database, shelf)
    assert summary.notifications == 8
    assert len(shelf.files) == 2
    assert [len(part.notifications) for part in parts] == [2, 2, 1, 2, 1]
    for user in ("ada", "grace", "rosa"):
        assert (await check_inbox(database, InboxKey(TENANT, user))).counts == (0, 0)


async def test_publishing_and_marking_go_on_meanwhile(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    await fill(store, 30)
    key = InboxKey(TENANT, "ada")

    async def use() -> None:
        for number in range(20):
            await store.publish(publication("ada", "grace", now=NEW + number), NEW + number)
            await store.mark(key, MarkAction.READ, EVERYTHING, NEW + number)

    await asyncio.gather(use(), archive(database, shelf))
    while (await archive(database, shelf)).notifications:
        pass
    assert (await check_inbox(database, ADA)).counts == (0, 0)
    assert len((await store.page(ADA, InboxQuery(limit=99))).items) == 20
    await check_inbox(database, GRACE)


async def test_a_retry_or_a_claim_holds_it(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue, shelf: MemoryShelf
) -> None:
    """What is claimed between the look and the drop is noticed under the locks."""
    await store.publish(publication("ada", plan=[EMAIL_UNLESS_SEEN]), START)
    claim = await claim_one(queue, DUE)
    assert dict((await archive(database, shelf)).held) == {Hold.DELIVERY: 1}
    await queue.settle([settled(claim, DeliveryState.SENT)], DUE)
    assert (await archive(database, shelf)).notifications == 1


async def test_candidates_come_in_pages(store: SqlInboxStore, database: Database) -> None:
    made = sorted(await fill(store, 5))
    retention = SqlRetention(database)
    before = made_before(MUCH_LATER)
    page = await retention.candidates(TENANT, before, None, 3)
    assert [candidate.id for candidate in page] == made[:3]
    assert [candidate.id for candidate in await retention.candidates(TENANT, before, made[2], 3)] == made[3:]
    assert await retention.candidates(TENANT, before, made[-1], 3) == []
    assert await retention.candidates("acme", before, None, 3) == []
    assert {candidate.rows for candidate in page} == {1}


def test_every_table_of_a_notification_is_archived() -> None:
    """A new table that belongs to notifications, or to users' state of them, is archived too or has a reason here."""
    from hub.store.retention_reads import KINDS  # noqa: PLC0415 - only here

    otherwise = {
        "idempotency": "kept for 7 days, by itself",
        "timers": "what has one stays",
        "wakeups": "news, deleted as it is told",
        "inbox_heads": "the inbox itself",
        "memberships": "who follows what",
        "topics": "the same",
        "shared_logs": "the log itself",
        "schedule_runs": "the log of a schedule, kept with it",
    }
    related = {"notification_id", "delivery_id", "position"}
    of_notifications = {table.name for table in metadata.sorted_tables if related & set(table.c.keys())}
    assert {table.name for table in KINDS} | otherwise.keys() >= of_notifications


async def rounds(caretaker: Caretaker) -> int:
    """Do a whole round, and return in how many steps."""
    steps = 1
    while await caretaker.step():
        steps += 1
    return steps


async def test_maintenance_drops_what_is_older_than_the_setting(
    database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.service.retention.CHUNK", 2)
    await fill(store, 3)
    await store.publish(publication("ada", now=NEW), NEW)
    told, clock = Told(), ManualClock(NEW)
    caretaker = Caretaker(SqlRetention(database), clock, told, 60 * DAY)
    assert await rounds(caretaker) == 1
    assert (await check_inbox(database, ADA)).counts == (4, 4)
    clock.advance(20 * DAY)
    assert await rounds(caretaker) == 3
    assert len(told.changes) == 2
    assert (await check_inbox(database, ADA)).counts == (1, 1)
    clock.advance(100 * DAY)
    assert await rounds(caretaker) == 2
    assert (await table_counts(database))["notifications"] == 0


async def test_maintenance_keeps_everything_unless_it_is_told_to_drop(database: Database, store: SqlInboxStore) -> None:
    await fill(store, 1)
    caretaker = Caretaker(SqlRetention(database), ManualClock(MUCH_LATER), Told(), None)
    assert await rounds(caretaker) == 1
    assert (await check_inbox(database, ADA)).counts == (1, 1)


async def test_maintenance_goes_on_after_an_outage(
    database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, 2)
    retention = SqlRetention(database)
    caretaker = Caretaker(retention, ManualClock(MUCH_LATER), Told(), DAY)
    with monkeypatch.context() as outage:

        async def away(*_: object) -> None:
            raise StoreUnavailable

        outage.setattr(retention, "drop", away)
        with pytest.raises(StoreUnavailable):
            await caretaker.step()
    await rounds(caretaker)
    assert (await table_counts(database))["notifications"] == 0
