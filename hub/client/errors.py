"""What goes wrong with a call, beyond the problems that the hub itself names (`hub.core.errors.RequestError`).

* `BellwireError`
    * `RequestError`: the hub refused; `NotFound`, `InvalidRequest`, `IdempotencyConflict`, `Unavailable` … by its type.
        * `OtherProblem`: a problem of a type that this version does not know, or without one.
    * `Unreachable`: no answer came, after all attempts.
    * `UnexpectedAnswer`: what answered is no hub: a proxy, another service, a newer interface.
    * `ClosedForGood`: the hub ended a live connection, and coming back would not help.
"""

from __future__ import annotations

from hub.core import wire
from hub.core.errors import PROBLEM_BASE, BellwireError, RequestError


class OtherProblem(RequestError):
    """The hub refused for a reason that has no class of its own; `type`, `status` and `title` are as it said."""

    def __init__(self, problem: wire.Problem, retry_after: int | None) -> None:
        super().__init__(problem.detail or problem.title, pointer=problem.pointer, retry_after=retry_after)
        self.slug = problem.type.removeprefix(PROBLEM_BASE)
        self.status = problem.status
        self.title = problem.title
        self._type = problem.type

    @property
    def type(self) -> str:
        """The problem's stable identifier (RFC 9457 `type`)."""
        return self._type


class Unreachable(BellwireError):
    """No answer came, after all attempts. Unless `sent` is false, the hub may have done what it was asked for."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedAnswer(BellwireError):
    """What answered does not speak as a hub does; a proxy's own 502 is one of these. `retry_after` is in seconds."""

    def __init__(self, message: str, *, status: int, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ClosedForGood(BellwireError):
    """The hub ended a live connection for good; `close_code` and `code` are listed in `docs/protocol.md`."""

    def __init__(self, message: str, *, close_code: int, code: str = "") -> None:
        super().__init__(message)
        self.close_code = close_code
        self.code = code
