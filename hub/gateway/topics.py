"""Which topics the users here are members of, and having members read when there is news of a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from hub.core.model import Head, InboxKey, TopicKey
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.ports import Bus
from hub.service import Hub

SLICE = 200
"""Members told at a time; between two slices the loop goes on, and whoever has just come is read for first."""

log = structlog.get_logger(__name__)


class _Topic:
    """A topic with a member here."""

    __slots__ = ("last", "members", "subscribed", "telling")

    def __init__(self) -> None:
        self.last = -1
        """Its last event that is known here, 0 if there is none; -1: not known yet. Members are told of it."""
        self.members: dict[InboxKey, None] = {}
        self.subscribed = False
        self.telling = False


class _Memberships(NamedTuple):
    """What a user is a member of. Every change of it is a version of the inbox: the same version, the same topics."""

    epoch: str
    version: int
    topics: tuple[TopicKey, ...]


class Topics:
    """Topics by key.

    After a read of inboxes `follow` has to be awaited; a member whose answer is older than `reach` reads once more.
    So nothing is missed: a member that joined later was read later, and whatever is published after the topic is
    heard here raises `reach`.
    """

    def __init__(
        self, hub: Hub, registry: Registry, bus: Bus, tasks: Tasks, has_room: Callable[[], Awaitable[None]]
    ) -> None:
        """`has_room` returns when more members may be told to read."""
        self._hub = hub
        self._registry = registry
        self._bus = bus
        self._tasks = tasks
        self._has_room = has_room
        self._topics: dict[TopicKey, _Topic] = {}
        self._of: dict[InboxKey, _Memberships] = {}
        self._left: dict[TopicKey, None] = {}
        """Topics whose last member has gone."""

    def __len__(self) -> int:
        """Return how many topics have a member here."""
        return len(self._topics)

    def keys(self) -> list[TopicKey]:
        """Return the topics that have a member here."""
        return list(self._topics)

    async def follow(self, heads: Mapping[InboxKey, Head]) -> None:
        """Learn what these users, just read, are members of; return once the bus has confirmed those topics.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        unknown = [key for key, head in heads.items() if not self._knows(key, head)]
        if unknown:
            # Read after the heads: what changes later has a later version, so it is told, and read again.
            found = await self._hub.topics.heard_by(unknown)
            for key in unknown:
                self._place(key, heads[key], tuple(found[key]))
        await self._subscribe(topic for key in heads for topic in self._topics_of(key))

    def reach(self, key: InboxKey) -> int:
        """Return the position of the last event that is known here of the user's topics."""
        return max((self._topics[topic].last for topic in self._topics_of(key)), default=0)

    def heard(self, key: TopicKey, position: int) -> None:
        """Take in that a topic has got to a position; its members here that do not hold it read."""
        topic = self._topics.get(key)
        if topic is None or position <= topic.last:
            return
        topic.last = position
        if position and not topic.telling:
            topic.telling = True
            self._tasks.spawn(self._tell(topic), "topic")

    def forget(self, key: InboxKey) -> None:
        """Forget a user who has left; `unsubscribe` has to be awaited then. Idempotent."""
        memberships = self._of.pop(key, None)
        if memberships is not None:
            self._leave(key, memberships.topics)

    async def unsubscribe(self) -> None:
        """Hear no more of topics that have no member here."""
        left, self._left = self._left, {}
        gone = [key for key in left if key not in self._topics]
        if gone:
            await self._bus.unsubscribe(gone)

    # Parts

    def _topics_of(self, key: InboxKey) -> Sequence[TopicKey]:
        memberships = self._of.get(key)
        return () if memberships is None else memberships.topics

    def _knows(self, key: InboxKey, head: Head) -> bool:
        """Whether a user's topics are known as of this head, or later."""
        known = self._of.get(key)
        return known is not None and known.epoch == head.epoch and known.version >= head.version

    def _place(self, key: InboxKey, head: Head, topics: tuple[TopicKey, ...]) -> None:
        """Note what a user is a member of, unless another read knew better, or the user has gone."""
        if self._knows(key, head) or not self._registry.count(key):
            return
        before = self._topics_of(key)
        if before and self._of[key].epoch != head.epoch:
            for topic in before:
                self._topics[topic].last = -1  # it may be another log, where positions begin anew
        self._of[key] = _Memberships(head.epoch, head.version, before if before == topics else topics)
        for topic in topics:
            self._topics.setdefault(topic, _Topic()).members[key] = None
        self._leave(key, set(before) - set(topics))

    def _leave(self, key: InboxKey, topics: Iterable[TopicKey]) -> None:
        for topic in topics:
            members = self._topics[topic].members
            del members[key]
            if not members and self._topics.pop(topic).subscribed:
                self._left[topic] = None

    async def _subscribe(self, keys: Iterable[TopicKey]) -> None:
        fresh = {key: topic for key in keys if (topic := self._topics[key]).last < 0}
        if not fresh:
            return
        await self._bus.subscribe(list(fresh))
        for key, topic in fresh.items():
            topic.subscribed = True
            if self._topics.get(key) is not topic:  # its last member has gone meanwhile
                self._left[key] = None
        # What was published since the read of the inboxes, and before the topic was heard here.
        for key, position in (await self._hub.topics.positions(list(fresh))).items():
            self.heard(key, position)

    async def _tell(self, topic: _Topic) -> None:
        """Tell every member's connections how far a topic has got, and again while it gets further."""
        told = 0
        try:
            while told < topic.last:
                told = topic.last
                members = list(topic.members)
                for start in range(0, len(members), SLICE):
                    await self._has_room()
                    self._tell_slice(members[start : start + SLICE], told)
                    await asyncio.sleep(0)  # let the loop do something else
        finally:
            topic.telling = False

    def _tell_slice(self, members: Sequence[InboxKey], position: int) -> None:
        for key in members:
            for connection in self._registry.connections(key):
                try:
                    connection.log_moved(position)
                except Exception:  # the others are to hear of it all the same
                    log.exception("topic_not_told", connection=connection.session.connection)
                    connection.cut("internal")
