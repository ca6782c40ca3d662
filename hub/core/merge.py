"""Putting one inbox's live changes into version order, for one connection, with the news of its topics among them.

The driver subscribes first, then reads a snapshot, and pushes what it hears meanwhile. Every change comes out at
most once, in version order, without a gap; where a gap stays open a read of the database closes it.

Events of the shared log come from each topic in its order, but one topic may be late, and what is lost shows only with
its next event. So `position`, from where the client may resume, comes from reads, or follows once the database has been
asked whether anything is missing (`confirm`). `told` is how far its counts have got: an own change whose counts are of
another moment of the log is read instead of forwarded, and so is an event that the counts may have in them already.
"""

from __future__ import annotations

from collections.abc import Sequence

from hub.core.cursor import Cursor
from hub.core.model import Head
from hub.core.wire import LiveChange

HOLD_MS = 50
"""Milliseconds that a change which came too early waits for those before it."""

HELD_LIMIT = 64
"""Changes held at once, per connection; each is at most 4 kB."""


class Merge:
    """Begins with a read under way: nothing comes out before the first `settle`.

    A read must start after `begin_read`, so that it sees everything that was pushed before.
    """

    __slots__ = (
        "_known",
        "_log",
        "_told",
        "deadline",
        "epoch",
        "position",
        "reading",
        "told",
        "unread",
        "unseen",
        "version",
        "waiting",
        "wants_read",
    )

    def __init__(self) -> None:
        self.epoch = ""
        self.version = -1
        self.position = 0
        """Everything of the user's topics up to here has been told, for certain."""
        self.told = 0
        """The last event that the counts of the client have in them."""
        self.unread = 0
        self.unseen = 0
        """These counts."""
        self.reading = True
        """A read is under way; there is never more than one."""
        self.wants_read = False
        """The gap will not close by itself: call `begin_read` and read the database."""
        self.deadline: int | None = None
        """When to call `expire`."""
        self.waiting: dict[int, LiveChange] | None = None
        """Changes by version that came before those in front of them; None if there are none."""
        self._told: LiveChange | None = None
        """While reading: the newest change that we know of but could not hold."""
        self._known = 0
        """Events of the user's topics up to here are held, or seen by the read that follows."""
        self._log = 0
        """While reading: the last event later than those."""

    @property
    def cursor(self) -> Cursor:
        """Where the connection is."""
        return Cursor(self.epoch, self.version, self.position)

    def push(self, change: LiveChange, now: int) -> Sequence[LiveChange]:
        """Take a change that was heard; returns what can be forwarded now, in order."""
        if self.reading:
            self._hold_while_reading(change)
            return ()
        if change.epoch != self.epoch:
            self.wants_read = True
            return ()
        if change.version <= self.version:
            return ()
        if change.frame is None:
            self.wants_read = True
            return ()
        if change.version == self.version + 1:
            self._hold(change)
            return self._following(now)
        if self._hold(change) > HELD_LIMIT:
            self.wants_read = True
        elif self.deadline is None:
            self.deadline = now + HOLD_MS
        return ()

    def hear_of(self, position: int) -> None:
        """Take in that a topic of the user's has got to a position of the log."""
        if position <= self._known or position == self.told:
            return
        if self.reading:
            self._log = max(self._log, position)
        else:
            self._known = position
            self.wants_read = True

    def take_shared(self, position: int) -> bool:
        """Take an item that has appeared in a topic, after all that came before it there.

        True: it is to be forwarded. Else it is held already, or has to be read, as `hear_of` says.
        """
        if position == self.told:
            return False
        if self.reading or position < self.told:
            self.hear_of(position)
            return False
        self.told = position
        self.unread += 1
        self.unseen += 1
        return True

    def confirm(self, epoch: str, version: int, position: int) -> bool:
        """Take in that the inbox was at a version after all that its topics had up to `position` had been told here.

        False: there is more than the client has been told, or may be; then nothing is certain.
        """
        if self.reading or self.wants_read or self.epoch != epoch or self.version < version:
            return False
        self.position = max(self.position, min(self.told, position))
        return True

    def expire(self) -> None:
        """Give up waiting for what is missing."""
        self.wants_read = True

    def begin_read(self) -> Cursor:
        """Note that a read starts now; returns the cursor to read after."""
        self.reading = True
        self.wants_read = False
        self.deadline = None
        self.waiting = None  # all of it was committed before the read begins, so the read will see it
        return self.cursor

    def settle(self, head: Head, now: int) -> Sequence[LiveChange]:
        """Take the head that was read; returns the changes after it that can be forwarded now, in order."""
        told, self._told = self._told, None
        self.reading = False
        self._known = head.position if self.epoch != head.epoch else max(self._known, head.position)
        self.epoch = head.epoch
        self.version = head.version
        self.position = self.told = head.position
        self.unread, self.unseen = head.counts
        held, self.waiting = self.waiting or {}, None
        for change in held.values():
            if change.epoch != head.epoch:
                self.wants_read = True
            elif change.version > head.version:
                self._hold(change)
        if told is not None and (told.epoch != head.epoch or told.version > head.version):
            self.wants_read = True
        log, self._log = self._log, 0
        self.hear_of(log)
        return self._following(now)

    def _hold_while_reading(self, change: LiveChange) -> None:
        if change.frame is not None and len(self.waiting or ()) < HELD_LIMIT:
            self._hold(change)
        elif self._told is None or self._told.epoch != change.epoch or self._told.version < change.version:
            self._told = change

    def _following(self, now: int) -> list[LiveChange]:
        """Take what follows without a gap out of the held changes; the clock starts anew for the rest."""
        ready: list[LiveChange] = []
        waiting = {} if self.waiting is None else self.waiting
        while (change := waiting.pop(self.version + 1, None)) is not None:
            if change.position != self.told:
                self.wants_read = True
                break
            self.version, self.unread, self.unseen = change.version, change.unread, change.unseen
            ready.append(change)
        self.waiting = waiting or None
        self.deadline = now + HOLD_MS if waiting else None
        return ready

    def _hold(self, change: LiveChange) -> int:
        """Keep a change for later; returns how many there are now."""
        if self.waiting is None:
            self.waiting = {}
        self.waiting[change.version] = change
        return len(self.waiting)
