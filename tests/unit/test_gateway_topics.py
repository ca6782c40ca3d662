"""What a gateway knows of topics, with a bus in memory and a store that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from hub.bus.memory import MemoryBus
from hub.core.errors import StoreUnavailable
from hub.core.model import BROADCAST, Counts, Head, InboxKey, TopicKey
from hub.core.session import Session
from hub.gateway.connection import Connection, Host
from hub.gateway.flusher import Flusher
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.gateway.topics import SLICE, Topics
from hub.service import Hub
from tests.support.listener import PATIENCE

ADA, GRACE = InboxKey("default", "ada"), InboxKey("default", "grace")
SALES, NEWS = TopicKey("default", "sales"), TopicKey("default", "news")
ALL = TopicKey("default", BROADCAST)


class Store:
    """Memberships and positions, and what was asked of them."""

    def __init__(self) -> None:
        self.topics: dict[InboxKey, list[str]] = {}
        self.reached: dict[TopicKey, int] = {}
        self.asked: list[InboxKey] = []
        self.away = False

    async def heard_by(self, keys: Sequence[InboxKey]) -> Mapping[InboxKey, Sequence[TopicKey]]:
        self.asked += keys
        return {key: [ALL, *(TopicKey("default", name) for name in self.topics.get(key, ()))] for key in keys}

    async def positions(self, topics: Sequence[TopicKey]) -> Mapping[TopicKey, int]:
        if self.away:
            raise StoreUnavailable
        return {topic: self.reached.get(topic, 0) for topic in topics}


class Listener(Connection):
    """A connection that keeps what it is told."""

    __slots__ = ("broken", "told")

    def __init__(self) -> None:
        super().__init__(cast(Host, None), Session("c", 0))
        self.told: list[int] = []
        self.broken = False

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
        self.topics = Topics(hub, self.registry, self.bus, self.tasks, self.has_room)

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

    async def follow(self, *keys: InboxKey, version: int = 1, epoch: str = "e") -> None:
        await self.topics.follow(dict.fromkeys(keys, Head(epoch, version, 0, Counts(0, 0))))

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
    node.topics.heard(SALES, 5)
    await node.quiet()
    node.topics.heard(ALL, 6)
    node.topics.heard(TopicKey("default", "unknown"), 7)
    node.topics.heard(TopicKey("acme", "sales"), 8)
    await node.quiet()
    assert (ada.told, grace.told) == ([5, 6], [6])
    assert (node.topics.reach(ADA), node.topics.reach(GRACE)) == (6, 6)


async def test_an_event_heard_twice_is_told_once(node: Node) -> None:
    ada = node.come(ADA)
    await node.follow(ADA)
    for position in (3, 3, 2):
        node.topics.heard(ALL, position)
        await node.quiet()
    assert ada.told == [3]


async def test_what_was_published_between_the_read_and_the_subscription_is_told(node: Node) -> None:
    node.store.topics, node.store.reached = {ADA: ["sales"]}, {SALES: 4}
    ada = node.come(ADA)
    await node.follow(ADA)
    assert node.topics.reach(ADA) == 4
    await node.quiet()
    assert ada.told == [4]


async def test_a_member_that_comes_later_reaches_as_far_as_is_known_here(node: Node) -> None:
    node.come(ADA)
    await node.follow(ADA)
    node.topics.heard(ALL, 9)
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
    node.topics.heard(SALES, 5)
    node.topics.heard(NEWS, 6)
    await node.quiet()
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
    heard_by, subscribe = node.store.heard_by, node.bus.subscribe

    async def leave_first(keys: Sequence[InboxKey]) -> Mapping[InboxKey, Sequence[TopicKey]]:
        node.go(ADA, ada)
        return await heard_by(keys)

    async def leave_then(keys: Sequence[InboxKey | TopicKey]) -> None:
        node.go(ADA, ada)
        await subscribe(keys)

    node.store.heard_by = leave_first  # type: ignore[method-assign] # this one call
    await node.follow(ADA)
    assert (node.subscribed, len(node.topics)) == (set(), 0)
    node.store.heard_by = heard_by  # type: ignore[method-assign] # as it was
    ada = node.come(ADA)
    node.bus.subscribe = leave_then  # type: ignore[method-assign] # this one call
    await node.follow(ADA)
    await node.topics.unsubscribe()
    assert (node.subscribed, len(node.topics)) == (set(), 0)


async def test_while_the_store_is_away_a_topic_counts_as_not_yet_known(node: Node) -> None:
    ada, node.store.reached = node.come(ADA), {ALL: 7}
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
    node.topics.heard(ALL, 1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(member.told for member in members), "nobody is told before there is room"
    node.topics.heard(ALL, 2)
    node.room.set()
    await node.quiet()
    assert {tuple(member.told) for member in members} == {(1, 2)}
    assert node.waited == 6


async def test_a_connection_that_fails_keeps_the_news_from_nobody(node: Node) -> None:
    ada, grace = node.come(ADA), node.come(GRACE)
    await node.follow(ADA, GRACE)
    ada.broken = True
    node.topics.heard(ALL, 1)
    await node.quiet()
    assert grace.told == [1]
    assert ada.ended
