"""Which channels one connection should hear, and which the server has confirmed. No I/O: `Link` moves the commands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import islice

from hub.bus.names import partition_in
from hub.core.model import InboxKey, TopicKey

CHUNK = 500
"""Channels per command: a command blocks the server for as long as it takes."""

WINDOW = 32
"""Commands under way at once: their confirmations must not fill the server's output buffer."""

WANTED, LIVE, ASKED, UNHEARD = 1, 2, 4, 8

Target = InboxKey | TopicKey | Callable[[bytes], None]
"""What a channel's messages are about, or what handles them."""


class Entry:
    """One channel: whose it is, how it stands (`WANTED` …), and who waits for its confirmation."""

    __slots__ = ("state", "target", "waiters")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.state = 0
        self.waiters: list[Waiter] | None = None


class Waiter:
    """One call that waits for any number of channels."""

    __slots__ = ("done", "left")

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def release(self) -> None:
        """Count one channel as confirmed, or as nothing to wait for any longer."""
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


class Subscriptions:
    """Brings a connection's subscriptions to what is wanted, with at most one command per channel under way.

    Because of that, a reply always speaks of the newest command, and any order of subscribe and unsubscribe
    ends where the last call wanted it. A channel wanted no more is kept for one to two `sweep`s: whoever comes back
    meanwhile finds it confirmed.
    """

    def __init__(self, on_gap: Callable[[], None], on_dirty: Callable[[], None], *, sharded: bool = False) -> None:
        """`on_gap` is called when all channels that were, or may have been, unheard for a while are heard again.

        `on_dirty` is called when there are commands to `take`. `sharded`: a command takes channels of one partition.
        """
        self._on_gap = on_gap
        self._on_dirty = on_dirty
        self._sharded = sharded
        self.entries: dict[bytes, Entry] = {}
        self._joining: dict[int, dict[bytes, None]] = {}
        self._parting: dict[int, dict[bytes, None]] = {}
        self._under_way: deque[tuple[bool, set[bytes]]] = deque()
        self._refused: set[bytes] = set()
        self._left_lately: set[bytes] = set()
        self._left_before: set[bytes] = set()
        self._unheard = 0

    def confirmed(self, channel: bytes) -> bool:
        """Tell whether the server has confirmed this channel, and nothing else was asked for since."""
        entry = self.entries.get(channel)
        return entry is not None and entry.state & (WANTED | LIVE | ASKED) == WANTED | LIVE

    def add(self, channel: bytes, target: Target, waiter: Waiter) -> None:
        """Want a channel; `waiter` counts it unless it is confirmed already."""
        entry = self.entries.get(channel)
        if entry is None:
            entry = self.entries[channel] = Entry(target)
        entry.state |= WANTED
        self._reconcile(channel, entry)
        if entry.state & (LIVE | ASKED) != LIVE:
            waiter.left += 1
            if entry.waiters is None:
                entry.waiters = []
            entry.waiters.append(waiter)

    def remove(self, channel: bytes) -> None:
        """Want a channel no more, from now on; the server is told by a later `sweep`. Whoever waits is let go."""
        entry = self.entries.get(channel)
        if entry is None or not entry.state & WANTED:
            return
        entry.state &= ~WANTED
        self._release(entry)
        if entry.state & (LIVE | ASKED):
            self._left_lately.add(channel)
        self._reconcile(channel, entry)
        self._heard(entry)

    def sweep(self) -> bool:
        """Part with the channels that were wanted no more at the last sweep; True if others are to follow."""
        over, self._left_before = self._left_before, self._left_lately
        self._left_lately = set()
        for channel in over:
            self._reconcile(channel, self.entries[channel])
        return bool(self._left_before)

    def give_up(self, channels: Iterable[bytes]) -> None:
        """Note that somebody stopped waiting: `on_gap` is due once the confirmations come after all."""
        for channel in channels:
            entry = self.entries.get(channel)
            if entry is not None and entry.state & WANTED and not self.confirmed(channel):
                self._mark_unheard(entry)

    def connection_lost(self) -> None:
        """Start anew: on the next connection everything wanted is asked for again, then `on_gap` is called."""
        self._under_way.clear()
        for container in (self._joining, self._parting, self._refused, self._left_lately, self._left_before):
            container.clear()
        kept = self._wanted(self.entries)
        self.entries.clear()
        self._unheard = 0
        self.adopt(kept)

    def take(self) -> tuple[bool, list[bytes]] | None:
        """Return the next command, whether it subscribes and its channels; None when all is asked for by now."""
        for subscribes, queue in ((True, self._joining), (False, self._parting)):
            if queue and len(self._under_way) < WINDOW:
                group, waiting = next(iter(queue.items()))
                channels = list(islice(waiting, CHUNK))
                for channel in channels:
                    del waiting[channel]
                    self.entries[channel].state |= ASKED
                if not waiting:
                    del queue[group]
                self._under_way.append((subscribes, set(channels)))
                return subscribes, channels
        return None

    def replied(self, channel: bytes, *, subscribed: bool) -> bool:
        """Take in the server's word on a channel. False if it unsubscribed what nobody asked it to."""
        asked = False
        if self._under_way:
            subscribes, channels = self._under_way[0]
            if subscribes is subscribed and channel in channels:
                asked = True
                channels.discard(channel)
                if not channels:
                    self._next_command()
        entry = self.entries.get(channel)
        if entry is None:
            return True
        if not asked and not subscribed:
            return not self._lost(channel, entry)
        entry.state = entry.state & ~(ASKED | LIVE) | (LIVE if subscribed else 0)
        self._reconcile(channel, entry)
        if entry.state & (WANTED | LIVE) == WANTED | LIVE:
            self._release(entry)
            self._heard(entry)
        return True

    def refused(self) -> None:
        """Take in an error reply: it is to the oldest command under way, whose channels then wait for a `retry`."""
        if not self._under_way:
            return
        subscribes, channels = self._under_way[0]
        for channel in channels:
            entry = self.entries.get(channel)
            if entry is not None and entry.state & ASKED:
                entry.state &= ~ASKED
                if not subscribes:
                    entry.state &= ~LIVE  # not this server's any more, so neither is the subscription
                self._refuse(channel, entry)
        self._next_command()

    def retry(self) -> None:
        """Ask again for what was refused or lost."""
        refused, self._refused = self._refused, set()
        for channel in refused:
            entry = self.entries.get(channel)
            if entry is not None:
                self._reconcile(channel, entry)

    def hand_over(self, partitions: Collection[int]) -> dict[bytes, Entry]:
        """Give away the channels of some partitions, as far as they are wanted."""
        theirs = {channel: entry for channel, entry in self.entries.items() if partition_in(channel) in partitions}
        for channel, entry in theirs.items():
            self._forget(channel)
            self._unheard -= entry.state & UNHEARD == UNHEARD
        return self._wanted(theirs)

    def adopt(self, entries: dict[bytes, Entry]) -> None:
        """Take over channels, none of them subscribed here; `on_gap` is called once all are heard."""
        self.entries.update(entries)
        for channel, entry in entries.items():
            entry.state = WANTED
            self._mark_unheard(entry)
            self._reconcile(channel, entry)

    def release_all(self) -> None:
        """Let everybody go who waits."""
        for entry in self.entries.values():
            self._release(entry)

    @staticmethod
    def _wanted(entries: dict[bytes, Entry]) -> dict[bytes, Entry]:
        return {channel: entry for channel, entry in entries.items() if entry.state & WANTED}

    def _reconcile(self, channel: bytes, entry: Entry) -> None:
        """Queue the command that brings a channel to what is wanted, if one is needed and none is under way."""
        if entry.state & ASKED:
            return
        wanted, live = bool(entry.state & WANTED), bool(entry.state & LIVE)
        group = partition_in(channel) if self._sharded else 0
        for queue, needed in ((self._joining, wanted and not live), (self._parting, live and not wanted)):
            if needed and not self._lingers(channel):
                queue.setdefault(group, {})[channel] = None
                self._on_dirty()
            else:
                _discard(queue, group, channel)
        if not wanted and not live:
            self._forget(channel)

    def _lingers(self, channel: bytes) -> bool:
        return channel in self._left_lately or channel in self._left_before

    def _lost(self, channel: bytes, entry: Entry) -> bool:
        """Note that the server ended a subscription of its own accord; True if somebody wants it."""
        if entry.state & (LIVE | ASKED) != LIVE:
            return False  # an answer to a command that was taken for refused
        entry.state &= ~LIVE
        self._refuse(channel, entry)
        return bool(entry.state & WANTED)

    def _refuse(self, channel: bytes, entry: Entry) -> None:
        if entry.state & WANTED:
            self._mark_unheard(entry)
            self._refused.add(channel)
        else:
            self._reconcile(channel, entry)

    def _next_command(self) -> None:
        self._under_way.popleft()
        if self._joining or self._parting:
            self._on_dirty()

    def _forget(self, channel: bytes) -> None:
        self.entries.pop(channel, None)
        self._left_lately.discard(channel)
        self._left_before.discard(channel)
        self._refused.discard(channel)
        group = partition_in(channel) if self._sharded else 0
        _discard(self._joining, group, channel)
        _discard(self._parting, group, channel)

    def _mark_unheard(self, entry: Entry) -> None:
        self._unheard += not entry.state & UNHEARD
        entry.state |= UNHEARD

    def _heard(self, entry: Entry) -> None:
        if entry.state & UNHEARD:
            entry.state &= ~UNHEARD
            self._unheard -= 1
            if not self._unheard:
                self._on_gap()

    @staticmethod
    def _release(entry: Entry) -> None:
        waiters, entry.waiters = entry.waiters, None
        for waiter in waiters or ():
            waiter.release()


def _discard(queue: dict[int, dict[bytes, None]], group: int, channel: bytes) -> None:
    waiting = queue.get(group)
    if waiting is not None:
        waiting.pop(channel, None)
        if not waiting:
            del queue[group]
