"""One topic as a node knows it: its members here, and the order of what is heard of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from hub.core.model import InboxKey, TopicHead
from hub.core.wire import SharedChange
from hub.gateway.news import SharedNews

HOLD = 0.05
"""Seconds that something which came too early waits for what happened before it."""

HELD_LIMIT = 64
"""How much waits of one topic at once; each is at most 4 kB."""


class Heard(NamedTuple):
    """What has happened in a topic, after all that was heard before; `whole`: and nothing is missing in between."""

    change: SharedChange
    whole: bool


class Topic:
    """A topic with a member here."""

    __slots__ = (
        "event",
        "held",
        "last",
        "members",
        "members_at",
        "subscribed",
        "sure_since",
        "told",
        "waiting",
    )

    def __init__(self) -> None:
        self.members: dict[InboxKey, bool] = {}
        """False: the user has left it, and can only read what becomes of what they saw."""
        self.subscribed = False
        self.waiting: deque[SharedNews] | None = None
        """What members are being told; None if nothing."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Know nothing of what has happened."""
        self.last = -1
        """Where the last happened in it that is known here, 0 if nothing has; -1: not known yet."""
        self.event = 0
        """The last that its members have to be told of: they are not when somebody joins or leaves."""
        self.told = -1
        """All of them have been told up to here; kept while there is more to tell."""
        self.members_at = 0
        """When somebody last joined or left, as far as is known."""
        self.sure_since = 0
        """Everybody who joined or left after this has been heard of."""
        self.held: dict[int, SharedChange] = {}
        """What came too early, by what happened before it."""

    @property
    def settled(self) -> bool:
        """Whether members have been told all that is known, and something is."""
        return self.waiting is None and self.last >= 0

    def put(self, change: SharedChange) -> Sequence[Heard]:
        """Take what was heard, in any order; returns what comes next now, in order."""
        if change.position <= self.last:
            return ()
        if 0 <= self.last < change.previous:
            self.held[change.previous] = change
            return self.go_on() if len(self.held) > HELD_LIMIT else ()
        return self._following(change)

    def go_on(self) -> Sequence[Heard]:
        """Wait no more for what is missing; returns what was held."""
        held, self.held = self.held, {}
        return [heard for _, change in sorted(held.items()) for heard in self._following(change)]

    def catch_up(self, head: TopicHead) -> Sequence[Heard]:
        """Take in how far the topic was, by the database; returns what was held and comes next now."""
        self.last = head.last
        self.members_at = self.sure_since = head.members_at
        self.held = {previous: change for previous, change in self.held.items() if previous >= head.last}
        following = self.held.pop(head.last, None)
        return () if following is None else self._following(following)

    def _following(self, change: SharedChange) -> list[Heard]:
        """Go on with something, and with what was held because it comes after it."""
        ready: list[Heard] = []
        following: SharedChange | None = change
        while following is not None and following.position > self.last:
            ready.append(Heard(following, following.previous == self.last))
            self.last = following.position
            following = self.held.pop(self.last, None)
        return ready
