"""The expander: turns the fallback plans of shared audiences into deliveries, a chunk of members at a time."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from fallback.loops import origin
from hub.core.errors import StoreUnavailable
from hub.core.model import Channel
from hub.ports import Clock, ExpansionKey, Expansions, Lane

CHUNK = 500
"""Members a transaction: measured 20 ms on PostgreSQL and 50 on SQLite, so that nobody who writes has to wait long."""

DEPTH = 500
"""Due deliveries of a lane at which its expansions wait; no more than that and a chunk of every worker are ahead."""

PER_LANE = 3
"""Due expansions of a lane that a round knows of: where another worker has the first, or it fails, the next goes on."""

IDLE = 1_000
"""Milliseconds after which due expansions are looked for even if nobody told of any."""

FULL = 250
"""Milliseconds after which a lane that had no room is looked at again: with `DEPTH` it feeds 2,000 sends a second."""

PUT_OFF = 10_000
"""Milliseconds for which an expansion that failed is left alone."""

log = structlog.get_logger(__name__)


class Expander:
    """Expands what is due, one chunk of each lane a round. Any number of processes may run one."""

    def __init__(
        self,
        expansions: Expansions,
        clock: Clock,
        *,
        channels: frozenset[Channel],
        made: Callable[[], None],
        chunk: int = CHUNK,
    ) -> None:
        """`channels` have a provider. `made` is called when there are new deliveries that are due."""
        self._expansions = expansions
        self._clock = clock
        self._channels = channels
        self._made = made
        self._chunk = chunk
        self._put_off: dict[ExpansionKey, int] = {}
        """Those that failed, and until when they are left alone."""

    async def round(self) -> int:
        """Expand a chunk for each lane with something due and room for it; returns the milliseconds to rest.

        It rests for as long as it worked, so that however much there is to expand, half of the time the database's
        writer is left to others (SQLite has but one).
        """
        began = self._clock.now()
        served: set[Lane] = set()
        self._put_off = {key: until for key, until in self._put_off.items() if until > began}
        for key, lane in await self._expansions.due(began, PER_LANE, DEPTH):
            if lane not in served and key not in self._put_off and await self._expand(key):
                served.add(lane)
        now = self._clock.now()
        if served:
            return now - began
        due = await self._expansions.next_due()
        if due is None:
            return IDLE
        return FULL if due <= now else min(IDLE, due - now)

    async def _expand(self, key: ExpansionKey) -> bool:
        """Expand one chunk, unless there is nothing to do; whatever goes wrong with it holds up no other expansion."""
        try:
            expanded = await self._expansions.expand(key, self._clock.now(), self._channels, self._chunk)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - as said
            self._put_off[key] = self._clock.now() + PUT_OFF
            # Not the message: a database's quotes the values it was given.
            log.error(  # noqa: TRY400 - see above
                "expansion_failed",
                notification=str(key.notification),
                step=key.step,
                error=type(error).__name__,
                where=origin(error),
            )
            return False
        if expanded is None:
            return False
        if expanded.made:
            self._made()
        if expanded.ended:
            log.info("expansion_ended", notification=str(key.notification), step=key.step)
        return True
