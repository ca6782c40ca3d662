"""Whether and when a call is tried again: a decision without clock, dice or I/O of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from hub.client.calls import Answer, Call, Outcome
from hub.client.errors import Unreachable
from hub.core.errors import ConfigurationError
from hub.core.retry import RetryPolicy

T = TypeVar("T")

_TEMPORARY: Final = frozenset({429, 502, 503, 504})
"""Statuses of a hub, or of a proxy in front of it, that will pass."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a caller waits; times in seconds."""

    attempts: int = 4
    """How often a call is tried, the first time included."""
    deadline: float = 60.0
    """After this no further attempt begins; one that would have to wait beyond it is not waited for."""
    timeout: float = 30.0
    """How long one attempt may hear nothing."""
    connect_timeout: float = 5.0
    first_wait: float = 0.5
    """The wait before the second attempt is drawn from 0 to this; the ceiling doubles with each further one."""
    longest_wait: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what would never send anything.

        Raises:
            ConfigurationError: naming the value.

        """
        if self.attempts < 1:
            raise ConfigurationError("attempts counts the first one, too: it must be 1 or more")
        for name in ("deadline", "timeout", "connect_timeout", "first_wait", "longest_wait"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ConfigurationError(f"{name} must be a number of seconds")

    @property
    def policy(self) -> RetryPolicy:
        """The back-off, in milliseconds."""
        return RetryPolicy(
            max_attempts=self.attempts, base=int(self.first_wait * 1000), factor=2, cap=int(self.longest_wait * 1000)
        )


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The call has its result."""

    value: T


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after so many seconds."""

    seconds: float


class Tries(Generic[T]):
    """The attempts of one call. `now` is any clock in seconds that never goes back."""

    def __init__(self, call: Call[T], patience: Patience, *, now: float, random: Callable[[], float]) -> None:
        self._call = call
        self._policy = patience.policy
        self._until = now + patience.deadline
        self._random = random
        self._made = 0
        self._sent = False

    def judge(self, outcome: Outcome, now: float) -> Done[T] | Wait:
        """Decide what follows from an attempt.

        Raises:
            RequestError: the hub refused, and asking again would not change that, or was tried often enough.
            Unreachable: there was no answer, and there are no attempts left.
            UnexpectedAnswer: what answers is no hub.

        """
        self._made += 1
        wait = self._wait(outcome, now)
        if not isinstance(outcome, Answer):
            self._sent |= outcome.sent
            if wait is not None and (self._call.repeatable or not outcome.sent):
                return wait
            raise Unreachable(
                f"no answer to {self._call.method} {self._call.path}: {outcome.reason}"
                + (f" ({self._made} attempts)" if self._made > 1 else ""),
                sent=self._sent,
            )
        if wait is not None and outcome.status in _TEMPORARY and self._may_repeat(outcome.status):
            return wait
        value = self._call.result(outcome)
        return wait if wait is not None and self._call.unfinished(outcome) else Done(value)

    def _may_repeat(self, status: int) -> bool:
        """429 means that nothing was done; after the others something may have been."""
        return self._call.repeatable or status == 429  # noqa: PLR2004 - too many requests

    def _wait(self, outcome: Outcome, now: float) -> Wait | None:
        """Return how long to wait before the next attempt; None if there is none."""
        asked = (outcome.retry_after or 0) * 1000 if isinstance(outcome, Answer) else 0
        due = self._policy.next_due(self._made, 0, self._random, asked)
        if due is None or now + due / 1000 > self._until:
            return None
        return Wait(due / 1000)
