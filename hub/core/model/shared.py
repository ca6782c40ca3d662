"""Topics and the shared log: one event for an audience of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hub.core.model.terms import TopicKey


class SharedEvent(NamedTuple):
    """A committed event of the shared log, as told to whoever follows its topic: it is worth a read.

    `previous` is the topic's event before it (0: none). Who was told of another one before has missed something.
    """

    key: TopicKey
    position: int
    previous: int


@dataclass(frozen=True, slots=True)
class SharedState:
    """What became of a notification for a shared audience. Without `position` it has not appeared (yet)."""

    topic: str
    position: int | None = None
    appeared_at: int | None = None
    gone: bool = False
