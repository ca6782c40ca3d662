"""What a gateway knows of topics, with a bus in memory and a store that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from hub.bus.memory import MemoryBus
from hub.core.cursor import Cursor
from hub.core.errors import StoreUnavailable
from hub.core.model import BROADCAST, Changes, Counts, Head, InboxKey, TopicHead, TopicKey
from hub.core.session import Session
from hub.core.wire import SharedChange
from hub.gateway.connection import Connection, Host
from hub.gateway.flusher import Flusher
from hub.gateway.news import SharedNews
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.gateway.topic import HELD_LIMIT
from hub.gateway.topics import SLICE, WAITING, Topics
from hub.service import Following, Hub
from tests.support.listener import PATIENCE

ADA, GRACE = InboxKey("default", "ada"), InboxKey("default", "grace")
SALES, NEWS = TopicKey("default", "sales"), TopicKey("default", "news")
ALL = TopicKey("default", BROADCAST)


def names(topics: Sequence[str]) -> tuple[TopicKey, ...]:
    return tuple(TopicKey("default", name) for name in topics)


class Store:
    """Memberships and positions, and what was asked of them."""

    def __init__(self) -> None:
        self.topics: dict[InboxKey, list[str]] = {}
        self.left: dict[InboxKey, list[str]] = {}
        self.as_of = 0
        self.at: dict[TopicKey, TopicHead] = {}
        self.log = 0
        self.asked: list[InboxKey] = []
        self.away = False

    async def following(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Following]:
        self.asked += keys
        return {
            key: Following((ALL, *names(self.topics.get(key, ()))), names(self.left.get(key, ())), self.as_of)
            for key in keys
        }

    async def heads(self, topics: Sequence[TopicKey]) -> Mapping[TopicKey, TopicHead]:
        if self.away:
            raise StoreUnavailable
        return {topic: self.at.get(topic, TopicHead(0, 0)) for topic in topics}

    async def log_positions(self, tenants: Collection[str]) -> Mapping[str, int]:
        return dict.fromkeys(tenants, self.log)


class Listener(Connection):
    """A connection that keeps what it is told: the positions to read up to, and frames."""

    __slots__ = ("broken", "frames", "told")

    def __init__(self) -> None:
        super().__init__(cast(Host, None), Session("c", 0))
        self.told: list[int] = []
        self.frames: list[bytes | None] = []
        self.broken = False

    def hear_shared(self, news: SharedNews) -> bool:
        self.frames.append(news.frame)
        return True

    def log_moved(self, position: int) -> None:
        if self.broken:
            raise RuntimeError
        self.told.append(position)

    def settled(self) -> None:
        pass


class Node:
    """The part of a gateway that is under test."""

    def __init__(self) -> None:
        self.store = Store()
        self.bus = MemoryBus()
        self.tasks = Tasks()
        self.registry = Registry(self.bus, Flusher())
        self.room = asyncio.Event()
        self.room.set()
        self.waited = 0
        hub = cast(Hub, SimpleNamespace(topics=self.store))
        self.delivered: list[int] = []
        self.topics = Topics(hub, self.registry, self.bus, self.tasks, self.has_room, self.delivered.append)

    async def has_room(self) -> None:
        self.waited += 1
        await self.room.wait()

    def come(self, key: InboxKey) -> Listener:
        connection = Listener()
        self.registry.add(key, connection)
        return connection

    def go(self, key: InboxKey, connection: Listener) -> None:
        self.registry.remove(key, connection)
        self.topics.forget(key)

    async def follow(self, *keys: InboxKey, version: int = 1, epoch: str = "e", position: int = 0) -> None:
        await self.topics.follow(dict.fromkeys(keys, Head(epoch, version, 0, Counts(0, 0), position)))

    async def hear(self, *events: SharedChange, topic: TopicKey = ALL) -> None:
        for event in events:
            self.topics.heard(topic, event)
            await self.quiet()

    async def quiet(self) -> None:
        await self.tasks.finish(PATIENCE)

    @property
    def subscribed(self) -> set[TopicKey]:
        return self.bus._topics


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node()
    yield node
    await node.tasks.cancel()


async def test_members_hear_of_their_topics_and_of_what_is_for_everyone(node: Node) -> None:
    node.store.topics = {ADA: ["sales"], GRACE: ["news"]}
    ada, grace = node.come(ADA), node.come(GRACE)
    await node.follow(ADA, GRACE)
    assert node.subscribed == {SALES, NEWS, ALL}
    await node.hear(SharedChange(5, 0), topic=SALES)
    await node.hear(SharedChange(6, 0))
    await node.hear(SharedChange(7, 0), topic=TopicKey("default", "unknown"))
    await node.hear(SharedChange(8, 0), topic=TopicKey("acme", "sales"))
    assert (ada.told, grace.told) == ([5, 6], [6])
    assert (node.topics.reach(ADA), node.topics.reach(GRACE)) == (6, 6)


async def test_an_event_heard_twice_is_told_once(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    await node.hear(SharedChange(3, 0), SharedChange(3, 0), SharedChange(2, 0))
    assert ada.told == [3]


async def test_what_was_published_between_the_read_and_the_subscription_is_told(node: Node) -> None:
    node.store.topics, node.store.at = {ADA: ["sales"]}, {SALES: TopicHead(4, 0)}
    ada = node.come(ADA)
    await node.follow(ADA)
    assert node.topics.reach(ADA) == 4
    await node.quiet()
    assert ada.told == [4]


async def test_a_member_that_comes_later_reaches_as_far_as_is_known_here(node: Node) -> None:
    node.come(ADA)
    await node.follow(ADA)
    node.topics.heard(ALL, SharedChange(9, 0))
    node.come(GRACE)
    assert node.topics.reach(GRACE) == 0, "nobody knows yet what she is a member of"
    await node.follow(GRACE)
    assert node.topics.reach(GRACE) == 9


async def test_topics_are_read_again_only_when_the_inbox_has_a_new_version(node: Node) -> None:
    node.store.topics = {ADA: ["sales"]}
    ada = node.come(ADA)
    await node.follow(ADA, version=3)
    await node.follow(ADA, version=3)
    assert node.store.asked == [ADA]
    node.store.topics = {ADA: ["news"]}
    await node.follow(ADA, version=4)
    await node.topics.unsubscribe()
    assert node.subscribed == {NEWS, ALL}
    await node.hear(SharedChange(5, 0), topic=SALES)
    await node.hear(SharedChange(6, 0), topic=NEWS)
    assert ada.told == [6]
    await node.follow(ADA, version=0, epoch="of an inbox made anew")
    assert node.store.asked == [ADA] * 3


async def test_an_older_answer_does_not_undo_a_newer_one(node: Node) -> None:
    node.come(ADA)
    node.store.topics = {ADA: ["sales"]}
    await node.follow(ADA, version=4)
    node.store.topics = {}
    await node.follow(ADA, version=3)
    assert SALES in node.topics.keys()  # noqa: SIM118 - not a mapping


async def test_a_topic_is_heard_while_anybody_here_is_a_member(node: Node) -> None:
    node.store.topics = {ADA: ["sales"], GRACE: ["sales"]}
    ada, grace = node.come(ADA), node.come(GRACE)
    await node.follow(ADA, GRACE)
    node.go(ADA, ada)
    await node.topics.unsubscribe()
    assert node.subscribed == {SALES, ALL}
    node.go(GRACE, grace)
    node.go(GRACE, grace)
    assert len(node.topics) == 0
    ada = node.come(ADA)
    await node.follow(ADA)
    await node.topics.unsubscribe()
    assert node.subscribed == {SALES, ALL}, "who comes back right away is heard"


async def test_who_leaves_while_their_topics_are_read_leaves_nothing_behind(node: Node) -> None:
    node.store.topics = {ADA: ["sales"]}
    ada = node.come(ADA)
    following, subscribe = node.store.following, node.bus.subscribe

    async def leave_first(keys: Sequence[InboxKey]) -> Mapping[InboxKey, Following]:
        node.go(ADA, ada)
        return await following(keys)

    async def leave_then(keys: Sequence[InboxKey | TopicKey]) -> None:
        node.go(ADA, ada)
        await subscribe(keys)

    node.store.following = leave_first  # type: ignore[method-assign] # this one call
    await node.follow(ADA)
    assert (node.subscribed, len(node.topics)) == (set(), 0)
    node.store.following = following  # type: ignore[method-assign] # as it was
    ada = node.come(ADA)
    node.bus.subscribe = leave_then  # type: ignore[method-assign] # this one call
    await node.follow(ADA)
    await node.topics.unsubscribe()
    assert (node.subscribed, len(node.topics)) == (set(), 0)


async def test_while_the_store_is_away_a_topic_counts_as_not_yet_known(node: Node) -> None:
    ada, node.store.at = node.come(ADA), {ALL: TopicHead(7, 0)}
    node.store.away = True
    with pytest.raises(StoreUnavailable):
        await node.follow(ADA)
    node.store.away = False
    await node.follow(ADA)
    await node.quiet()
    assert ada.told == [7]


async def test_many_members_are_told_a_slice_at_a_time_and_of_the_newest_event(node: Node) -> None:
    keys = [InboxKey("default", f"user-{number}") for number in range(2 * SLICE + 1)]
    members = [node.come(key) for key in keys]
    await node.follow(*keys)
    node.room.clear()
    node.topics.heard(ALL, SharedChange(1, 0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(member.told for member in members), "nobody is told before there is room"
    node.topics.heard(ALL, SharedChange(2, 1))
    node.room.set()
    await node.quiet()
    assert {tuple(member.told) for member in members} == {(1, 2)}
    assert node.waited == 6


async def test_a_connection_that_fails_keeps_the_news_from_nobody(node: Node) -> None:
    ada, grace = node.come(ADA), node.come(GRACE)
    await node.follow(ADA, GRACE)
    ada.broken = True
    await node.hear(SharedChange(1, 0))
    assert grace.told == [1]
    assert ada.ended


# Telling an item directly


def event(position: int, previous: int) -> SharedChange:
    return SharedChange(position, previous, b"%d" % position)


def moved(position: int, previous: int, *users: str) -> SharedChange:
    return SharedChange(position, previous, users=list(users))


async def test_items_in_order_are_told_directly(node: Node) -> None:
    ada, grace, also_ada = node.come(ADA), node.come(GRACE), node.come(ADA)
    await node.follow(ADA, GRACE)
    await node.hear(event(1, 0), event(5, 1))
    assert ada.frames == grace.frames == also_ada.frames == [b"1", b"5"]
    assert ada.told == []
    assert sum(node.delivered) == 6
    assert node.waited == 0, "nobody reads"


async def test_what_follows_a_gap_or_has_no_frame_is_read(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    await node.hear(event(1, 0), event(3, 2))
    assert (ada.frames, ada.told) == ([b"1"], [3])
    await node.follow(ADA, position=3)
    await node.hear(event(4, 3), SharedChange(5, 4), event(6, 5))
    assert (ada.frames, ada.told) == ([b"1", b"4", b"6"], [3, 5])


async def test_what_comes_out_of_order_is_put_into_order(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    for change in (event(3, 2), event(5, 4), event(4, 3), event(2, 1), event(1, 0), event(2, 1)):
        node.topics.heard(ALL, change)
    await node.quiet()
    assert ada.frames == [b"1", b"2", b"3", b"4", b"5"]
    assert ada.told == []


async def test_only_so_much_is_held(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    for number in range(HELD_LIMIT + 1):
        node.topics.heard(ALL, event(number + 2, number + 1))
    assert node.topics.reach(ADA) == HELD_LIMIT + 2, "at once"
    await node.quiet()
    assert ada.told == list(range(2, HELD_LIMIT + 3)), "she has not been read since the gap"


async def test_the_first_event_of_a_topic_whose_last_is_not_known_yet_is_read(node: Node) -> None:
    ada, node.store.at = node.come(ADA), {ALL: TopicHead(4, 0)}
    node.store.away = True
    with pytest.raises(StoreUnavailable):
        await node.follow(ADA)
    await node.hear(event(5, 4))
    await node.follow(ADA, position=5)
    await node.hear(event(6, 5))
    assert (ada.told, ada.frames) == ([5], [b"6"])


async def test_who_has_left_a_topic_is_told_nothing_but_may_read(node: Node) -> None:
    node.store.topics, node.store.left = {GRACE: ["sales"]}, {ADA: ["sales"]}
    ada, grace = node.come(ADA), node.come(GRACE)
    await node.follow(ADA, GRACE)
    await node.hear(event(1, 0), topic=SALES)
    assert (ada.told, ada.frames, grace.frames) == ([1], [], [b"1"])


async def test_who_joins_or_leaves_reads_and_all_others_are_still_told(node: Node) -> None:
    node.store.topics = {ADA: ["sales"], GRACE: ["sales"]}
    ada, grace = node.come(ADA), node.come(GRACE)
    await node.follow(ADA, GRACE)
    await node.hear(event(1, 0), moved(2, 1, "ada", "a stranger"), event(3, 2), topic=SALES)
    assert (ada.frames, ada.told) == ([b"1"], [3])
    assert (grace.frames, grace.told) == ([b"1", b"3"], [])
    node.store.as_of = 3
    await node.follow(ADA, version=2, position=3)
    await node.hear(event(4, 3), topic=SALES)
    assert ada.frames == [b"1", b"4"]


async def test_while_nobody_knows_who_joined_or_left_all_read(node: Node) -> None:
    node.store.topics, node.store.as_of = {ADA: ["sales"]}, 1
    ada = node.come(ADA)
    await node.follow(ADA)
    await node.hear(event(2, 0), moved(3, 2), event(4, 3), event(5, 4), topic=SALES)
    assert (ada.frames, ada.told) == ([b"2"], [4, 5])
    await node.follow(ADA, position=5)
    await node.hear(event(6, 5), topic=SALES)
    assert ada.frames == [b"2", b"6"], "the version is the same, so she is a member as of position 5 too"
    assert node.store.asked == [ADA]


async def test_a_join_that_was_lost_shows_with_the_next_and_what_was_lost_with_it_is_read(node: Node) -> None:
    node.store.topics = {ADA: ["sales"]}
    ada = node.come(ADA)
    await node.follow(ADA)
    await node.hear(event(1, 0), moved(4, 3, "grace"), event(5, 4), topic=SALES)
    assert (ada.frames, ada.told) == ([b"1"], [3, 5])


async def test_who_joins_while_the_memberships_are_read_is_not_taken_for_sure(node: Node) -> None:
    node.store.topics = {ADA: ["sales"], GRACE: ["sales"]}
    node.come(GRACE)
    await node.follow(GRACE)
    ada = node.come(ADA)
    await node.hear(moved(7, 0, "ada"), topic=SALES)
    node.store.as_of = 6
    await node.follow(ADA)
    await node.hear(event(8, 7), topic=SALES)
    assert (ada.frames, ada.told) == ([], [8])


async def test_what_appeared_before_a_user_was_known_to_be_a_member_is_read(node: Node) -> None:
    """It may have been before she joined: who was read since then knows, her other connections do not."""
    node.store.topics, node.store.as_of = {ADA: ["sales"]}, 9
    ada = node.come(ADA)
    await node.follow(ADA, position=4)
    await node.hear(event(4, 0), event(5, 4), topic=SALES)
    assert (ada.told, ada.frames) == ([4], [b"5"])


async def test_a_flood_of_items_is_read_instead(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    node.room.clear()
    node.topics.heard(ALL, SharedChange(1, 0))
    for number in range(1, WAITING + 3):
        node.topics.heard(ALL, event(number + 1, number))
        await asyncio.sleep(0)
    node.room.set()
    await node.quiet()
    assert ada.frames == [b"103"]
    assert ada.told == [1, 102]


async def test_after_an_inbox_made_anew_positions_begin_anew(node: Node) -> None:
    ada, node.store.at = node.come(ADA), {ALL: TopicHead(9, 0)}
    await node.follow(ADA)
    node.store.at = {ALL: TopicHead(2, 0)}
    await node.follow(ADA, epoch="of another log", version=1)
    await node.hear(event(3, 2))
    assert (ada.told, ada.frames) == ([9, 2], [b"3"])


# What the database says


def bring(connection: Listener, position: int, version: int = 1) -> None:
    """Have a connection live, as it is after a read."""
    connection.session.connect(ADA)
    connection.session.resumed(Changes(Head("e", version, 0, Counts(0, 0), position)), 0)


async def compared(node: Node, version: int = 1) -> int:
    """Compare, and return where Ada would resume."""
    checked = await node.topics.compare(1)
    await node.quiet()
    node.topics.confirm(ADA, Cursor("e", version, 0), checked)
    node.topics.confirm(GRACE, Cursor("e", version, 0), checked)
    [connection, *_] = node.registry.connections(ADA)
    return connection.session.position


async def test_what_the_bus_lost_is_read_after_comparing(node: Node) -> None:
    node.store.topics = {ADA: ["sales"]}
    ada = node.come(ADA)
    await node.follow(ADA)
    await node.hear(event(1, 0))
    node.store.at = {ALL: TopicHead(1, 0), SALES: TopicHead(2, 5)}
    await node.topics.compare(1)
    await node.hear(event(6, 1))
    await node.hear(event(7, 5), topic=SALES)
    assert (ada.frames, ada.told) == ([b"1", b"6"], [2, 7]), "nobody knows who has joined since"


async def test_what_arrives_while_comparing_is_not_lost(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    node.store.at = {ALL: TopicHead(2, 0)}
    comparing = asyncio.create_task(node.topics.compare(1))
    await asyncio.sleep(0)
    await node.hear(event(1, 0), event(2, 1))
    await comparing
    await node.quiet()
    assert (ada.frames, ada.told) == ([b"1", b"2"], [])


async def test_after_comparing_it_is_certain_what_has_been_told(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    bring(ada, 0)
    assert ada.session.shared(3)
    await node.hear(event(3, 0))
    node.store.at, node.store.log = {ALL: TopicHead(3, 0)}, 4
    assert await compared(node, version=2) == 0, "she lags"
    assert await compared(node) == 3


async def test_what_is_still_being_told_is_not_certain(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    bring(ada, 0)
    node.room.clear()
    await asyncio.gather(asyncio.wait_for(node_told(node, ada), PATIENCE))
    node.store.at, node.store.log = {ALL: TopicHead(4, 0)}, 4
    checked = await node.topics.compare(1)
    node.topics.confirm(ADA, Cursor("e", 1, 0), checked)
    assert ada.session.position == 3
    node.room.set()
    await node.quiet()
    assert await compared(node) == 4


async def node_told(node: Node, ada: Listener) -> None:
    """Tell of 3 and 4, where 4 waits for room."""
    assert ada.session.shared(3)
    await node.hear(event(3, 0))
    assert ada.session.shared(4)
    node.topics.heard(ALL, SharedChange(4, 3))


async def test_who_is_at_the_version_of_the_database_is_known_to_be_a_member_without_a_read(node: Node) -> None:
    node.store.topics, node.store.as_of = {ADA: ["sales"]}, 1
    ada = node.come(ADA)
    await node.follow(ADA)
    bring(ada, 0)
    await node.hear(moved(3, 0), topic=SALES)
    node.store.at, node.store.log = {SALES: TopicHead(0, 3)}, 3
    await compared(node)
    await node.hear(event(4, 3), topic=SALES)
    assert ada.frames == [b"4"]
