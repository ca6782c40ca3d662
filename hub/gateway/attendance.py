"""Telling the shared presence who is connected here: in batches, and in one task."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from hub.gateway.connection import Connection
from hub.ports import Clock, Presence, PresenceEntry

REFRESH_INTERVAL = 15.0
"""Seconds between signs of life; a third of `PRESENCE_TTL`."""

log = structlog.get_logger(__name__)


class Attendance:
    """What this node has to say about presence; `note` and `leave` only take it down, `run` tells it."""

    def __init__(self, presence: Presence, clock: Clock, interval: float = REFRESH_INTERVAL) -> None:
        self._presence = presence
        self._clock = clock
        self._interval = interval
        self._here: dict[Connection, PresenceEntry] = {}
        self._news: dict[Connection, PresenceEntry] = {}
        self._left: list[PresenceEntry] = []
        self._wake = asyncio.Event()
        self._beat = False

    def note(self, connection: Connection) -> None:
        """Take down a connection's attention, as its session has it now."""
        session = connection.session
        if session.key is not None:
            entry = PresenceEntry(session.key, session.connection, session.attention)
            self._here[connection] = self._news[connection] = entry
            self._wake.set()

    def leave(self, connection: Connection, *, fade: bool = False) -> None:
        """Take down that a connection ended. With `fade` it is only refreshed no more: it is expected back."""
        entry = self._here.pop(connection, None)
        if entry is not None and not fade:
            self._news.pop(connection, None)
            self._left.append(entry)
            self._wake.set()

    async def run(self) -> None:
        """Tell news at once and everything every `REFRESH_INTERVAL`, until cancelled."""
        loop = asyncio.get_running_loop()
        refresh_at = loop.time() + self._interval
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(refresh_at) as limit:
                    await self._wake.wait()
            if limit.expired() or loop.time() >= refresh_at:  # a stream of news must not put it off for ever
                refresh_at = loop.time() + self._interval
                self._news = dict(self._here)
                self._beat = True
            try:
                await self.tell()
            except Exception:  # presence is a hint; whatever fails, the next round tells it anew
                log.warning("presence_not_told", exc_info=True)

    async def tell(self) -> None:
        """Tell the news; once in a while also that there is none, which tells a young presence from an empty one."""
        self._wake.clear()
        beat, self._beat = self._beat, False
        news, self._news = self._news, {}
        left, self._left = self._left, []
        if news or beat:
            await self._presence.refresh(list(news.values()), self._clock.now())
        if left:
            await self._presence.leave(left, self._clock.now())
