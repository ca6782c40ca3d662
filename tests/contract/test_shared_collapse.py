"""The contract of collapse keys for an audience: of the items of a topic with one key, only the last one stays.

It goes for everybody, whatever they did to it, and it is two events of the log whatever the audience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from hub.core.model import (
    BROADCAST,
    Channel,
    MarkAction,
    Publication,
    Published,
    Selection,
    SharedEvent,
    Step,
    TopicKey,
)
from hub.ports import DeliveryQueue, ExpansionKey, Lane, SharedLog
from hub.store.engine import Database
from hub.store.expansions import SqlExpansions
from hub.store.inbox import SqlInboxStore
from hub.store.tables import deliveries, expansions, shared_log
from tests.support.clock import START
from tests.support.inboxes import ADA, EVERYTHING, GRACE, LATER, TENANT, ids, publication, table_counts
from tests.support.queue import LEASE, MAX_CLAIMS
from tests.support.shared_inboxes import Follower, check, everybody, to
from tests.support.shared_rows import EVERY_ENDPOINT, SharedRows

NEWS = TopicKey(TENANT, "news")
DUE = START + 60_000
EMAIL = Lane(Channel.EMAIL, publication().content.priority, shared=True)
REASON = "A newer notification took its place before this step was sent."


def score(
    number: int = 0,
    *,
    topic: str = BROADCAST,
    tenant: str = TENANT,
    key: str = "match-7",
    deliver_at: int | None = None,
) -> Publication:
    """Make a publication with a collapse key."""
    return to(topic, tenant=tenant, now=START + number, collapse_key=key, title=f"{number} : 0", deliver_at=deliver_at)


async def all_of(store: SqlInboxStore, group: Sequence[Publication]) -> list[Published]:
    """Publish in one group."""
    outcomes: list[Published] = []
    for outcome in await store.publish_all(group, LATER):
        if isinstance(outcome, Exception):
            raise outcome
        outcomes.append(outcome)
    return outcomes


class TestPublish:
    async def test_a_direct_one_of_its_group_settles_nothing_that_is_not_written_yet(
        self, database: Database, store: SqlInboxStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Locking an inbox settles what went from the log up to its counter, which the group has moved by then."""
        monkeypatch.setattr("hub.store.shared_heads.SETTLE_AFTER", 0)
        await store.publish(publication("ada"), START)
        for number in range(2):
            await store.publish(score(number), START + number)
        for _ in range(5):
            await store.publish(everybody(), START)
        await all_of(store, [score(2), publication("ada")])
        assert (await check(database, ADA)).counts == (8, 8)

    async def test_the_newer_one_takes_the_place_of_the_older(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        other = await store.publish(everybody(), START)
        first = await store.publish(score(), START)
        follower = Follower(store, ADA)
        await follower.catch_up()

        second = await store.publish(score(1), LATER)

        everyone = TopicKey(TENANT, BROADCAST)
        assert (first.gone, first.shared) == (None, SharedEvent(everyone, 2, 1, START + 1))
        gone, appeared = SharedEvent(everyone, 3, 2), SharedEvent(everyone, 4, 3, LATER + 1)
        assert (second.gone, second.shared) == (gone, appeared)
        wakeups = {wakeup.id: list(wakeup.shared) for wakeup in await store.leftover_wakeups(LATER + 1, 9)}
        assert second.wakeup is not None
        assert wakeups[second.wakeup.id] == [gone, appeared._replace(appeared_at=None)]
        assert second.wakeup.told(), "who publishes tells of both"
        assert await follower.catch_up() is None
        assert follower.told == [first.id, second.id], "removal and item in one go"
        assert set(follower.items) == {other.id, second.id}
        await follower.assert_equals(database)
        assert (await check(database, ADA)).counts == (2, 2)
        told = await store.notification(TENANT, first.id)
        assert told is not None
        assert told.shared is not None
        assert told.shared.gone

    async def test_is_as_many_rows_whatever_the_audience(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        await log.join(TENANT, "news", [f"user-{number}" for number in range(100)], START)
        await store.publish(score(topic="news"), START)
        before = await table_counts(database)
        await store.publish(score(topic="news"), START)
        after = await table_counts(database)
        grown = {name: count - before[name] for name, count in after.items() if count != before[name]}
        assert grown == {"notifications": 1, "shared_log": 2, "wakeups": 1}

    async def test_only_the_same_key_of_the_same_audience(
        self, database: Database, store: SqlInboxStore, log: SharedLog
    ) -> None:
        """The category makes no difference. Own items have their keys to themselves."""
        await log.join(TENANT, "news", ["ada"], START)
        await log.join(TENANT, "sport", ["ada"], START)
        others = [score(), score(topic="sport"), score(topic="news", key="match-8"), score(topic="news", tenant="acme"),
                  to("news"), publication("ada", collapse_key="match-7")]  # fmt: skip
        for each in others:
            assert (await store.publish(each, START)).gone is None
        await store.publish(to("news", collapse_key="match-7", category="other"), START)
        last = await store.publish(score(topic="news"), LATER)
        assert last.gone is not None
        assert (await check(database, ADA)).counts == (6, 6)

    async def test_in_one_group(self, database: Database, store: SqlInboxStore) -> None:
        """Each after the one before; of two audiences, with one that is there already."""
        await store.head(ADA)
        await store.publish(score(), START)
        follower = Follower(store, ADA)
        await follower.catch_up()
        group = [score(1), score(1, topic="news"), everybody(), score(2), score(2, topic="news"), score(3)]
        outcomes = await all_of(store, group)
        events = [event for each in outcomes for event in (each.gone, each.shared) if event is not None]
        positions = [event.position for event in events]
        assert positions == list(range(2, 2 + len(group) + 4))
        for topic in (BROADCAST, "news"):
            chain = [event for event in events if event.key.topic == topic]
            assert [event.previous for event in chain[1:]] == [event.position for event in chain[:-1]]
        assert await follower.catch_up() is None
        await follower.assert_equals(database)
        assert {item.content.title for item in follower.items.values()} == {"Hello", "3 : 0"}
        assert (await check(database, ADA)).counts == (2, 2)

    async def test_repeated_it_replaces_nothing(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        sent = [everybody(collapse_key="k", idempotency=(key, b"hash")) for key in ("a", "b", "a")]
        _, newest, again = [await store.publish(each, START) for each in sent]
        assert (again.replayed, again.gone) == (True, None)
        assert await store.item(ADA, newest.id) is not None

    async def test_of_ten_at_once_exactly_one_is_left(self, database: Database, store: SqlInboxStore) -> None:
        """Published and recalled by processes of which each has a store of its own."""
        await store.head(ADA)
        first = await store.publish(score(), START)
        stores = [store, SqlInboxStore(database)]
        with capture_logs() as logs:
            await asyncio.gather(
                *(stores[number % 2].publish(score(number), LATER) for number in range(10)),
                *(each.recall(TENANT, first.id, LATER) for each in stores),
            )
        assert [line for line in logs if line["event"] == "transaction_repeated"] == []
        assert (await check(database, ADA)).counts == (1, 1)
        async with database.reader() as connection:
            rows = (await connection.execute(sa.select(shared_log).order_by(shared_log.c.position))).all()
        assert [row.previous for row in rows[1:]] == [row.position for row in rows[:-1]]
        gone = {row.of_position: row.position for row in rows if row.kind == 1}
        assert gone == {row.position: row.gone_at_position for row in rows if row.gone_at_position is not None}
        assert len(gone) == 10


class TestGone:
    async def test_in_any_state(self, database: Database, store: SqlInboxStore, log: SharedLog) -> None:
        """Untouched, read, archived, snoozed, below a mark; of who has left, too. Counts are right throughout."""
        topics = [f"topic-{number}" for number in range(7)]
        made, positions = [], []
        for topic in topics:
            await log.join(TENANT, topic, ["ada", "grace"], START)
            published = await store.publish(score(topic=topic), START)
            assert published.shared is not None
            made.append(published.id)
            positions.append(published.shared.position)
        through = (await store.head(ADA)).cursor._replace(position=positions[1])
        await store.mark(ADA, MarkAction.READ, Selection(all=True, through=through), LATER)
        await store.mark(ADA, MarkAction.UNREAD, ids(made[1]), LATER)
        await store.mark(ADA, MarkAction.ARCHIVE, ids(made[2]), LATER)
        await store.mark(ADA, MarkAction.SNOOZE, ids(made[3]), LATER, until=DUE)
        await store.mark(ADA, MarkAction.SEEN, ids(made[4]), LATER)
        await log.leave(TENANT, topics[5], ["ada"], LATER)
        followers = [Follower(store, key) for key in (ADA, GRACE)]
        for follower in followers:
            await follower.catch_up()
        for topic, old in zip(topics, made, strict=True):
            new = await store.publish(score(1, topic=topic), LATER)
            for follower in followers:
                await follower.catch_up()
                assert old not in follower.items
                await follower.assert_equals(database)
                await check(database, follower.key, sizes=(3,))
            assert (new.id in followers[0].items) == (topic != topics[5])
        await store.apply_timers(DUE, 9)
        assert (await check(database, ADA)).counts == (6, 6), "the end of a snooze brings nothing back"
        assert (await check(database, GRACE)).counts == (7, 7)
        assert (await store.mark(ADA, MarkAction.READ, EVERYTHING, LATER)).changed == 6

    async def test_recalled_or_expired_there_is_nothing_to_replace(
        self, database: Database, store: SqlInboxStore
    ) -> None:
        await store.head(ADA)
        first = await store.publish(score(), START)
        await store.recall(TENANT, first.id, START)
        second = await store.publish(everybody(collapse_key="match-7", expires_at=DUE), START)
        await store.apply_timers(DUE, 9)
        third = await store.publish(score(), DUE)
        assert (second.gone, third.gone) == (None, None)
        assert (await check(database, ADA)).counts == (1, 1)

    async def test_replaced_it_can_be_recalled_and_expire_without_any_effect(
        self, database: Database, store: SqlInboxStore
    ) -> None:
        await store.head(ADA)
        first = await store.publish(everybody(collapse_key="match-7", expires_at=DUE), START)
        last = await store.publish(score(), START)
        assert await store.apply_timers(DUE, 9) == []
        assert await store.recall(TENANT, first.id, DUE) == []
        assert await store.item(ADA, last.id) is not None
        await check(database, ADA)


class TestDeliverAt:
    async def test_it_replaces_when_it_appears_and_not_before(self, database: Database, store: SqlInboxStore) -> None:
        await store.head(ADA)
        first = await store.publish(score(), START)
        later = await store.publish(score(1, deliver_at=DUE), START)
        now = await store.publish(score(2), LATER)
        assert (later.gone, later.shared) == (None, None)
        assert now.gone is not None
        follower = Follower(store, ADA)
        await follower.catch_up()
        (gone, none), (event, wakeup) = await store.apply_timers(DUE, 9)
        everyone = TopicKey(TENANT, BROADCAST)
        assert (gone, event) == (SharedEvent(everyone, 4, 3), SharedEvent(everyone, 5, 4, DUE + 1))
        assert (none, wakeup is not None) == (None, True)
        await follower.catch_up()
        assert follower.told == [now.id, later.id]
        assert list(follower.items) == [later.id]
        assert first.id not in follower.items
        await check(database, ADA)

    async def test_of_two_at_the_same_time_the_later_one_is_left(
        self, database: Database, store: SqlInboxStore
    ) -> None:
        await store.head(ADA)
        made = [await store.publish(score(number, deliver_at=DUE + number), START) for number in range(2)]
        applied = await store.apply_timers(DUE + 1, 9)
        assert len(applied) == 3
        assert await store.item(ADA, made[1].id) is not None
        assert (await check(database, ADA)).counts == (1, 1)


class TestFallback:
    """Ada and Grace can be reached by e-mail."""

    PLAN = (Step(Channel.EMAIL, 0), Step(Channel.EMAIL, 120_000))

    @pytest.fixture
    async def rows(self, database: Database) -> SharedRows:
        rows = SharedRows(database)
        for user in ("ada", "grace"):
            await rows.user(user, reachable=EVERY_ENDPOINT)
        return rows

    async def test_what_is_left_of_the_plan_is_cancelled(
        self, database: Database, store: SqlInboxStore, rows: SharedRows, queue: DeliveryQueue
    ) -> None:
        first = await store.publish(everybody(collapse_key="k", plan=self.PLAN), START)
        assert await _expand(database, ExpansionKey(TENANT, first.id, 0)) == 2
        [claim] = await queue.claim(EMAIL, START, LEASE, 1)
        second = await store.publish(everybody(collapse_key="k", plan=self.PLAN), LATER)
        assert await rows.states(first.id) == {"sending": 1, "cancelled": 1}
        assert {row.reason for row in await rows.deliveries(first.id) if row.state == "cancelled"} == {REASON}
        assert await queue.rung(claim.delivery.id, TENANT, claim.delivery.fence) is None, "looked at before the send"
        state = await store.notification(TENANT, first.id)
        assert state is not None
        assert [(each.state.value, each.reason) for each in state.expansions][1] == ("cancelled", REASON)
        assert await _expand(database, ExpansionKey(TENANT, second.id, 0)) == 2

    async def test_in_one_group_only_the_last_ones_is(self, database: Database, store: SqlInboxStore) -> None:
        group = [everybody(collapse_key="k", plan=self.PLAN, now=START + number) for number in range(3)]
        outcomes = await all_of(store, group)
        for number, each in enumerate(outcomes):
            state = await store.notification(TENANT, each.id)
            assert state is not None
            wanted = "waiting" if number == 2 else "cancelled"
            assert {expansion.state.value for expansion in state.expansions} == {wanted}

    async def test_when_it_appears_later(self, store: SqlInboxStore, rows: SharedRows) -> None:
        first = await store.publish(everybody(collapse_key="k", plan=self.PLAN), START)
        await store.publish(everybody(collapse_key="k", plan=self.PLAN, deliver_at=DUE), START)
        assert (await rows.expansion(ExpansionKey(TENANT, first.id, 1))).state == "waiting"
        await store.apply_timers(DUE, 9)
        assert (await rows.expansion(ExpansionKey(TENANT, first.id, 1))).state == "cancelled"

    async def test_what_somebody_holds_is_passed_over(
        self, database: Database, store: SqlInboxStore, rows: SharedRows, queue: DeliveryQueue
    ) -> None:
        """The publish does not wait for it; no claim takes a delivery, and whoever comes next ends what is left."""
        if database.dialect == "sqlite":
            return  # its only writer holds everything
        first = await store.publish(everybody(collapse_key="k", plan=self.PLAN), START)
        step = ExpansionKey(TENANT, first.id, 1)
        await _expand(database, ExpansionKey(TENANT, first.id, 0))
        async with database.writer() as holder:
            for table in (expansions, deliveries):
                here = table.c.notification_id == first.id
                await holder.execute(sa.select(table.c.tenant).where(here).with_for_update())
            await store.publish(everybody(collapse_key="k"), LATER)
        assert await rows.states(first.id) == {"queued": 2}
        assert (await rows.expansion(step)).state == "waiting"
        assert await queue.claim(EMAIL, LATER, LEASE, 9) == []
        await queue.rescue(LATER, MAX_CLAIMS, 9)
        assert await rows.states(first.id) == {"cancelled": 2}
        assert await _expand(database, step, DUE + 120_000) == 0
        assert (await rows.expansion(step)).state == "cancelled"


async def _expand(database: Database, expansion: ExpansionKey, now: int = START) -> int:
    """Expand a step for all turns that are due; returns how many deliveries that made."""
    made = 0
    while (chunk := await SqlExpansions(database).expand(expansion, now, frozenset(Channel), 100)) is not None:
        made += chunk.made
    return made
