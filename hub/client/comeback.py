"""When a listener comes back, and when that would not help. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub.client.errors import ClosedForGood
from hub.core.errors import Unauthenticated
from hub.core.frames import CloseCode
from hub.core.wire import ErrorFrame

_FOR_GOOD: Final = range(4100, 4200)
_BUSY: Final = frozenset({408, 429})
_UNAUTHENTICATED: Final = frozenset({401, int(CloseCode.UNAUTHENTICATED)})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection ended: with a close code, or with an HTTP status instead of one; 0: neither."""

    code: int
    reason: str
    after: float | None = None
    """Seconds that the hub asked to wait."""
    exact: bool = False
    """Whether that is to be waited as it is: nodes that drain spread their clients themselves."""


class Comeback:
    """Back-off with full jitter that begins anew only after a stable minute; times in seconds."""

    def __init__(
        self,
        random: Callable[[], float],
        *,
        first: float = 1.0,
        most: float = 30.0,
        stable: float = 60.0,
        renewed: float = 1.0,
    ) -> None:
        """`renewed` is the wait before a fresh token: one of the very second of a revocation is refused, too."""
        self._random = random
        self._first = first
        self._most = most
        self._stable = stable
        self._renewed = renewed
        self._failures = 0
        self._ready_at: float | None = None
        self._token = ""
        self._refused: str | None = None

    def show(self, token: str) -> str:
        """Return the token that is about to be shown.

        Raises:
            Unauthenticated: it is the one that was refused.

        """
        if token == self._refused:
            raise Unauthenticated("the hub refuses this token, and there is no other")
        self._token = token
        return token

    def ready(self, now: float) -> None:
        """Note that a connection works."""
        self._ready_at = now if self._ready_at is None else self._ready_at
        self._refused = None

    def wait(self, ended: Ended, now: float, refusal: ErrorFrame | None = None) -> float:
        """Return how long to wait.

        Raises:
            Unauthenticated: a second token was refused.
            ClosedForGood: the hub says that coming back won't help.

        """
        stable = self._ready_at is not None and now - self._ready_at >= self._stable
        self._failures = 0 if stable else self._failures
        self._ready_at = None
        reason = ended.reason if refusal is None else refusal.message
        if ended.code in _UNAUTHENTICATED:
            if self._refused is not None:
                raise Unauthenticated(reason or "the hub refuses the token")
            self._refused = self._token
            return self._renewed * (1 + self._random())
        if ended.code in _FOR_GOOD or (400 <= ended.code < 500 and ended.code not in _BUSY):  # noqa: PLR2004 - HTTP's
            raise ClosedForGood(
                f"the hub closed the connection for good ({ended.code}): {reason}",
                close_code=ended.code,
                code="" if refusal is None else refusal.code,
            )
        ceiling = min(self._most, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return (ended.after or 0.0) + (0.0 if ended.exact else ceiling * self._random())
