"""A circuit breaker: whether a provider may be called, from how its last calls ended.

    CLOSED ── in a row, or too many of the last ──▶ OPEN ── its pause is over ──▶ HALF_OPEN
       ▲                                             ▲                              │
       └──────────── the trial call was answered ────┼──────────────────────────────┤
                                                     └── it failed: twice the pause ┘

Pure: knows no provider and no clock. Times are milliseconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, IntEnum


class BreakerState(IntEnum):
    """The numbers are those of the metric."""

    CLOSED = 0
    """Calls go through."""
    HALF_OPEN = 1
    """One call at a time goes through, to see whether it works again."""
    OPEN = 2
    """No call goes through."""


class Sign(Enum):
    """What a call says about the provider itself."""

    ALIVE = "alive"
    """It answered, whatever it thought of the message."""
    FAILED = "failed"
    """It did not answer, or said that it cannot serve anybody now."""
    BROKEN = "broken"
    """It refuses us altogether: credentials, a suspended account."""
    NOTHING = "nothing"
    """It says nothing: the call was not made."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to open, and for how long."""

    in_a_row: int = 5
    """Failures one after the other that open it."""
    window: int = 20
    share: float = 0.5
    """So much of the last `window` calls having failed opens it too: a provider that fails every other call."""
    pause: int = 10_000
    """Milliseconds of the first pause; each trial that fails doubles it."""
    longest: int = 5 * 60_000
    """Milliseconds of the longest pause, which is also that of a provider that is `BROKEN`."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to make a call. Belongs to one period of being closed, or is its one trial."""

    period: int


class Breaker:
    """One breaker. Whoever is admitted says how the call ended, once, whatever happens."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self.out_since: int | None = None
        """When it opened, however many trials have failed since; None while it is closed."""
        self.answered_at: int | None = None
        """When the last call was answered."""
        self._policy = policy or BreakerPolicy()
        self._period = 0
        self._trial: Ticket | None = None
        self._open_until: int | None = None
        self._pause = self._policy.pause
        self._in_a_row = 0
        self._failed: deque[bool] = deque(maxlen=self._policy.window)

    def state(self, now: int) -> BreakerState:
        """Tell the state."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def ready_at(self, now: int) -> int | None:
        """Tell when a call would be admitted: `now`, later, or None while a trial is on its way."""
        if self._trial is not None:
            return None
        return now if self._open_until is None else max(now, self._open_until)

    def admit(self, now: int) -> Ticket | None:
        """Give leave for a call, if there is any to give."""
        if self.ready_at(now) != now:
            return None
        ticket = Ticket(self._period)
        if self._open_until is not None:
            self._trial = ticket
        return ticket

    def report(self, ticket: Ticket, sign: Sign, now: int, *, hold: int = 0) -> None:
        """Say how an admitted call ended; `hold`: milliseconds that the provider asked to be left alone for.

        What was admitted before the breaker last opened or closed comes too late to say anything.
        """
        if ticket.period != self._period:
            return
        trial, self._trial = self._trial, None
        if sign is Sign.NOTHING:
            return
        if sign is Sign.ALIVE:
            self.answered_at = now
        if sign is Sign.ALIVE and trial is not None:
            self._close()
            return
        self._failed.append(sign is not Sign.ALIVE)
        self._in_a_row = 0 if sign is Sign.ALIVE else self._in_a_row + 1
        if sign is Sign.BROKEN:
            self._open(now, self._policy.longest)
        elif trial is not None or self._too_many():
            self._open(now, min(max(self._pause, hold), self._policy.longest))

    def _too_many(self) -> bool:
        policy = self._policy
        whole = len(self._failed) == policy.window
        return self._in_a_row >= policy.in_a_row or (whole and sum(self._failed) >= policy.share * policy.window)

    def _open(self, now: int, pause: int) -> None:
        self._begin_period()
        self._open_until = now + pause
        self.out_since = now if self.out_since is None else self.out_since
        self._pause = min(2 * self._pause, self._policy.longest)

    def _close(self) -> None:
        self._begin_period()
        self._open_until = self.out_since = None
        self._pause = self._policy.pause

    def _begin_period(self) -> None:
        self._period += 1
        self._in_a_row = 0
        self._failed.clear()
