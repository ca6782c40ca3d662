"""Topics and the shared log: one event for an audience of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hub.core.model.terms import TopicKey


class SharedEvent(NamedTuple):
    """A committed event of the shared log, as told to whoever follows its topic: it is worth a read.

    `previous` is what happened in the topic before it, joining and leaving included (0: nothing). Who was told of
    something else before has missed something. `appeared_at` is known where an item has just appeared by it.
    """

    key: TopicKey
    position: int
    previous: int
    appeared_at: int | None = None


class TopicHead(NamedTuple):
    """How far a topic has got."""

    position: int
    """Its last event's; 0: there has been none."""
    members_at: int
    """The last join's or leave's."""

    @property
    def last(self) -> int:
        """The position of whatever happened last."""
        return max(self)


@dataclass(frozen=True, slots=True)
class SharedState:
    """What became of a notification for a shared audience. Without `position` it has not appeared (yet)."""

    topic: str
    position: int | None = None
    appeared_at: int | None = None
    gone: bool = False
