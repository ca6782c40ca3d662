"""Which topics the users here are members of, and telling them what is published there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from hub.core.cursor import Cursor
from hub.core.model import Head, InboxKey, TopicHead, TopicKey
from hub.core.wire import SharedChange
from hub.gateway.news import SharedNews
from hub.gateway.registry import Registry
from hub.gateway.tasks import Tasks
from hub.gateway.topic import HOLD, Heard, Topic
from hub.ports import Bus
from hub.service import Following, Hub

SLICE = 200
"""Members told at a time; between two slices the loop goes on, and whoever has just come is read for first."""

WAITING = 100
"""Items of one topic that wait to be told; beyond that its members read instead."""

log = structlog.get_logger(__name__)


class Checked(NamedTuple):
    """How far a tenant's log was when topics were compared with it."""

    position: int
    told: int
    """Up to here members have been told of everything, or have been made to read."""


class _Memberships:
    """What a user follows. Every change of it is a version of the inbox: the same version, the same topics."""

    __slots__ = ("as_of", "changed_at", "epoch", "since", "topics", "version")

    def __init__(self, head: Head, following: Following) -> None:
        self.epoch = head.epoch
        self.version = head.version
        self.as_of = following.as_of
        """It takes everything into account that happened up to this position of the log."""
        self.since = head.position
        """Before this it may have been different: then it could only be read."""
        self.changed_at = 0
        """When the user last joined or left something, as far as has been heard."""
        self.topics = (*following.member, *following.left)

    def covers(self, news: SharedNews) -> bool:
        """Whether it is known to be so in the moment of this event."""
        return self.since < news.position and news.sure_since <= self.as_of and self.changed_at <= self.as_of


class Topics:
    """Topics by key.

    After a read of inboxes `follow` has to be awaited; a member whose answer is older than `reach` reads once more.
    So nothing is missed: a member that joined later was read later, and whatever is published after the topic is
    heard here raises `reach`.

    An item is told directly to members who are known to be just that in the moment when it appeared, if all that
    happened in the topic before it has been heard. Everybody else reads.
    """

    def __init__(  # noqa: PLR0917 - the parts of one gateway
        self,
        hub: Hub,
        registry: Registry,
        bus: Bus,
        tasks: Tasks,
        has_room: Callable[[], Awaitable[None]],
        delivered: Callable[[int], None],
    ) -> None:
        """`has_room` returns when more members may be told to read; `delivered` counts who was told directly."""
        self._hub = hub
        self._registry = registry
        self._bus = bus
        self._tasks = tasks
        self._has_room = has_room
        self._delivered = delivered
        self._topics: dict[TopicKey, Topic] = {}
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
            found = await self._hub.topics.following(unknown)
            for key in unknown:
                self._place(key, heads[key], found[key])
        await self._subscribe(topic for key in heads for topic in self._topics_of(key))

    def reach(self, key: InboxKey) -> int:
        """Return the position of the last event that is known here of the user's topics."""
        return max((self._topics[topic].event for topic in self._topics_of(key)), default=0)

    def heard(self, key: TopicKey, change: SharedChange) -> None:
        """Take in what happened in a topic: its members here are told, or read."""
        topic = self._topics.get(key)
        if topic is None:
            return
        waits = bool(topic.held)
        self._take(key.tenant, topic, topic.put(change))
        if topic.held and not waits:
            self._tasks.spawn(self._go_on(key.tenant, topic), "topic-gap")

    async def compare(self, batch: int) -> Mapping[str, Checked]:
        """Compare topics with the database, so many at a time; members read what has not been heard here.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        logs = await self._hub.topics.log_positions({key.tenant for key in self._topics})
        keys = self.keys()  # only now: whoever comes later is compared, when subscribed, with at least these logs
        ahead: dict[TopicKey, TopicHead] = {}
        for start in range(0, len(keys), batch):
            heads = await self._hub.topics.heads(keys[start : start + batch])
            ahead |= {key: head for key, head in heads.items() if self._behind(key, head)}
        if ahead:
            await asyncio.sleep(HOLD)  # what is on its way is not lost
            for key, head in ahead.items():
                self._catch_up(key, head)
        told = dict(logs)
        for key, topic in self._topics.items():
            if key.tenant in told and not topic.settled:
                told[key.tenant] = min(told[key.tenant], topic.told)
        return {tenant: Checked(position, told[tenant]) for tenant, position in logs.items()}

    def confirm(self, key: InboxKey, cursor: Cursor, checked: Mapping[str, Checked]) -> None:
        """Take in where an inbox was, after `compare`: what is certain now need not be read."""
        known, at = self._of.get(key), checked.get(key.tenant)
        if known is None or at is None:
            return
        # Joining and leaving are versions that are never told, only read: who is at this version knows of them.
        confirmed = [
            connection.session.confirm(cursor.epoch, cursor.version, at.told)
            for connection in self._registry.connections(key)
        ]
        if any(confirmed):
            known.as_of = max(known.as_of, at.position)

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

    # Who follows what

    def _topics_of(self, key: InboxKey) -> Sequence[TopicKey]:
        memberships = self._of.get(key)
        return () if memberships is None else memberships.topics

    def _knows(self, key: InboxKey, head: Head) -> bool:
        """Whether a user's topics are known as of this head, or later."""
        known = self._of.get(key)
        if known is None or known.epoch != head.epoch or known.version < head.version:
            return False
        known.as_of = max(known.as_of, head.position)
        return True

    def _place(self, key: InboxKey, head: Head, following: Following) -> None:
        """Note what a user follows, unless another read knew better, or the user has gone."""
        if self._knows(key, head) or not self._registry.count(key):
            return
        before = self._topics_of(key)
        if before and self._of[key].epoch != head.epoch:
            for name in before:
                self._topics[name].begin_anew()  # it may be another log, with other positions
        known = self._of[key] = _Memberships(head, following)
        for name in known.topics:
            topic = self._topics.setdefault(name, Topic())
            topic.members[key] = name in following.member
            if topic.members_at > known.as_of:  # it may have been this user, while the memberships were read
                known.changed_at = max(known.changed_at, topic.members_at)
        self._leave(key, set(before) - set(known.topics))

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
        for key, head in (await self._hub.topics.heads(list(fresh))).items():
            self._catch_up(key, head)

    # What is heard

    def _behind(self, key: TopicKey, head: TopicHead) -> bool:
        topic = self._topics.get(key)
        return topic is not None and topic.last < head.last

    def _catch_up(self, key: TopicKey, head: TopicHead) -> None:
        """Take in how far a topic is; its members here that are not that far read."""
        if not self._behind(key, head):
            return
        topic = self._topics[key]
        following = topic.catch_up(head)
        if head.position > topic.event:
            self._add(topic, SharedNews(head.position))
        self._take(key.tenant, topic, following)

    async def _go_on(self, tenant: str, topic: Topic) -> None:
        """Wait for what is missing, and then no more."""
        await asyncio.sleep(HOLD)
        self._take(tenant, topic, topic.go_on())

    def _take(self, tenant: str, topic: Topic, heard: Sequence[Heard]) -> None:
        for change, whole in heard:
            if not whole:
                topic.sure_since = change.previous
            if change.users is None:
                self._add(topic, SharedNews(change.position, change.frame if whole else None, topic.sure_since))
                continue
            if not whole:  # what is missing may have been an item
                self._add(topic, SharedNews(change.previous))
            topic.members_at = change.position
            if not change.users:
                topic.sure_since = change.position
            for user in change.users:
                if (known := self._of.get(InboxKey(tenant, user))) is not None:
                    known.changed_at = max(known.changed_at, change.position)

    # Telling them

    def _add(self, topic: Topic, news: SharedNews) -> None:
        if news.position <= topic.event:
            return
        if topic.waiting is None:
            topic.told = topic.event
            topic.waiting = deque((news,))
            self._tasks.spawn(self._tell(topic, topic.waiting), "topic")
        elif len(topic.waiting) < WAITING:
            topic.waiting.append(news)
        else:
            topic.waiting.clear()
            topic.waiting.append(SharedNews(news.position))
        topic.event = news.position

    async def _tell(self, topic: Topic, waiting: deque[SharedNews]) -> None:
        """Tell every member's connections what waits, in order."""
        try:
            while waiting:
                news = waiting.popleft()
                members = list(topic.members)
                reading = news.frame is None
                for start in range(0, len(members), SLICE):
                    if reading:
                        await self._has_room()
                    told = self._tell_slice(topic, members[start : start + SLICE], news)
                    reading = told < SLICE
                    self._delivered(told)
                    await asyncio.sleep(0)  # let the loop do something else
                topic.told = news.position
        finally:
            topic.waiting = None

    def _tell_slice(self, topic: Topic, members: Sequence[InboxKey], news: SharedNews) -> int:
        """Tell members of one event; returns how many connections have it by that."""
        count = 0
        for key in members:
            direct = news.frame is not None and topic.members.get(key, False) and self._of[key].covers(news)
            for connection in self._registry.connections(key):
                try:
                    if direct:
                        count += connection.hear_shared(news)
                    else:
                        connection.log_moved(news.position)
                except Exception:  # the others are to hear of it all the same
                    log.exception("topic_not_told", connection=connection.session.connection)
                    connection.cut("internal")
        return count
