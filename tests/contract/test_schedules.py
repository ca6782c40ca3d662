"""What every `ScheduleStore` promises with the `InboxStore` beside it, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from hub.core import scheduling
from hub.core.errors import IdempotencyConflict, InvalidRequest, RunTaken
from hub.core.model import IdempotencyRecord, InboxKey, Once, Published, RunOutcome, RunRecord
from hub.ports import NewSchedule, PersonalData
from hub.store import inbox_publish, schedule_recipients
from hub.store.engine import Database
from hub.store.inbox import SqlInboxStore
from hub.store.inbox_publish import Publish
from hub.store.schedule_moves import KEPT_RECORDS
from hub.store.schedules import SqlScheduleStore
from tests.support.clock import START
from tests.support.inboxes import ADA, GRACE, check_inbox, publication, stored_items, table_counts
from tests.support.schedules import DAY, HOUR, MINUTE, added, found, move_of, moved, run_of, schedule

LIMIT = 1_000


@pytest.fixture
def made(database: Database) -> SqlScheduleStore:
    return SqlScheduleStore(database)


@pytest.mark.parametrize(
    "fields",
    [
        {"at": "2027-01-16T08:00:00Z", "name": "Once"},
        {"every": 90, "start": "2027-01-01T00:00:00.123Z", "end": "2028-01-01T00:00:00Z", "missed": "all"},
        {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "missed": "skip"},
        {"cron": "0 0 L * *", "start": "2027-02-01T00:00:00Z"},
    ],
)
async def test_a_schedule_is_read_as_it_was_stored(made: SqlScheduleStore, fields: dict[str, Any]) -> None:
    one = await added(made, **fields)
    assert await made.get("default", one.id) == one
    assert await made.get("acme", one.id) is None
    assert await made.log("default", one.id) == []


async def test_pages(made: SqlScheduleStore) -> None:
    assert await made.page("default", None, 10) == []
    stored = [await added(made, schedule(now=START + number)) for number in range(5)]
    await added(made, schedule("acme"))
    listed = await made.page("default", None, 3)
    assert listed == [replace(each, notification=b"") for each in stored[:3]]
    assert [each.id for each in await made.page("default", listed[-1].id, 3)] == [each.id for each in stored[3:]]


async def test_the_limit_is_each_tenants(made: SqlScheduleStore, store: SqlInboxStore) -> None:
    first = await added(made, at="2027-01-16T08:00:00Z")
    await made.add(NewSchedule(schedule(), b""), 2)
    with pytest.raises(InvalidRequest, match="BELLWIRE_SCHEDULES_PER_TENANT"):
        await made.add(NewSchedule(schedule(), b""), 2)
    await made.add(NewSchedule(schedule("acme"), b""), 2)
    await store.publish(run_of(first), START)
    assert await made.add(NewSchedule(schedule(), b""), 2) is None, "one that has ended does not count"


async def test_asked_for_twice_under_one_key_it_is_there_once(made: SqlScheduleStore, database: Database) -> None:
    def keyed(key: str, body: bytes, tenant: str = "default") -> NewSchedule:
        one = schedule(tenant)
        answer = str(one.id).encode()
        return NewSchedule(one, answer, IdempotencyRecord("schedule", key, body, answer))

    first = keyed("k", b"1")
    answers = await asyncio.gather(*(made.add(each, LIMIT) for each in [first, *(keyed("k", b"1") for _ in range(5))]))
    assert answers.count(None) == 1
    [answer] = set(answers) - {None}
    assert await made.add(keyed("k", b"1"), 0) == answer, "also where there is no room for more"
    with pytest.raises(IdempotencyConflict):
        await made.add(keyed("k", b"2"), LIMIT)
    assert await made.add(keyed("k", b"1", "acme"), LIMIT) is None
    assert (await table_counts(database))["schedules"] == 2


async def test_what_is_refused_leaves_its_key_free(made: SqlScheduleStore) -> None:
    one = schedule()
    new = NewSchedule(one, b"", IdempotencyRecord("schedule", "k", b"", b""))
    with pytest.raises(InvalidRequest):
        await made.add(new, 0)
    assert await made.add(new, 1) is None


async def test_a_run_and_its_move_are_one(made: SqlScheduleStore, store: SqlInboxStore, database: Database) -> None:
    one = await added(made)
    run = run_of(one)
    assert run.move is not None
    published = await store.publish(run, START + HOUR)
    assert set(published.heads) == {"ada", "grace"}
    assert await found(made, one.id) == moved(one, run.move, START + HOUR)
    assert await made.log("default", one.id) == [
        RunRecord(START + HOUR, RunOutcome.FIRED, START + HOUR, notification=run.content.id)
    ]
    for again in (run, run_of(one)):
        with pytest.raises(RunTaken):
            await store.publish(again, START + HOUR)
    assert (await table_counts(database))["notifications"] == 1
    assert (await check_inbox(database, ADA)).counts == (1, 1)


async def test_the_last_run_ends_it(made: SqlScheduleStore, store: SqlInboxStore) -> None:
    one = await added(made, at="2027-01-16T08:00:00Z")
    assert isinstance(one.timing, Once)
    assert await made.next_due() == one.timing.at
    await store.publish(run_of(one), one.timing.at)
    ended = await found(made, one.id)
    assert (ended.next_at, ended.ended_at) == (None, one.timing.at)
    assert await made.next_due() is None
    assert await made.due(START + 9 * DAY, 9) == []


async def test_of_many_who_make_a_run_at_once_one_does(made: SqlScheduleStore, database: Database) -> None:
    """Each with a store of its own, as so many processes."""
    many = [await added(made) for _ in range(5)]
    stores = [SqlInboxStore(database) for _ in range(4)]
    answers = await asyncio.gather(
        *(store.publish_all([run_of(one) for one in many], START + HOUR) for store in stores)
    )
    for outcomes in zip(*answers, strict=True):
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Published", *["RunTaken"] * 3]
    assert (await table_counts(database))["notifications"] == 5
    assert (await check_inbox(database, GRACE)).counts == (5, 5)


async def test_of_one_group_only_what_is_ours_is_stored(
    made: SqlScheduleStore, store: SqlInboxStore, database: Database
) -> None:
    """Runs that were taken, twins, runs by hand and what others publish, all in one transaction."""
    one, taken = await added(made), await added(made)
    await store.publish(run_of(taken), START + HOUR)
    by_hand = scheduling.run_by_hand(one, START + HOUR)
    first, twin = run_of(one), run_of(one)
    keyed = publication("ada", idempotency=("k", b"1"))
    group = [run_of(taken), keyed, first, by_hand, twin, publication("ada", idempotency=("k", b"1"))]
    outcomes = await store.publish_all(group, START + HOUR)
    assert [type(outcome) for outcome in outcomes] == [RunTaken, Published, Published, Published, RunTaken, Published]
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Published)] == [
        keyed.content.id,
        first.content.id,
        by_hand.content.id,
        keyed.content.id,
    ]
    log = await made.log("default", one.id)
    assert [(each.by_hand, each.notification) for each in log] == [
        (True, by_hand.content.id),
        (False, first.content.id),
    ]
    assert (await table_counts(database))["notifications"] == 4
    assert len(await stored_items(database, ADA)) == 4


async def test_a_run_that_is_spoilt_leaves_the_schedule_due(
    made: SqlScheduleStore, store: SqlInboxStore, database: Database
) -> None:
    """And the others of its group are stored."""
    one, other = await added(made), await added(made)
    run = run_of(one)
    spoilt = replace(run, content=replace(run.content, title="\ud800"))
    outcomes = await store.publish_all([spoilt, run_of(other)], START + HOUR)
    assert isinstance(outcomes[0], Exception)
    assert isinstance(outcomes[1], Published)
    assert [each.id for each in await made.due(START + HOUR, 9)] == [one.id]
    assert await made.log("default", one.id) == []
    assert (await table_counts(database))["notifications"] == 1


async def test_a_crash_before_the_commit_leaves_nothing(
    made: SqlScheduleStore, store: SqlInboxStore, database: Database
) -> None:
    one = await added(made)

    class Killed(Exception):
        pass

    with pytest.raises(Killed):  # noqa: PT012 - the whole transaction
        async with database.writer() as connection:
            await inbox_publish.store(connection, [Publish(run_of(one), START + HOUR)], database.cluster)
            raise Killed
    assert (await table_counts(database))["notifications"] == 0
    assert await found(made, one.id) == one
    await store.publish(run_of(one), START + HOUR)


async def test_a_commit_that_was_lost_sight_of_is_found(made: SqlScheduleStore, database: Database) -> None:
    one = await added(made)
    group = [Publish(run_of(one), START + HOUR)]
    for _ in range(2):
        async with database.writer() as connection:
            [outcome] = await inbox_publish.find_or_store(connection, group, database.cluster)
        assert isinstance(outcome, Published)
    assert (await found(made, one.id)).revision == 1
    assert len(await made.log("default", one.id)) == 1


async def test_once_it_is_paused_changed_or_deleted_nothing_fires(
    made: SqlScheduleStore, store: SqlInboxStore, database: Database
) -> None:
    """Whoever had read it before comes too late."""
    paused, changed, deleted = [await added(made) for _ in range(3)]
    read = [run_of(each) for each in (paused, changed, deleted)]
    assert (await made.change("default", paused.id, lambda each: scheduling.pause(each, START + HOUR))) is not None
    await made.change("default", changed.id, lambda each: (replace(each, name="x", revision=each.revision + 1), ()))
    assert await made.remove("default", deleted.id)
    assert [type(each) for each in await store.publish_all(read, START + HOUR)] == [RunTaken] * 3
    assert [each.id for each in await made.due(START + HOUR, 9)] == [changed.id]
    rows = await table_counts(database)
    assert (rows["notifications"], rows["schedules"], rows["schedule_recipients"]) == (0, 2, 4)
    assert not await made.remove("default", deleted.id)
    assert await made.change("default", deleted.id, lambda each: (each, ())) is None


async def test_tenants_are_apart(made: SqlScheduleStore, store: SqlInboxStore) -> None:
    one = await added(made)
    assert await made.change("acme", one.id, lambda each: (replace(each, name="x"), ())) is None
    assert not await made.remove("acme", one.id)
    run = run_of(one)
    assert run.move is not None
    with pytest.raises(RunTaken):
        await store.publish(replace(run, move=replace(run.move, tenant="acme")), START + HOUR)
    assert await found(made, one.id) == one


async def test_what_a_change_raises_leaves_all_as_it_was(made: SqlScheduleStore) -> None:
    one = await added(made)

    def refuse(_: object) -> tuple[object, tuple[RunRecord, ...]]:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        await made.change("default", one.id, refuse)  # type: ignore[arg-type]  # it returns nothing
    assert await found(made, one.id) == one


async def test_moves_alone(made: SqlScheduleStore) -> None:
    one = await added(made)
    failed = replace(move_of(one), records=(RunRecord(START + HOUR, RunOutcome.FAILED, START + HOUR, reason="no"),))
    assert await made.move([failed, failed]) == [True, False]
    assert await made.move([failed]) == [False]
    assert (await found(made, one.id)).next_at == START + 2 * HOUR
    assert await made.log("default", one.id) == list(failed.records)
    assert await made.move([]) == []


async def test_the_log_keeps_the_last_entries(made: SqlScheduleStore, database: Database) -> None:
    one = await added(made)
    for number in range(KEPT_RECORDS + 5):
        record = RunRecord(START + number, RunOutcome.SKIPPED, START, through=START + number + 1, reason="r")
        one = replace(one, revision=number)
        assert await made.move([replace(move_of(one), records=(record, replace(record, through=None)))]) == [True]
    log = await made.log("default", one.id)
    assert len(log) == KEPT_RECORDS == (await table_counts(database))["schedule_runs"]
    last = START + KEPT_RECORDS + 4
    assert [each.due_at for each in log] == [last - number // 2 for number in range(KEPT_RECORDS)]
    await made.change("default", one.id, lambda each: (replace(each, revision=99), (record,)))
    assert (await made.log("default", one.id))[0] == record


async def test_due_schedules_come_with_the_earliest_first(made: SqlScheduleStore) -> None:
    late, early = await added(made, every="2h"), await added(made, every="1h")
    elsewhere = await added(made, schedule("acme", every="90m"))
    assert await made.next_due() == START + HOUR
    assert await made.due(START + HOUR - 1, 9) == []
    assert await made.due(START + 2 * HOUR, 9) == [early, elsewhere, late]
    assert await made.due(START + 2 * HOUR, 1) == [early]
    await made.change("default", early.id, lambda each: scheduling.pause(each, START))
    assert await made.next_due() == START + 90 * MINUTE


async def test_those_that_ended_are_forgotten(made: SqlScheduleStore, store: SqlInboxStore, database: Database) -> None:
    for number in range(3):
        one = await added(made, schedule(now=START + number, at="2027-01-16T08:00:00Z"))
        await store.publish(run_of(one), START + DAY + number)
    kept = await added(made)
    ended = run_of(one).move
    assert ended is not None
    assert await made.forget_ended(START + DAY, 9) == 0
    assert [await made.forget_ended(START + DAY + 9_999, 2) for _ in range(3)] == [2, 1, 0]
    assert await made.page("default", None, 9) == [replace(kept, notification=b"")]
    rows = await table_counts(database)
    assert (rows["schedule_runs"], rows["schedule_recipients"]) == (0, 2)


async def test_erasing_takes_a_user_out(
    made: SqlScheduleStore, personal: PersonalData, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_recipients, "ERASED_AT_ONCE", 2)
    both = [await added(made, schedule(now=START + number)) for number in range(3)]
    alone = await added(made, notification={"recipients": ["ada"], "title": "t"})
    topic = await added(made, notification={"recipients": {"topic": "ada"}, "title": "t"})
    elsewhere = await added(made, schedule("acme"))
    read = run_of(both[0])
    named = [each.id for each in await personal.schedules(ADA, None, 2)]
    named += [each.id for each in await personal.schedules(ADA, named[-1], 9)]
    assert named == sorted([*(each.id for each in both), alone.id])
    while await personal.erase_some(ADA):
        pass
    assert await personal.schedules(ADA, None, 9) == []
    left = {each.id: scheduling.template_of(await found(made, each.id)).recipients for each in both}
    assert left == {each.id: ["grace"] for each in both}
    assert await made.get("default", alone.id) is None
    assert await found(made, topic.id) == topic
    assert await made.get("acme", elsewhere.id) == elsewhere
    assert await personal.schedules(InboxKey("acme", "ada"), None, 9) == [elsewhere]
    [outcome] = await SqlInboxStore(database).publish_all([read], START + HOUR)
    assert isinstance(outcome, RunTaken), "a run that was decided with her among the recipients"


async def test_patched_recipients_are_found_for_erasure(made: SqlScheduleStore, personal: PersonalData) -> None:
    one = await added(made)
    new = replace(one, notification=one.notification.replace(b"ada", b"zoe"), revision=1)
    await made.change("default", one.id, lambda _: (new, ()))
    assert await personal.schedules(ADA, None, 9) == []
    assert await personal.schedules(InboxKey("default", "zoe"), None, 9) == [new]


async def test_an_unknown_one_is_nobodys(made: SqlScheduleStore) -> None:
    assert await made.get("default", uuid4()) is None
    assert await made.log("default", uuid4()) == []
