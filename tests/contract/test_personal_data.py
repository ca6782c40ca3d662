"""The contract of `PersonalData`: all of a user is handed over, and all of it can be erased."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from hub.core import exports
from hub.core.model import (
    Channel,
    DeliveryState,
    InboxKey,
    InboxQuery,
    ItemState,
    MarkAction,
    Person,
    Priority,
    Publication,
    Rung,
    Step,
)
from hub.core.views import rfc3339
from hub.ports import DeliveryQueue, PersonalData, SharedLog
from hub.store import erasure, heads
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.tables import metadata
from tests.support.clock import START
from tests.support.inboxes import (
    ADA,
    EMAIL_UNLESS_SEEN,
    EVERYTHING,
    GRACE,
    LATER,
    TENANT,
    check_inbox,
    fill,
    ids,
    missed,
    publication,
    stored_items,
    table_counts,
)
from tests.support.queue import EMAIL, LEASE, claim_one, settled
from tests.support.shared_inboxes import shared

DUE = START + 60_000
ELSEWHERE = InboxKey("acme", "ada")

NOT_HANDED_OVER = {
    "tenant": "the caller's own",
    "user_id": "said once, at the top",
    "attempts.delivery_id": "they stand inside their delivery",
    "deliveries.address": "set instead of a user",
    "deliveries.attempts": "they are listed",
    "deliveries.claims": "the queue's",
    "deliveries.created_at": "the notification's",
    "deliveries.fence": "the queue's",
    "deliveries.forgiven": "the queue's",
    "deliveries.lease_until": "the queue's",
    "deliveries.notification_id": "they stand inside their notification",
    "deliveries.priority": "the notification's",
    "deliveries.position": "of the shared log",
    "delivery_events": "what operators and workers did about a delivery",
    "devices.token": "a secret: its end is told",
    "inbox_heads.epoch": "of cursors",
    "inbox_heads.floor": "of cursors",
    "inbox_items.category": "the notification's",
    "inbox_items.collapse_key": "the notification's",
    "inbox_items.notification_id": "they stand inside their notification",
    "inbox_items.since": "of cursors",
    "notifications.audience": "how it is stored",
    "notifications.inbox": "there is an item, or none",
    "notifications.plan": "its steps are the deliveries",
    "revocations.made_at": "the nodes'",
    "inbox_heads.joined": "of the shared log",
    "inbox_heads.settled": "of the shared log",
    "inbox_heads.shared_unread": "in the counts",
    "inbox_heads.shared_unseen": "in the counts",
    "inbox_heads.seen_mark": "of the shared log",
    "inbox_heads.read_mark": "of the shared log",
    "inbox_heads.archived_mark": "of the shared log",
    "memberships": "as topics: see test_what_is_shared_with_a_user",
    "notifications.topic": "its member's topics are told",
    "schedule_recipients": "its schedules are told",
    "schedule_runs": "the schedule's; what was published is told as a notification",
    "schedules.dealt_with": "the scheduler's",
    "schedules.every_ms": "set instead of cron",
    "schedules.next_at": "there is none while it is paused",
    "schedules.notification": "its fields are told, but not who else it is for",
    "schedules.once_at": "set instead of cron",
    "schedules.records": "the log's",
    "schedules.revision": "the scheduler's",
    "shared_items": "as items: see test_what_is_shared_with_a_user",
    "shared_marks": "items have the times",
    "tickets": "hashes of secrets, good for seconds",
    "timers": "the item says when it comes back",
}
"""Columns (or tables) of which an export says nothing, and why. A new column is handed over, or has a reason here."""

HELD_OTHERWISE = {"wakeups": "news that is told, and with that deleted, within seconds"}
"""Tables that name users without a column for it."""

KEPT = {"revocations"}
"""Without it, tokens that were refused would be good again."""

WORDS: dict[str, object] = {
    "inbox_heads.shared_unread": 0,
    "inbox_heads.shared_unseen": 0,
    "inbox_items.state": int(ItemState.LIVE),
    "deliveries.state": DeliveryState.SENT.value,
    "deliveries.channel": Channel.EMAIL.value,
    "deliveries.when": "away",
    "deliveries.unless": int(Rung.READ),
    "deliveries.address": None,
    "deliveries.priority": int(Priority.HIGH),
    "notifications.priority": int(Priority.HIGH),
    "notifications.audience": 0,
    "notifications.inbox": True,
    "notifications.plan": '[["email", 0, 3, "away"]]',
    "notifications.data": '{"of": "notifications.data of ada-5f1c"}',
    "notifications.actor": '{"of": "notifications.actor of ada-5f1c"}',
    "timers.kind": 2,
    "schedules.cron": "0 9 * * *",
    "schedules.timezone": "Europe/Berlin",
    "schedules.once_at": None,
    "schedules.every_ms": None,
    "schedules.missed": "all",
}
"""What has to be one of a few words."""

SHOWN: Mapping[str, str] = {
    "inbox_items.state": "live",
    "deliveries.unless": "read",
    "notifications.priority": "high",
    "notifications.data": "notifications.data of ada-5f1c",
    "notifications.actor": "notifications.actor of ada-5f1c",
}
"""What is shown in another word than it is stored in."""

TIMES = ("_at", "_until", "_before")
"""How the columns are called that hold a time."""


def tables_of_users() -> list[sa.Table]:
    """Return the tables with a column for a user, and those that stand behind them."""
    behind = {"notifications", "attempts", "delivery_events", "schedules", "schedule_runs"}
    return [table for table in metadata.sorted_tables if "user_id" in table.c or table.name in behind]


class Filler:
    """Rows in every table of users, in which every column says something of its own."""

    def __init__(self, key: InboxKey) -> None:
        self.key = key
        self.notification, self.delivery, self.schedule = uuid4(), uuid4(), uuid4()
        self.numbers = iter(range(1_000_003, 2_000_000, 7))

    def row(self, table: sa.Table) -> dict[str, Any]:
        return {column.name: self.value(table, column) for column in table.c}

    def value(self, table: sa.Table, column: sa.Column[Any]) -> object:
        name = f"{table.name}.{column.name}"
        fixed: dict[str, object] = {
            "tenant": self.key.tenant,
            "user_id": self.key.user,
            "notification_id": self.notification,
            "delivery_id": self.delivery,
            "schedule_id": self.schedule,
            "schedules.id": self.schedule,
            "schedules.notification": f'{{"recipients": ["{self.key.user}"], "title": "t"}}',
            "notifications.id": self.notification,
            "deliveries.id": self.delivery,
        }
        for known in (name, column.name):
            if known in fixed | WORDS:
                return (fixed | WORDS)[known]
        number = next(self.numbers) + (START if column.name.endswith(TIMES) else 0)
        made: Mapping[type, object] = {
            sa.Uuid: uuid4(),
            sa.BigInteger: number,
            sa.Integer: number,
            sa.SmallInteger: number % 30_000,
            sa.LargeBinary: uuid4().bytes,
            sa.Boolean: True,
            sa.Text: f"{name} of {self.key.user}",
        }
        return made[type(column.type)]


def shown(name: str, value: object) -> object:
    """Return how an export shows a column's value."""
    if name in SHOWN:
        return SHOWN[name]
    if isinstance(value, int):
        return rfc3339(value) if name.endswith(TIMES) else value
    return value if isinstance(value, str) else str(value)


def values_in(whole: object) -> Iterator[object]:
    """List what stands in a JSON value, without the names."""
    if isinstance(whole, dict | list):
        for inner in whole.values() if isinstance(whole, dict) else whole:
            yield from values_in(inner)
    else:
        yield whole


async def export(personal: PersonalData, key: InboxKey, limit: int = 2) -> dict[str, Any]:
    """Put an export together as the use case does."""
    text = exports.opening(key.user, await personal.person(key), LATER)
    after, schedules = None, []
    while found := await personal.schedules(key, after, limit):
        assert len(found) <= limit
        schedules += [msgspec.json.encode(exports.named_in_view(each)) for each in found]
        after = found[-1].id
    text += b",".join(schedules) + exports.BETWEEN
    after, written = None, []
    while page := await personal.notifications(key, after, limit):
        assert len(page) <= limit
        written += [msgspec.json.encode(exports.notification_view(held)) for held in page]
        after = page[-1].content.id
    whole: dict[str, Any] = msgspec.json.decode(text + b",".join(written) + exports.CLOSING)
    return whole


async def erase(personal: PersonalData, key: InboxKey) -> int:
    steps = 0
    while await personal.erase_some(key):
        steps += 1
    return steps


async def mentions(database: Database, text: str) -> set[str]:
    """Return the tables in which a text stands anywhere."""
    found = set()
    async with database.reader() as connection:
        for table in metadata.sorted_tables:
            if any(text in repr(tuple(row)) for row in await connection.execute(sa.select(table))):
                found.add(table.name)
    return found


async def rows_of(database: Database, key: InboxKey) -> dict[str, list[str]]:
    async with database.reader() as connection:
        return {
            table.name: sorted(
                repr(tuple(row))
                for row in await connection.execute(
                    sa.select(table).where(table.c.tenant == key.tenant, table.c.user_id == key.user)
                )
            )
            for table in metadata.sorted_tables
            if "user_id" in table.c
        }


class TestEveryTable:
    """Goes by what the tables are, so that whoever adds one is reminded."""

    async def _fill(self, database: Database, key: InboxKey) -> dict[str, dict[str, Any]]:
        filler = Filler(key)
        rows = {table.name: filler.row(table) for table in tables_of_users()}
        async with database.writer() as connection:
            for table in tables_of_users():
                await connection.execute(sa.insert(table), rows[table.name])
        return rows

    async def test_all_columns_are_handed_over_or_have_a_reason_not_to_be(
        self, database: Database, personal: PersonalData
    ) -> None:
        key = InboxKey(TENANT, "ada-5f1c")
        rows = await self._fill(database, key)
        found = set(values_in(await export(personal, key)))
        reasons = set(NOT_HANDED_OVER)
        for table, row in rows.items():
            for column, value in row.items():
                why = {column, table, f"{table}.{column}"} & set(NOT_HANDED_OVER)
                reasons -= why
                if not why:
                    assert shown(f"{table}.{column}", value) in found, f"{table}.{column} is not handed over"
        assert reasons == set(), "reasons for columns that there are not"
        assert rows["devices"]["token"] not in found
        assert "…" + rows["devices"]["token"][-4:] in found

    async def test_nothing_is_left_anywhere(self, database: Database, personal: PersonalData) -> None:
        key = InboxKey(TENANT, "ada-5f1c")
        others = InboxKey(TENANT, "grace"), InboxKey("acme", "ada-5f1c")
        for each in (key, *others):
            await self._fill(database, each)
        before = [await rows_of(database, other) for other in others]
        assert await mentions(database, "ada-5f1c") == {table.name for table in tables_of_users()}
        await erase(personal, key)
        left = {name for name, rows in (await rows_of(database, key)).items() if rows}
        assert left == KEPT
        assert [await rows_of(database, other) for other in others] == before
        for other in others:
            await erase(personal, other)
        assert await mentions(database, "ada-5f1c") == KEPT

    def test_no_other_table_names_users(self) -> None:
        """By the comments of their columns."""
        others = [table for table in metadata.sorted_tables if table not in tables_of_users()]
        assert {each.name for each in others if any("user" in (column.comment or "") for column in each.c)} <= set(
            HELD_OTHERWISE
        )


def past_the_inbox(sent: Publication) -> Publication:
    return replace(sent, content=replace(sent.content, inbox=False), users=())


async def test_nobody_is_nothing(personal: PersonalData) -> None:
    assert await personal.person(ADA) == Person()
    assert not Person().known
    assert await personal.notifications(ADA, None, 9) == []
    assert await erase(personal, ADA) == 0


async def test_notifications_come_once_and_in_order_whatever_leads_to_them(
    store: SqlInboxStore, personal: PersonalData
) -> None:
    plan = [Step(Channel.EMAIL, 0), Step(Channel.SMS, 0)]
    sent = [publication("ada", now=START + number, plan=plan[: number % 3]) for number in range(9)]
    sent[2], sent[5] = past_the_inbox(sent[2]), past_the_inbox(sent[5])
    for each in sent:
        await store.publish(each, LATER)
    for limit in (1, 2, 100):
        found = (await export(personal, ADA, limit))["notifications"]
        assert [each["id"] for each in found] == [str(each.content.id) for each in sent]
        assert [each["item"] is None for each in found] == [number in {2, 5} for number in range(9)]
        assert [len(each["deliveries"]) for each in found] == [number % 3 for number in range(9)]


async def test_the_inbox_is_right_after_every_step(
    database: Database, store: SqlInboxStore, personal: PersonalData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be broken off, and read, in between: counts are exact, and who comes back reads anew."""
    monkeypatch.setattr(erasure, "ERASED_AT_ONCE", 2)
    first, second, *_ = await fill(store, 5)
    await store.mark(ADA, MarkAction.READ, ids(first), LATER)
    await store.mark(ADA, MarkAction.SNOOZE, ids(second), LATER, until=DUE)
    await store.publish(publication("ada", now=LATER, deliver_at=DUE), LATER)
    cursor = (await store.head(ADA)).cursor
    for left in (4, 2, 0):
        assert await personal.erase_some(ADA)
        head = await check_inbox(database, ADA)
        assert len(await stored_items(database, ADA)) == left
        assert (await missed(store, ADA, cursor, 100)).resync == "too_old"
    assert head.counts == (0, 0)
    assert await erase(personal, ADA) == 1
    assert (await missed(store, ADA, cursor, 100)).resync == "unknown_epoch"
    rows = await table_counts(database)
    assert (rows["notifications"], rows["inbox_items"], rows["timers"]) == (0, 0, 0)


async def test_what_others_have_too_stays_theirs(
    database: Database, store: SqlInboxStore, personal: PersonalData
) -> None:
    both = publication("ada", "grace", plan=[EMAIL_UNLESS_SEEN], expires_at=DUE)
    [to_ada] = publication("ada", plan=[EMAIL_UNLESS_SEEN]).deliveries
    with_address = past_the_inbox(publication("ada", plan=[EMAIL_UNLESS_SEEN]))
    with_address = replace(
        with_address, deliveries=(*with_address.deliveries, replace(to_ada, id=uuid4(), user=None, address="a@b.c"))
    )
    elsewhere = publication("ada", tenant="acme", plan=[EMAIL_UNLESS_SEEN])
    for sent in (both, with_address, elsewhere, publication("ada")):
        await store.publish(sent, START)
    await erase(personal, ADA)
    rows = await table_counts(database)
    assert (rows["notifications"], rows["inbox_items"], rows["deliveries"], rows["timers"]) == (3, 2, 3, 1)
    assert (await check_inbox(database, GRACE)).counts == (1, 1)
    assert (await check_inbox(database, ELSEWHERE)).counts == (1, 1)
    await store.apply_timers(DUE, 9)
    assert (await check_inbox(database, GRACE)).counts == (0, 0)


async def test_what_a_worker_holds_is_not_sent(
    database: Database, store: SqlInboxStore, queue: DeliveryQueue, personal: PersonalData
) -> None:
    await store.publish(publication("ada", plan=[Step(Channel.EMAIL, 0, Rung.NONE)]), START)
    claim = await claim_one(queue)
    await erase(personal, ADA)
    assert await queue.rung(claim.delivery.id, TENANT, claim.delivery.fence) is None
    assert await queue.settle([settled(claim, DeliveryState.SENT)], LATER) == []
    assert await queue.claim(EMAIL, LATER, LEASE, 9) == []
    rows = await table_counts(database)
    assert (rows["deliveries"], rows["attempts"], rows["notifications"]) == (0, 0, 0)


async def test_two_who_shared_everything_at_once(
    database: Database, store: SqlInboxStore, personal: PersonalData
) -> None:
    """Each could take the other for the one who still has it."""
    await store.publish(publication("ada", "grace", plan=[EMAIL_UNLESS_SEEN]), LATER)
    if database.dialect == "sqlite":  # has a single writer
        await asyncio.gather(erase(personal, ADA), erase(personal, GRACE))
    else:
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with database.writer() as first:
            await erasure.erase_some(first, ADA)
            second = asyncio.ensure_future(erase(personal, GRACE))
            async with database.writer() as onlooker:
                while not second.done() and (await onlooker.execute(waiting)).scalar_one() == 0:
                    pass  # asking gives way to the others
        await second
        await erase(personal, ADA)
    rows = await table_counts(database)
    assert (rows["notifications"], rows["inbox_items"], rows["deliveries"], rows["inbox_heads"]) == (0, 0, 0, 0)


async def test_while_others_publish_mark_and_read(
    database: Database, store: SqlInboxStore, personal: PersonalData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever publishes reaches everybody, and whoever reads finds an inbox; what comes after is the user's anew."""
    monkeypatch.setattr(erasure, "ERASED_AT_ONCE", 3)
    await fill(store, 12)
    users = ("ada", "grace", "zoe")

    async def publish(number: int) -> None:
        for each in range(6):
            now = START + number * 100 + each
            deliver_at = LATER if each == 3 else None
            sent = publication(*users, now=now, plan=[EMAIL_UNLESS_SEEN], deliver_at=deliver_at)
            published = await store.publish(sent, now)
            assert set(published.heads) == (set() if deliver_at else {*users})

    async def look() -> None:
        for _ in range(10):
            await store.mark(ADA, MarkAction.SEEN, EVERYTHING, LATER)
            await store.page(ADA, InboxQuery())
            await store.catch_up([(ADA, None), (GRACE, None)], 9)
            await store.apply_timers(LATER, 9)

    with capture_logs() as logs:
        await asyncio.gather(
            *(publish(number) for number in range(3)), look(), *(erase(personal, ADA) for _ in range(4))
        )
    causes = {line.get("cause") for line in logs if line["event"] == "transaction_repeated"}
    assert causes <= {"NoneType"}, "nobody waited in a circle; an inbox may have gone from under somebody"
    await store.apply_timers(LATER, 99)
    for user in users:
        await check_inbox(database, InboxKey(TENANT, user))
    assert (await check_inbox(database, GRACE)).counts == (18, 18)
    await erase(personal, ADA)
    assert {name for name, found in (await rows_of(database, ADA)).items() if found} == set()
    assert len(await stored_items(database, GRACE)) == 18


async def test_an_inbox_that_goes_between_two_looks_is_made_anew(
    database: Database, store: SqlInboxStore, personal: PersonalData, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = heads._lock
    looks = 0

    async def too_late(connection: AsyncConnection, keys: Sequence[InboxKey]) -> heads.Heads:
        nonlocal looks
        looks += 1
        found = await lock(connection, keys)
        return {key: head for key, head in found.items() if looks > 1 or key != ADA}

    monkeypatch.setattr(heads, "_lock", too_late)
    published = await store.publish(publication("ada", "grace"), START)
    assert (set(published.heads), looks) == ({"ada", "grace"}, 2)
    assert (await check_inbox(database, ADA)).counts == (1, 1)


def test_ids_are_ordered_alike_on_both_databases() -> None:
    """Pages go by ids: as text in one, as numbers in the other."""
    made = [uuid4() for _ in range(100)]
    assert sorted(made) == sorted(made, key=lambda each: each.hex) == sorted(made, key=lambda each: each.bytes)


async def test_what_is_shared_with_a_user(
    database: Database, store: SqlInboxStore, log: SharedLog, personal: PersonalData
) -> None:
    """Topics and shared items are handed over with what the user did to them; others keep theirs."""
    for key in (ADA, GRACE):
        await store.head(key)
    await log.join(TENANT, "news", [ADA.user, GRACE.user], START)
    await log.join(TENANT, "old", [ADA.user], START)
    await log.leave(TENANT, "old", [ADA.user], START)
    own = await store.publish(publication("ada", now=START), LATER)
    read, gone = await shared(store, "news"), await shared(store, "news")
    for_all, elsewhere = await shared(store), await shared(store, "old")
    await store.recall(TENANT, gone, LATER)
    await store.mark(ADA, MarkAction.READ, ids(read), LATER)
    for limit in (1, 100):
        whole = await export(personal, ADA, limit)
        assert whole["topics"] == [{"topic": "news", "member": True}, {"topic": "old", "member": False}]
        found = {each["id"]: each["item"]["read_at"] for each in whole["notifications"]}
        assert found == {str(own.id): None, str(read): rfc3339(LATER), str(for_all): None}
    assert str(elsewhere) not in found, "it came after she had left"
    graces = await export(personal, GRACE)
    await erase(personal, ADA)
    assert not any((await rows_of(database, ADA)).values())
    assert await export(personal, GRACE) == graces
    assert (await store.head(ADA)).counts == (0, 0), "who comes anew sees what is published from then on"
