"""The contract of `Expansions`: who of an audience gets a delivery, once each, however often and by whomever."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from hub.core.model import Channel, Priority, Rung, Step
from hub.ports import Expanded, ExpansionKey, Expansions, Lane
from hub.store import expansion_chunk
from hub.store.engine import Database
from hub.store.expansions import SqlExpansions
from tests.support.clock import START
from tests.support.queue import SECOND
from tests.support.shared_rows import POSITION, SharedRows

ALL = frozenset(Channel)
EMAIL = Lane(Channel.EMAIL, Priority.NORMAL, shared=True)
EMAIL_UNLESS_SEEN = Step(Channel.EMAIL, 0)
HOUR = 3_600 * SECOND
LADDER = [Step(Channel.PUSH, 0), Step(Channel.EMAIL, HOUR), Step(Channel.SMS, 2 * HOUR)]
ROOM = 100


@pytest.fixture
def expansions(database: Database) -> Expansions:
    return SqlExpansions(database)


@pytest.fixture
def shared(database: Database) -> SharedRows:
    return SharedRows(database)


def key(notification: UUID, step: int = 0, tenant: str = "default") -> ExpansionKey:
    return ExpansionKey(tenant, notification, step)


async def expand_all(
    expansions: Expansions,
    now: int = START,
    *,
    channels: frozenset[Channel] = ALL,
    limit: int = 100,
) -> int:
    """Expand whatever is due until nothing is, in the order that the store says; returns how many were made."""
    made = 0
    while due := await expansions.due(now, 10, 10_000):
        for expansion, _ in due:
            expanded = await expansions.expand(expansion, now, channels, limit)
            made += expanded.made if expanded else 0
    return made


class TestAudience:
    async def test_a_topic_is_whoever_was_a_member_when_the_item_appeared(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        intervals: dict[str, list[tuple[int, int | None]]] = {
            "before": [(0, None)],
            "just before": [(POSITION - 1, None)],
            "together": [(POSITION, None)],
            "left since": [(0, POSITION)],
            "left before": [(0, POSITION - 1)],
            "came back before": [(0, 3), (5, None)],
            "came back since": [(0, 5), (POSITION, None)],
            "of another topic": [],
        }
        for user, own in intervals.items():
            await shared.user(user)
            await shared.join(user, topic="other")
            for joined, left_at in own:
                await shared.join(user, joined=joined, left_at=left_at)
        notification = await shared.publish([EMAIL_UNLESS_SEEN])

        assert await expand_all(expansions) == 4

        assert await shared.recipients(notification) == ["before", "came back before", "just before", "left since"]
        assert await shared.counts(key(notification)) == ("done", 4, 4, 0, 0)

    async def test_everybody_is_whoever_had_an_inbox_when_the_item_appeared(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        for user, since in {"ada": 0, "ben": POSITION - 1, "cyd": POSITION, "dan": POSITION + 1}.items():
            await shared.user(user, since=since)
        await shared.user("ada", tenant="other")
        notification = await shared.publish([EMAIL_UNLESS_SEEN], topic="")

        await expand_all(expansions)

        assert await shared.recipients(notification) == ["ada", "ben"]
        assert await shared.recipients(notification, tenant="other") == []

    async def test_the_same_topic_in_two_tenants_are_strangers(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        same = uuid4()
        for tenant, user in [("acme", "ada"), ("acme", "eve"), ("zeta", "ada")]:
            await shared.user(user, tenant=tenant)
            await shared.join(user, tenant=tenant)
        for tenant in ("acme", "zeta"):
            await shared.publish([EMAIL_UNLESS_SEEN], tenant=tenant, identifier=same)
        await shared.touch(same, "ada", tenant="acme", seen_at=START)

        await expand_all(expansions)

        assert await shared.recipients(same, tenant="acme") == ["eve"]
        assert await shared.recipients(same, tenant="zeta") == ["ada"]
        assert await shared.counts(key(same, tenant="acme")) == ("done", 2, 1, 1, 0)

    async def test_who_has_been_erased_is_no_member(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada")
        await shared.join("ghost")
        notification = await shared.publish([EMAIL_UNLESS_SEEN])

        await expand_all(expansions)

        assert await shared.counts(key(notification)) == ("done", 1, 1, 0, 0)

    async def test_nobody_at_all_is_fine(self, expansions: Expansions, shared: SharedRows) -> None:
        notification = await shared.publish([EMAIL_UNLESS_SEEN])

        assert await expansions.expand(key(notification), START, ALL, 10) == Expanded(0, ended=True)
        assert await shared.counts(key(notification)) == ("done", 0, 0, 0, 0)


class TestWhoNeedsIt:
    async def test_a_delivery_is_of_the_member_and_its_step(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada")
        notification = await shared.publish([EMAIL_UNLESS_SEEN], priority=Priority.HIGH)

        await expand_all(expansions, START + 5)

        [row] = await shared.deliveries(notification)
        assert (row.user_id, row.address, row.step, row.position) == ("ada", None, 0, POSITION)
        assert (row.channel, row.priority, row.unless, row.when) == ("email", 1, int(Rung.SEEN), "always")
        assert (row.state, row.due_at, row.fence, row.claims, row.attempts) == ("queued", START + 5, 0, 0, 0)

    async def test_who_has_reached_the_rung_gets_none(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada", "ben")
        await shared.members("cyd", seen_mark=POSITION)
        await shared.members("dan", seen_mark=POSITION - 1)
        notification = await shared.publish([EMAIL_UNLESS_SEEN])
        await shared.touch(notification, "ben", seen_at=START)

        await expand_all(expansions)

        assert await shared.recipients(notification) == ["ada", "dan"]
        assert await shared.counts(key(notification)) == ("done", 4, 2, 2, 0)

    async def test_who_cannot_be_reached_gets_none_and_is_counted(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        await shared.members("ben", reachable=[Channel.SMS])
        notification = await shared.publish([EMAIL_UNLESS_SEEN])

        await expand_all(expansions)

        assert await shared.recipients(notification) == ["ada"]
        assert await shared.counts(key(notification)) == ("done", 2, 1, 0, 1)

    @pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS, Channel.PUSH])
    async def test_an_endpoint_of_each_kind_counts_for_its_channel_only(
        self, expansions: Expansions, shared: SharedRows, channel: Channel
    ) -> None:
        await shared.members("ada", reachable=[channel])
        notification = await shared.publish([Step(each, 0) for each in Channel])

        await expand_all(expansions)

        assert [row.channel for row in await shared.deliveries(notification)] == [channel.value]

    async def test_without_a_provider_a_channel_reaches_nobody(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish([Step(Channel.PUSH, 0), Step(Channel.EMAIL, HOUR)])

        await expand_all(expansions, channels=frozenset({Channel.EMAIL}))

        assert await shared.counts(key(notification, 0)) == ("done", 1, 0, 0, 1)
        assert await shared.recipients(notification, 1) == ["ada"]


class TestTurns:
    async def test_no_endpoint_pulls_the_next_step_forward_and_only_that(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("all")
        await shared.members("email", reachable=[Channel.EMAIL])
        await shared.members("push sms", reachable=[Channel.PUSH, Channel.SMS])
        await shared.members("sms", reachable=[Channel.SMS])
        await shared.members("none", reachable=[])
        notification = await shared.publish(LADDER)
        steps = [key(notification, step) for step in range(3)]

        await expand_all(expansions)
        at_once = [await shared.recipients(notification, step) for step in range(3)]
        await expand_all(expansions, START + HOUR)
        after_an_hour = [await shared.recipients(notification, step) for step in range(3)]
        await expand_all(expansions, START + 2 * HOUR)
        at_last = [await shared.recipients(notification, step) for step in range(3)]

        assert at_once == [["all", "push sms"], ["email"], ["sms"]]
        assert after_an_hour == [["all", "push sms"], ["all", "email"], ["push sms", "sms"]]
        assert at_last == [["all", "push sms"], ["all", "email"], ["all", "push sms", "sms"]]
        assert [await shared.counts(step) for step in steps] == [
            ("done", 5, 2, 0, 3),
            ("done", 5, 2, 0, 3),
            ("done", 5, 3, 0, 2),
        ]

    async def test_what_was_made_is_not_made_again_when_its_own_turn_comes(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada", reachable=[Channel.EMAIL])
        notification = await shared.publish(LADDER)

        assert await expand_all(expansions) == 1
        assert await expand_all(expansions, START + 2 * HOUR) == 0

        [row] = await shared.deliveries(notification)
        assert (row.step, row.due_at) == (1, START)

    async def test_a_step_that_was_tried_pulls_nothing_when_its_endpoint_is_gone(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada", reachable=[Channel.EMAIL, Channel.SMS])
        notification = await shared.publish(LADDER)
        await expand_all(expansions)
        await shared.endpoints("ada", Channel.SMS)

        await expand_all(expansions, START + HOUR)

        assert await shared.recipients(notification, 2) == []

    async def test_a_step_is_due_when_its_turn_comes(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada")
        notification = await shared.publish([Step(Channel.EMAIL, HOUR)])
        due = START + HOUR

        assert await expansions.due(due - 1, 10, ROOM) == []
        assert await expansions.next_due() == due
        assert await expansions.expand(key(notification), due - 1, ALL, 10) is None
        assert await expansions.due(due, 10, ROOM) == [(key(notification), EMAIL)]
        assert await expansions.expand(key(notification), due, ALL, 10) == Expanded(1, ended=True)
        assert await expansions.next_due() is None

    async def test_it_counts_from_when_the_notification_appears(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada")
        notification = await shared.publish([EMAIL_UNLESS_SEEN], deliver_at=START + HOUR, position=None)

        assert await expansions.next_due() == START + HOUR
        # The release may be late; whom it is for is known only then.
        assert await expansions.expand(key(notification), START + HOUR, ALL, 10) is None
        assert (await shared.counts(key(notification)))[0] == "waiting"
        await shared.appear(notification)
        assert await expansions.expand(key(notification), START + HOUR, ALL, 10) == Expanded(1, ended=True)


class TestChunks:
    async def test_it_goes_on_from_where_it_got_to(self, expansions: Expansions, shared: SharedRows) -> None:
        users = [f"user-{number}" for number in range(5)]
        await shared.members(*users)
        notification = await shared.publish([EMAIL_UNLESS_SEEN])
        this = key(notification)

        assert await expansions.expand(this, START, ALL, 2) == Expanded(2, ended=False)
        assert await shared.recipients(notification) == users[:2]
        assert await shared.counts(this) == ("waiting", 2, 2, 0, 0)
        assert await expansions.expand(this, START + 1, ALL, 2) == Expanded(2, ended=False)
        assert await expansions.expand(this, START + 2, ALL, 2) == Expanded(1, ended=True)
        assert await expansions.expand(this, START + 3, ALL, 2) is None

        assert await shared.recipients(notification) == users
        assert await shared.counts(this) == ("done", 5, 5, 0, 0)
        row = await shared.expansion(this)
        assert (row.finished_at, row.after_user) == (START + 2, ""), "nobody's id is kept longer than it is needed"

    async def test_ids_are_walked_bytewise_whatever_they_are(self, expansions: Expansions, shared: SharedRows) -> None:
        users = ["Z", "a", "b", "z", "ä", "😀"]
        await shared.members(*reversed(users))
        notification = await shared.publish([EMAIL_UNLESS_SEEN])

        assert await expand_all(expansions, limit=1) == len(users)

        assert await shared.recipients(notification) == users

    async def test_a_chunk_that_fails_leaves_nothing(
        self, expansions: Expansions, shared: SharedRows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await shared.members("ada", "ben", "cyd")
        notification = await shared.publish([EMAIL_UNLESS_SEEN])
        await expansions.expand(key(notification), START, ALL, 1)

        async def fails(*_: object) -> bool:
            raise RuntimeError("the deliveries are written, the row has not moved on")

        with monkeypatch.context() as broken:
            broken.setattr(expansion_chunk, "_move_on", fails)
            with pytest.raises(RuntimeError):
                await expansions.expand(key(notification), START, ALL, 1)

        assert await shared.recipients(notification) == ["ada"]
        await expand_all(expansions)
        assert await shared.recipients(notification) == ["ada", "ben", "cyd"]
        assert await shared.counts(key(notification)) == ("done", 3, 3, 0, 0)

    async def test_by_several_at_once_everybody_gets_one_and_it_ends_once(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        users = [f"user-{number:02}" for number in range(30)]
        await shared.members(*users)
        plan = [EMAIL_UNLESS_SEEN, Step(Channel.SMS, 0)]
        notifications = [await shared.publish(plan, position=POSITION + number) for number in range(2)]
        ends = 0

        async def worker() -> None:
            nonlocal ends
            while due := await expansions.due(START, 10, 10_000):
                for expansion, _ in due:
                    expanded = await expansions.expand(expansion, START, ALL, 4)
                    ends += expanded is not None and expanded.ended

        await asyncio.gather(*(worker() for _ in range(4)))

        assert ends == 4
        for notification in notifications:
            for step in range(2):
                assert await shared.recipients(notification, step) == users
                assert await shared.counts(key(notification, step)) == ("done", 30, 30, 0, 0)

    async def test_who_joins_or_sees_it_between_two_chunks(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada", "ben", "cyd")
        notification = await shared.publish([EMAIL_UNLESS_SEEN])
        await expansions.expand(key(notification), START, ALL, 1)

        await shared.touch(notification, "ben", seen_at=START)
        await shared.user("bob")
        await shared.join("bob", joined=POSITION)
        await expand_all(expansions)

        assert await shared.recipients(notification) == ["ada", "cyd"]


class TestEnds:
    async def test_what_is_gone_is_not_expanded(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada", "ben")
        notification = await shared.publish([EMAIL_UNLESS_SEEN])
        await expansions.expand(key(notification), START, ALL, 1)
        await shared.withdraw(notification)

        assert await expansions.expand(key(notification), START, ALL, 1) == Expanded(0, ended=True)

        row = await shared.expansion(key(notification))
        assert (row.state, row.reason, row.finished_at) == ("cancelled", "The notification was withdrawn.", START)
        assert await shared.recipients(notification) == ["ada"]

    async def test_what_has_expired_is_not_expanded(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada")
        notification = await shared.publish([EMAIL_UNLESS_SEEN], expires_at=START + SECOND)

        assert await expansions.expand(key(notification), START + SECOND, ALL, 1) == Expanded(0, ended=True)

        row = await shared.expansion(key(notification))
        assert (row.state, row.reason) == ("expired", "The notification expired before everybody had got this step.")
        assert await shared.recipients(notification) == []

    async def test_what_does_not_exist_is_nothing_to_do(self, expansions: Expansions) -> None:
        assert await expansions.expand(key(uuid4()), START, ALL, 1) is None


class TestPace:
    async def test_a_lane_with_enough_at_hand_waits_and_no_other(
        self, expansions: Expansions, shared: SharedRows
    ) -> None:
        await shared.members("ada", "ben", "cyd")
        first = await shared.publish([EMAIL_UNLESS_SEEN])
        await expansions.expand(key(first), START, ALL, 2)
        push = await shared.publish([Step(Channel.PUSH, 0)], position=POSITION + 1, at=START - 1)

        due = await expansions.due(START, 10, 2)
        assert [expansion for expansion, _ in due] == [key(push)]
        assert [expansion for expansion, _ in await expansions.due(START, 10, 3)] == [key(push), key(first)]

    async def test_deliveries_that_wait_for_their_time_and_direct_ones_do_not_count(
        self, expansions: Expansions, shared: SharedRows, database: Database
    ) -> None: ...

    async def test_audiences_of_a_lane_take_turns(self, expansions: Expansions, shared: SharedRows) -> None:
        await shared.members("ada", "ben", "cyd")
        large, small = [
            await shared.publish([EMAIL_UNLESS_SEEN], position=POSITION + number, at=START + number)
            for number in range(2)
        ]
        now = START + 5

        assert [expansion for expansion, _ in await expansions.due(now, 10, ROOM)] == [key(large), key(small)]
        await expansions.expand(key(large), now, ALL, 1)
        assert [expansion for expansion, _ in await expansions.due(now, 10, ROOM)] == [key(small), key(large)]
        assert [expansion for expansion, _ in await expansions.due(now, 1, ROOM)] == [key(small)]
