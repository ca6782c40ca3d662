"""What to do while Redis is away: say so once, and let nobody wait for it."""

from __future__ import annotations

import time

import structlog

_log = structlog.get_logger(__name__)

HOLD_OFF = 1.0
"""Seconds after a first failure during which calls fail at once instead of waiting for a dead server each."""

LONGEST_HOLD_OFF = 10.0
"""Seconds; doubled up to here with every further failure, or publishers would wait for most of a long outage.
It ends sooner where the subscribing side is back."""


class Outage:
    """The state of one part's connection to Redis."""

    def __init__(self, part: str, where: str) -> None:
        """`part` names who lost it (`publishing`, `presence`, …); `where` is an address without credentials."""
        self._part = part
        self._where = where
        self._active = False
        self._until = 0.0
        self._hold_off = HOLD_OFF

    @property
    def holding_off(self) -> bool:
        """Whether a call failed so lately that the next one need not be tried."""
        return self._active and time.monotonic() < self._until

    def failed(self, error: BaseException) -> None:
        """Note a failure; only the first of an outage is logged.

        The error's text stays out of the log: some servers answer an unknown AUTH with the password in it.
        """
        self._until = time.monotonic() + self._hold_off
        self._hold_off = min(2 * self._hold_off, LONGEST_HOLD_OFF)
        if not self._active:
            self._active = True
            _log.warning("redis_unreachable", part=self._part, where=self._where, error=type(error).__name__)

    def worked(self) -> None:
        """Note that the server answered."""
        self._hold_off = HOLD_OFF
        if self._active:
            self._active = False
            _log.info("redis_reachable_again", part=self._part, where=self._where)
