"""The contract of `Retention`, of shared notifications: the log loses its beginning, and nobody's count moves."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hub.core import archives
from hub.core.model import (
    BROADCAST,
    Channel,
    Hold,
    InboxKey,
    MarkAction,
    Rung,
    SharedEvent,
    SharedPart,
    Step,
    TopicKey,
)
from hub.ports import Expansions, SharedLog
from hub.store.engine import Database
from hub.store.expansions import SqlExpansions
from hub.store.inbox import SqlInboxStore
from hub.store.retention import SqlRetention
from hub.store.tables import deliveries, inbox_heads, shared_items, shared_log, shared_logs, shared_marks
from tests.support.archive import DAY, MUCH_LATER, MemoryShelf, Told, archive
from tests.support.clock import START
from tests.support.inboxes import ADA, EVERYTHING, GRACE, LATER, TENANT, ids, publication, table_counts
from tests.support.shared_inboxes import Follower, check, shared, to
from tests.support.shared_rows import SharedRows

NEW = START + 50 * DAY
JOAN = InboxKey(TENANT, "joan")
EVERYBODY = (ADA, GRACE, JOAN)
EMAIL = Step(Channel.EMAIL, 0, Rung.NONE)


@pytest.fixture
def shelf() -> MemoryShelf:
    return MemoryShelf()


@pytest.fixture
def expansions(database: Database) -> Expansions:
    return SqlExpansions(database)


@pytest.fixture(autouse=True)
async def inboxes(store: SqlInboxStore) -> None:
    """See to it that everybody's inbox is there before anything is published."""
    for key in EVERYBODY:
        await store.head(key)


async def check_all(database: Database) -> None:
    for key in EVERYBODY:
        await check(database, key)


async def column(database: Database, column_: Any, *conditions: Any) -> list[Any]:
    async with database.reader() as connection:
        return list((await connection.execute(sa.select(column_).where(*conditions).order_by(column_))).scalars())


async def following(store: SqlInboxStore, key: InboxKey) -> Follower:
    follower = Follower(store, key)
    await follower.catch_up()
    return follower


async def test_a_shared_notification_leaves_all_inboxes_and_the_database(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    old = await shared(store, category="old")
    await store.mark(ADA, MarkAction.READ, ids(old), LATER)
    new = await shared(store, now=NEW)
    told = Told()
    summary = await archive(database, shelf, told=told)
    assert (summary.notifications, dict(summary.held)) == (1, {})
    assert told.events == [SharedEvent(TopicKey(TENANT, BROADCAST), 3, 2)]
    assert shelf.kinds == {"notification": 1, "shared_event": 2, "shared_item": 1}
    assert [line["gone_at_position"] for line in shelf.of_kind("shared_event")] == [3, None]
    assert shelf.of_kind("shared_item")[0]["read_at"] == LATER
    assert list(shelf.files) == [(TENANT, f"{old}.jsonl.gz")]
    assert await store.notification(TENANT, old) is None
    await check_all(database)
    assert [item.content.id for item in (await following(store, ADA)).items.values()] == [new]
    assert await column(database, shared_log.c.position) == [2, 3], "the item's is trimmed, as nothing before it lives"
    assert summary.trimmed == 1
    assert await column(database, shared_items.c.position) == []


async def test_older_cursors_read_anew_and_newer_ones_go_on(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    await shared(store)
    away = await following(store, ADA)
    await shared(store, now=NEW)
    retention = SqlRetention(database)
    [candidate] = await retention.candidates(TENANT, archives.made_before(START + DAY), None, 9)
    assert await retention.retire(TENANT, candidate.id, MUCH_LATER) is not None
    present = await following(store, GRACE)
    assert await present.catch_up() is None
    await archive(database, shelf)
    assert await away.catch_up() == "too_old"
    await away.assert_equals(database)
    assert await present.catch_up() is None
    await present.assert_equals(database)
    await shared(store, now=MUCH_LATER)
    for follower in (away, present):
        assert await follower.catch_up() is None
        await follower.assert_equals(database)
    [floor] = await column(database, shared_logs.c.floor)
    assert floor == 3


@pytest.fixture(params=[0, 200])
def settling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.store.shared_heads.SETTLE_AFTER", request.param)


@pytest.mark.usefixtures("settling")
@pytest.mark.parametrize("a_row", [0, 100])
async def test_counts_stay_exact_whatever_was_marked_touched_or_taken_back(  # noqa: PLR0917 - fixtures
    database: Database,
    store: SqlInboxStore,
    log: SharedLog,
    shelf: MemoryShelf,
    monkeypatch: pytest.MonkeyPatch,
    a_row: int,
) -> None:
    """Trimmed or not, settled or not: the hard case, as counts are differences between places in the log."""
    monkeypatch.setattr("hub.store.retention_trim.INBOXES_A_ROW", a_row)
    await log.join(TENANT, "news", ["ada", "grace"], START)
    old = [await shared(store, topic, START + 1 + number) for number, topic in enumerate([BROADCAST, "news"] * 4)]
    await store.mark(ADA, MarkAction.READ, ids(old[0], old[5]), LATER)
    await store.mark(GRACE, MarkAction.SEEN, EVERYTHING, LATER)
    await store.mark(GRACE, MarkAction.UNREAD, ids(old[1]), LATER)
    await store.mark(JOAN, MarkAction.ARCHIVE, EVERYTHING, LATER)
    await store.mark(JOAN, MarkAction.UNARCHIVE, ids(old[2]), LATER)
    await store.mark(JOAN, MarkAction.UNREAD, ids(old[2]), LATER)
    await store.recall(TENANT, old[0], LATER)
    await store.recall(TENANT, old[3], LATER)
    await log.leave(TENANT, "news", ["grace"], LATER)
    new = [await shared(store, topic, NEW + number) for number, topic in enumerate(["news", BROADCAST] * 2)]
    await store.mark(ADA, MarkAction.READ, ids(new[1]), NEW)
    await store.publish(publication("ada", now=NEW), NEW)
    followers = [await following(store, key) for key in EVERYBODY]
    await check_all(database)

    summary = await archive(database, shelf)

    assert summary.notifications == 8
    assert (summary.trimmed > 0) == (a_row > 0)
    await check_all(database)
    for follower in followers:
        await follower.catch_up()
        await follower.assert_equals(database)
    # And from there on.
    await store.recall(TENANT, new[0], MUCH_LATER)
    await store.mark(GRACE, MarkAction.READ, EVERYTHING, MUCH_LATER)
    await store.mark(ADA, MarkAction.UNREAD, ids(new[1]), MUCH_LATER)
    await log.join(TENANT, "news", ["joan", "grace"], MUCH_LATER)
    await shared(store, "news", MUCH_LATER + 1)
    await check_all(database)
    for follower in followers:
        assert await follower.catch_up() is None
        await follower.assert_equals(database)
    assert (await archive(database, shelf, older_than=MUCH_LATER + DAY, now=MUCH_LATER + DAY)).notifications == 6
    await check_all(database)
    for key in EVERYBODY:
        assert (await store.head(key)).counts == (0, 0)


async def test_marks_and_states_before_the_trimmed_go_to_a_file_too(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    await shared(store)
    await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)
    await shared(store, now=NEW)
    await store.mark(ADA, MarkAction.READ, EVERYTHING, NEW)
    marks = await table_counts(database)
    await archive(database, shelf)
    assert set(shelf.files) > {(TENANT, "marks-1.jsonl.gz")}
    written = shelf.of_kind("shared_mark")
    assert [(line["level"], line["position"], line["marked_at"]) for line in written] == [(1, 1, LATER), (2, 1, LATER)]
    assert len(await column(database, shared_marks.c.position)) == marks["shared_marks"] - len(written) == 2
    await check_all(database)


async def test_what_lives_on_holds_the_log_behind_it(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    kept = await shared(store)
    await store.mark(ADA, MarkAction.SNOOZE, ids(kept), LATER, until=START + 200 * DAY)
    for number in range(3):
        await shared(store, now=LATER + number)
    summary = await archive(database, shelf)
    assert (summary.notifications, dict(summary.held), summary.trimmed) == (3, {Hold.TIMER: 1}, 0)
    await check_all(database)
    await store.apply_timers(START + 200 * DAY, 9)
    summary = await archive(database, shelf, now=START + 201 * DAY)
    assert (summary.notifications, summary.trimmed) == (1, 8)
    assert await column(database, shared_log.c.position) == []
    await check_all(database)


async def test_an_audience_is_waited_for(
    database: Database, store: SqlInboxStore, expansions: Expansions, shelf: MemoryShelf
) -> None:
    rows = SharedRows(database)
    await rows.endpoints("ada", Channel.EMAIL)
    await store.publish(to(BROADCAST, plan=[EMAIL]), START)
    assert dict((await archive(database, shelf)).held) == {Hold.EXPANSION: 1}
    [(expansion, _)] = await expansions.due(START, 9, 9)
    await expansions.expand(expansion, START, frozenset({Channel.EMAIL}), 100)
    assert dict((await archive(database, shelf)).held) == {Hold.DELIVERY: 1}
    async with database.writer() as connection:
        await connection.execute(sa.update(deliveries).values(state="sent", finished_at=LATER))
    assert (await archive(database, shelf)).notifications == 1
    assert shelf.kinds == {"notification": 1, "shared_event": 2, "expansion": 1, "delivery": 1}
    counts = await table_counts(database)
    assert (counts["deliveries"], counts["expansions"], counts["notifications"]) == (0, 0, 0)


async def test_many_members_go_part_by_part(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.service.retention.MEMBERS", 3)
    monkeypatch.setattr("hub.service.retention.PASSED", 2)
    monkeypatch.setattr("hub.service.retention.TRIMMED", 1)
    keys = [InboxKey(TENANT, f"user-{number}") for number in range(7)]
    for key in keys:
        await store.head(key)
    old = await shared(store)
    await shared(store, now=NEW)
    for key in keys:
        await store.mark(key, MarkAction.READ, ids(old), LATER)
    summary = await archive(database, shelf)
    assert (summary.notifications, shelf.kinds["shared_item"]) == (1, 7)
    assert await column(database, shared_items.c.position) == []
    for key in [*keys, *EVERYBODY]:
        assert (await check(database, key)).counts == (1, 1)


async def test_rows_that_come_late_are_written_before_they_are_dropped(
    database: Database, store: SqlInboxStore, shelf: MemoryShelf
) -> None:
    """A mark that began before the item went may end after the file was written."""
    old = await shared(store)
    await store.mark(ADA, MarkAction.READ, ids(old), LATER)
    rows = SharedRows(database)

    async def late() -> None:
        await rows.touch(old, "grace", position=1, seen_at=LATER)

    shelf.before_keeping = late
    summary = await archive(database, shelf)
    assert (summary.notifications, dict(summary.held)) == (0, {Hold.CHANGED: 1})
    assert await store.notification(TENANT, old) is not None
    shelf.before_keeping = None
    assert (await archive(database, shelf)).notifications == 1
    assert {line["user_id"] for line in shelf.of_kind("shared_item")} == {"ada", "grace"}


async def test_what_is_live_is_never_dropped(database: Database, store: SqlInboxStore) -> None:
    """Not even by a caller who forgot to retire it."""
    live = await shared(store)
    retention = SqlRetention(database)
    part = SharedPart(TENANT, live)
    read = await retention.read(part)
    assert not (await retention.drop(part, archives.digests(read), MUCH_LATER)).done
    assert await store.notification(TENANT, live) is not None


async def test_recalled_before_it_appeared(database: Database, store: SqlInboxStore, shelf: MemoryShelf) -> None:
    never = await shared(store, deliver_at=START + 10 * DAY)
    await store.recall(TENANT, never, LATER)
    assert (await archive(database, shelf)).notifications == 1
    assert shelf.kinds == {"notification": 1}
    await check_all(database)


async def test_other_tenants_logs_are_left_alone(database: Database, store: SqlInboxStore, shelf: MemoryShelf) -> None:
    elsewhere = InboxKey("acme", "ada")
    await store.head(elsewhere)
    for tenant in ("acme", TENANT):
        await shared(store, tenant=tenant)
    await archive(database, shelf, tenant=TENANT)
    assert (await check(database, elsewhere)).counts == (1, 1)
    assert {line["tenant"] for line in shelf.lines} == {TENANT}
    assert await column(database, shared_logs.c.floor) == [0, 2]
    assert await column(database, inbox_heads.c.read_mark, inbox_heads.c.tenant == "acme") == [0]
