"""Telling the shared presence who is connected here: in batches, and in one task."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

import structlog

from hub.core.session import Session
from hub.gateway.connection import Connection
from hub.ports import Clock, Presence, PresenceEntry

REFRESH_INTERVAL = 15.0
"""Seconds between signs of life; a third of `PRESENCE_TTL`."""

DEBOUNCE = 0.1
"""Seconds between two tellings of news: a person who flips between tabs, and thousands who come at once, are told
together."""

SLICE = 500
"""Signs of life told at a time; between two slices the loop goes on."""

log = structlog.get_logger(__name__)


class Attendance:
    """What this node has to say about presence; `note` and `leave` only take it down, `run` tells it."""

    def __init__(
        self, presence: Presence, clock: Clock, interval: float = REFRESH_INTERVAL, debounce: float = DEBOUNCE
    ) -> None:
        self._presence = presence
        self._clock = clock
        self._interval = interval
        self._debounce = debounce
        self._here: dict[Connection, None] = {}
        self._news: dict[Connection, None] = {}
        self._left: list[PresenceEntry] = []
        self._wake = asyncio.Event()

    def note(self, connection: Connection) -> None:
        """Take down that a connection's attention is news."""
        self._here[connection] = self._news[connection] = None
        self._wake.set()

    def leave(self, connection: Connection, *, fade: bool = False) -> None:
        """Take down that a connection ended. With `fade` it is only refreshed no more: it is expected back."""
        if connection not in self._here:
            return
        del self._here[connection]
        if fade:
            return
        self._news.pop(connection, None)
        self._left += _entry(connection.session)
        self._wake.set()

    async def run(self) -> None:
        """Tell news soon and everything every `REFRESH_INTERVAL`, a slice at a time, until cancelled."""
        loop = asyncio.get_running_loop()
        round_ends = loop.time() + self._interval
        told_at = -math.inf
        rest = list(self._here)
        while True:
            slices = len(rest) // SLICE + 1
            slice_at = loop.time() + (round_ends - loop.time()) / slices
            with suppress(TimeoutError):
                async with asyncio.timeout_at(slice_at) as limit:
                    await self._wake.wait()
                    await asyncio.sleep(told_at + self._debounce - loop.time())
            beat = False
            if limit.expired() or loop.time() >= slice_at:
                beat = True
                self._news |= {connection: None for connection in rest[:SLICE] if connection in self._here}
                rest = rest[SLICE:]
                if loop.time() >= round_ends:
                    round_ends = loop.time() + self._interval
                    rest = list(self._here)
            told_at = loop.time()
            try:
                await self.tell(beat=beat)
            except Exception:  # presence is a hint; whatever fails, the next round tells it anew
                log.warning("presence_not_told", exc_info=True)

    async def tell(self, *, beat: bool = False) -> None:
        """Tell the news; with `beat` also that there is none, which tells a young presence from an empty one."""
        self._wake.clear()
        news, self._news = self._news, {}
        left, self._left = self._left, []
        if news or beat:
            entries = [entry for connection in news for entry in _entry(connection.session)]
            await self._presence.refresh(entries, self._clock.now())
        if left:
            await self._presence.leave(left, self._clock.now())


def _entry(session: Session) -> list[PresenceEntry]:
    return [] if session.key is None else [PresenceEntry(session.key, session.connection, session.attention)]
