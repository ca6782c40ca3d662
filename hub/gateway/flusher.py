"""Joining what connections have to write: at once when idle, every few milliseconds under load."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Protocol

import structlog

WINDOW = 0.004
"""Seconds between two flushes. One `send` costs about 8 µs of system time, whatever its size up to some kB: ten
messages joined go out eight times as fast as one by one (docs/benchmarks/gateway.md)."""

log = structlog.get_logger(__name__)


class Writer(Protocol):
    """A connection with something to write."""

    def flush(self) -> None:
        """Write it. What it raises is logged."""
        ...


class Flusher:
    """Calls `flush` once on everybody who asked, in the order of asking."""

    __slots__ = ("_asked", "_scheduled", "_so_far", "_window")

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._asked: list[Writer] = []
        self._scheduled = False
        self._so_far = -math.inf
        """When the last flush ended."""

    def ask(self, writer: Writer) -> None:
        """Have `flush` called soon; ask again only after that."""
        self._asked.append(writer)
        if not self._scheduled:
            self._scheduled = True
            rest = self._so_far + self._window - time.monotonic()
            loop = asyncio.get_running_loop()
            if rest <= 0:
                loop.call_soon(self._flush)
            else:
                loop.call_later(rest, self._flush)

    def _flush(self) -> None:
        asked, self._asked = self._asked, []
        self._scheduled = False
        for writer in asked:
            try:
                writer.flush()
            except Exception:  # the rest would never ask again
                log.exception("flush_failed")
        self._so_far = time.monotonic()
