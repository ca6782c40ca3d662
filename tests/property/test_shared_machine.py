"""Random histories of a shared log, against a plain model of it.

Users join and leave, notifications go to users, to a topic, to everybody, and are recalled, expire, or are replaced by
the next one with the same collapse key; users mark by ids, all, or up to a cursor, snooze, and come back with old
cursors; what is old is archived. The model keeps every item of everybody, as if there were no log. Checked after each
step: the counts. Checked now and then: pages, single items, and that a client which knows only what catch-ups told it
holds what the model has.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from hub.core.archives import made_at
from hub.core.model import BROADCAST, Counts, InboxKey, InboxQuery, MarkAction, Selection
from hub.store import retention_trim
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.shared import SqlSharedLog
from hub.store.tables import metadata, notifications, timers
from tests.support.archive import MemoryShelf, archive
from tests.support.clock import START
from tests.support.inboxes import TENANT, publication
from tests.support.shared_inboxes import Follower, check, pages, to

USERS = ("ada", "grace", "joan")
TOPICS = ("news", "sport")
MARKS = [action for action in MarkAction if action not in {MarkAction.SNOOZE, MarkAction.DELIVERED}]
SETS = {
    MarkAction.SEEN: ("seen_at",),
    MarkAction.READ: ("seen_at", "read_at"),
    MarkAction.ARCHIVE: ("seen_at", "read_at", "archived_at"),
}
CLEARS = {MarkAction.UNREAD: "read_at", MarkAction.UNARCHIVE: "archived_at"}


@dataclass(frozen=True)
class Held:
    """One user's item, as the model knows it."""

    position: int
    since: int
    seen_at: int | None = None
    read_at: int | None = None
    archived_at: int | None = None
    snoozed_until: int | None = None

    @property
    def listed(self) -> bool:
        return self.archived_at is None and self.snoozed_until is None


class Model:
    """Everybody's items, one by one."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {BROADCAST: set(USERS), **{topic: set() for topic in TOPICS}}
        self.inboxes: dict[str, dict[UUID, Held]] = {user: {} for user in USERS}
        self.expiring: dict[UUID, int] = {}
        self.keyed: dict[tuple[str, str], UUID] = {}
        """The last one of an audience with a collapse key."""

    def appear(self, notification: UUID, users: set[str], position: int, versions: dict[str, int]) -> None:
        for user in users:
            self.inboxes[user][notification] = Held(position, versions.get(user, 0))

    def go(self, notification: UUID) -> None:
        self.expiring.pop(notification, None)
        for held in self.inboxes.values():
            held.pop(notification, None)

    def mark(self, user: str, action: MarkAction, meant: set[UUID], now: int, until: int | None) -> int:
        changed = 0
        for notification in meant & self.inboxes[user].keys():
            held = before = self.inboxes[user][notification]
            for name in SETS.get(action, ()):
                if getattr(held, name) is None:
                    held = replace(held, **{name: now})
            if action in CLEARS:
                cleared: dict[str, Any] = {CLEARS[action]: None}
                held = replace(held, **cleared)
            if action is MarkAction.SNOOZE:
                held = replace(held, snoozed_until=until)
            self.inboxes[user][notification] = held
            changed += held != before
        return changed

    def pass_time(self, now: int) -> None:
        for notification, at in list(self.expiring.items()):
            if at <= now:
                self.go(notification)
        for inbox in self.inboxes.values():
            for notification, held in inbox.items():
                if held.snoozed_until is not None and held.snoozed_until <= now:
                    inbox[notification] = replace(held, snoozed_until=None)

    def counts(self, user: str) -> Counts:
        listed = [held for held in self.inboxes[user].values() if held.listed]
        return Counts(sum(held.read_at is None for held in listed), sum(held.seen_at is None for held in listed))


class SharedMachine(RuleBasedStateMachine):
    """Drives the real store; every user has one follower, who catches up now and then."""

    database_url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.now = START
        self.made: list[UUID] = []
        self.outdated: set[str] = set()
        """Users who may have to read anew, as something that they have not heard of was dropped."""
        self.run(self.open())

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    async def open(self) -> None:
        self.database: Database = await open_database(self.database_url)
        async with self.database.writer() as connection:
            for table in metadata.sorted_tables:
                if table.name != "meta":
                    await connection.execute(sa.delete(table))
        self.store = SqlInboxStore(self.database)
        self.log = SqlSharedLog(self.database)
        self.followers = {user: Follower(self.store, InboxKey(TENANT, user)) for user in USERS}
        for follower in self.followers.values():
            await follower.catch_up()

    def teardown(self) -> None:
        try:
            for user in USERS:
                self.look(user)
        finally:
            self.run(self.database.close())
            self.runner.close()

    # What publishers do

    @rule(users=st.sets(st.sampled_from(USERS), min_size=1))
    def publish_to_users(self, users: set[str]) -> None:
        self.now += 1
        outcome = self.run(self.store.publish(publication(*sorted(users), now=self.now), self.now))
        self.made.append(outcome.id)
        self.model.appear(outcome.id, users, 0, {user: head.version for user, head in outcome.heads.items()})
        for user, head in outcome.heads.items():
            assert head.counts == self.model.counts(user)

    @rule(
        topic=st.sampled_from([BROADCAST, *TOPICS]),
        expires=st.sampled_from([None, None, 15]),
        key=st.sampled_from([None, None, "one thing", "another"]),
    )
    def publish_to_a_topic(self, topic: str, expires: int | None, key: str | None) -> None:
        at = None if expires is None else self.now + expires
        published = to(topic, now=self.now, expires_at=at, collapse_key=key)
        outcome = self.run(self.store.publish(published, self.now))
        self.made.append(outcome.id)
        assert outcome.shared is not None
        if key is not None:
            if (older := self.model.keyed.get((topic, key))) is not None:
                self.model.go(older)
            self.model.keyed[topic, key] = outcome.id
        self.model.appear(outcome.id, self.model.members[topic], outcome.shared.position, {})
        if at is not None:
            self.model.expiring[outcome.id] = at
        self.counts_are_exact()

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def recall(self, data: Any) -> None:
        notification = data.draw(st.sampled_from(self.made))
        self.run(self.store.recall(TENANT, notification, self.now))
        self.model.go(notification)
        self.counts_are_exact()

    @rule(topic=st.sampled_from(TOPICS), users=st.sets(st.sampled_from(USERS), min_size=1), joins=st.booleans())
    def join_or_leave(self, topic: str, users: set[str], joins: bool) -> None:  # noqa: FBT001 - drawn by name
        members = self.model.members[topic]
        move = self.log.join if joins else self.log.leave
        change = self.run(move(TENANT, topic, sorted(users), self.now))
        assert change.cursors.keys() == (users - members if joins else users & members)
        self.model.members[topic] = members | users if joins else members - users
        assert list(self.run(self.log.members(TENANT, topic, "", 9))) == sorted(self.model.members[topic])
        self.counts_are_exact()

    @rule(age=st.sampled_from([0, 5, 30]), inboxes_a_row=st.sampled_from([0, 100]))
    def retain(self, age: int, inboxes_a_row: int) -> None:
        """Archive what is older, all but what time is still to do something with; trim the log, or don't."""
        self.now += 1
        self.run(self.store.apply_timers(self.now, 100))
        self.model.pass_time(self.now)
        stays = self.run(self.of_notifications(timers.c.notification_id))
        goes = [each for each in self.made if made_at(each) < self.now - age and each not in stays]
        retention_trim.INBOXES_A_ROW = inboxes_a_row
        shelf = MemoryShelf()
        self.run(archive(self.database, shelf, older_than=self.now - age, now=self.now))
        assert {UUID(line["id"]) for line in shelf.of_kind("notification")} == set(goes)
        assert not self.run(self.of_notifications(notifications.c.id)) & set(goes)
        self.made = [each for each in self.made if each not in goes]
        for notification in goes:
            self.model.go(notification)
        self.outdated = set(USERS) if goes else self.outdated
        self.counts_are_exact()

    async def of_notifications(self, column: Any) -> set[UUID]:
        async with self.database.reader() as connection:
            return set((await connection.execute(sa.select(column))).scalars())

    @rule(milliseconds=st.sampled_from([1, 10, 20]))
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.run(self.store.apply_timers(self.now, 100))
        self.model.pass_time(self.now)
        self.counts_are_exact()

    # What users do

    @precondition(lambda self: self.made)
    @rule(data=st.data(), user=st.sampled_from(USERS), action=st.sampled_from(MARKS))
    def mark_by_ids(self, data: Any, user: str, action: MarkAction) -> None:
        meant = data.draw(st.lists(st.sampled_from(self.made), min_size=1, max_size=3, unique=True))
        self.mark(user, action, Selection(ids=tuple(meant)), set(meant))

    @rule(user=st.sampled_from(USERS), action=st.sampled_from(MARKS))
    def mark_all(self, user: str, action: MarkAction) -> None:
        self.mark(user, action, Selection(all=True), set(self.model.inboxes[user]))

    @rule(user=st.sampled_from(USERS), action=st.sampled_from(MARKS))
    def mark_through(self, user: str, action: MarkAction) -> None:
        """Everything up to what the user's client was told of last."""
        cursor = self.followers[user].cursor
        assert cursor is not None
        held = self.model.inboxes[user].items()
        meant = {each for each, item in held if item.position <= cursor.position and item.since <= cursor.version}
        self.mark(user, action, Selection(all=True, through=cursor), meant)

    @precondition(lambda self: self.made)
    @rule(data=st.data(), user=st.sampled_from(USERS), after=st.sampled_from([None, 5, 15]), everything=st.booleans())
    def snooze(self, data: Any, user: str, after: int | None, everything: bool) -> None:  # noqa: FBT001 - drawn by name
        until = None if after is None else self.now + after
        if everything:
            self.mark(user, MarkAction.SNOOZE, Selection(all=True), set(self.model.inboxes[user]), until)
        else:
            one = data.draw(st.sampled_from(self.made))
            self.mark(user, MarkAction.SNOOZE, Selection(ids=(one,)), {one}, until)

    def mark(
        self, user: str, action: MarkAction, selection: Selection, meant: set[UUID], until: int | None = None
    ) -> None:
        self.now += 1
        self.model.pass_time(self.now)
        self.run(self.store.apply_timers(self.now, 100))
        marked = self.run(self.store.mark(InboxKey(TENANT, user), action, selection, self.now, until=until))
        assert marked.changed == self.model.mark(user, action, meant, self.now, until)
        assert marked.head.counts == self.model.counts(user)
        assert (marked.change is None) == (marked.changed == 0)

    # What must hold

    @rule(user=st.sampled_from(USERS))
    def look(self, user: str) -> None:
        """Catch up with whatever cursor there was, and compare everything."""
        follower = self.followers[user]
        assert self.run(follower.catch_up()) in ({None, "too_old"} if user in self.outdated else {None})
        self.outdated.discard(user)
        assert follower.counts == self.model.counts(user)
        assert {each: _held(item) for each, item in follower.items.items()} == self.model.inboxes[user]
        queries = (InboxQuery(limit=3), InboxQuery(snoozed=True), InboxQuery(archived=True))
        listed = [item for query in queries for item in self.run(pages(self.store, follower.key, query))]
        assert {item.content.id: item for item in listed} == follower.items
        assert len(listed) == len(follower.items)
        self.run(check(self.database, follower.key, sizes=()))

    def counts_are_exact(self) -> None:
        wishes = [(InboxKey(TENANT, user), None) for user in USERS]
        answers = self.run(self.store.catch_up(wishes, 0))
        assert [changes.head.counts for changes in answers] == [self.model.counts(user) for user in USERS]


def _held(item: Any) -> Held:
    return Held(item.position, item.since, item.seen_at, item.read_at, item.archived_at, item.snoozed_until)


def run(database_url: str, examples: int) -> None:
    machine = type("Machine", (SharedMachine,), {"database_url": database_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize="CI" in os.environ,  # a landing is not a lottery: other runs explore
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_inboxes_are_what_the_model_says_on_sqlite(sqlite_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("hub.store.retention_trim.INBOXES_A_ROW", 100)
    monkeypatch.setattr("hub.store.shared_heads.SETTLE_AFTER", 1)
    run(sqlite_url, examples=12)


def test_inboxes_are_what_the_model_says_on_postgresql(postgres_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("hub.store.retention_trim.INBOXES_A_ROW", 100)
    monkeypatch.setattr("hub.store.shared_heads.SETTLE_AFTER", 1)
    run(postgres_url, examples=6)
