"""Which channels are wanted and which the server has confirmed. No I/O: `Subscriber` moves the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice


class Subscriptions:
    """Brings a connection's subscriptions to what is wanted, with at most one command per channel under way.

    Because of that, a reply always speaks of the newest command, and any order of subscribe and unsubscribe
    ends where the last call wanted it.
    """

    def __init__(self, on_gap: Callable[[], None]) -> None:
        """`on_gap` is called when all channels that were, or may have been, unheard for a while are heard again."""
        self._on_gap = on_gap
        self._wanted: set[bytes] = set()
        self._live: set[bytes] = set()
        self._asked: set[bytes] = set()
        self._queue: dict[bytes, None] = {}
        self._unheard: set[bytes] = set()
        self._waiters: dict[bytes, asyncio.Future[None]] = {}
        self.dirty = asyncio.Event()
        """Set while commands wait to be sent."""

    def wants(self, channel: bytes) -> bool:
        """Tell whether messages of this channel are for somebody."""
        return channel in self._wanted

    def confirmed(self, channel: bytes) -> bool:
        """Tell whether the server has confirmed this channel, and nothing else was asked for since."""
        return channel in self._live and channel not in self._asked

    def add(self, channel: bytes) -> asyncio.Future[None] | None:
        """Want a channel; returns what to wait for, or None if it is confirmed already."""
        self._wanted.add(channel)
        self._reconcile(channel)
        if self.confirmed(channel):
            return None
        waiter = self._waiters.get(channel)
        if waiter is None:
            waiter = self._waiters[channel] = asyncio.get_running_loop().create_future()
        return waiter

    def remove(self, channel: bytes) -> None:
        """Want a channel no more; whoever waits for it waits no longer."""
        self._wanted.discard(channel)
        self._release(channel)
        self._reconcile(channel)
        self._heard(channel)

    def give_up(self, channel: bytes) -> None:
        """Note that somebody stopped waiting for the confirmation: `on_gap` is due once it comes after all."""
        if channel in self._wanted and not self.confirmed(channel):
            self._unheard.add(channel)

    def connection_lost(self) -> None:
        """Start anew: on the next connection everything wanted is asked for again, then `on_gap` is called."""
        self._live.clear()
        self._asked.clear()
        self._unheard = set(self._wanted)
        self._queue = dict.fromkeys(self._wanted)
        self.dirty.set()

    def take(self, limit: int) -> tuple[bytes, list[bytes]] | None:
        """Return the next command and its channels (at most `limit`), or None when all is asked for."""
        for command, wanted in ((b"SUBSCRIBE", True), (b"UNSUBSCRIBE", False)):
            fitting = (channel for channel in self._queue if (channel in self._wanted) is wanted)
            channels = list(islice(fitting, limit))
            if channels:
                for channel in channels:
                    del self._queue[channel]
                self._asked.update(channels)
                return command, channels
        self.dirty.clear()
        return None

    def replied(self, channel: bytes, *, subscribed: bool) -> None:
        """Take in the server's confirmation of a command."""
        self._asked.discard(channel)
        if subscribed:
            self._live.add(channel)
        else:
            self._live.discard(channel)
        self._reconcile(channel)
        if subscribed and channel in self._wanted:
            self._release(channel)
            self._heard(channel)

    def release_all(self) -> None:
        """Let everybody go who waits."""
        self._release_many(list(self._waiters))

    def _reconcile(self, channel: bytes) -> None:
        if channel in self._asked:
            return
        if (channel in self._wanted) is (channel in self._live):
            self._queue.pop(channel, None)
        else:
            self._queue[channel] = None
            self.dirty.set()

    def _heard(self, channel: bytes) -> None:
        if channel in self._unheard:
            self._unheard.discard(channel)
            if not self._unheard:
                self._on_gap()

    def _release(self, channel: bytes) -> None:
        self._release_many((channel,))

    def _release_many(self, channels: Iterable[bytes]) -> None:
        for channel in channels:
            waiter = self._waiters.pop(channel, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
