"""Every error that Bellwire raises on purpose, in one hierarchy.

* `BellwireError`
    * `RequestError`: the caller can do something about it; becomes an RFC 9457 problem or an `error` frame.
        * `MalformedBody` (400), `InvalidRequest` (422), `BodyTooLarge` (413), `UnsupportedMediaType` (415)
        * `Unauthenticated` (401), `Forbidden` (403), `NotFound` (404), `MethodNotAllowed` (405)
        * `IdempotencyConflict` (409), `StateConflict` (409), `NotBuilt` (501), `Unavailable` (503)
    * `ProtocolViolation`: a live client broke the protocol; carries the close code.
    * `ConfigurationError`: the process cannot start as it is set up; the message says what to do.
    * `DataError`: the database refused a value (the caller's fault, not an outage).
    * `RunTaken`: a schedule's run is not this process's to make.
    * `StoreUnavailable`: the database could not be reached or gave up; safe to retry.
    * `ArchiveUnavailable`: an archive could not be written; what it should hold is still in the database.

`hub.client` raises the same `RequestError`s for the problems that it is answered with, and a few of its own.
"""

from __future__ import annotations

PROBLEM_BASE = "https://bellwire.dev/problems/"
"""Prefix of every problem's `type`; the slugs behind it are stable and listed in `docs/errors.md`."""


class BellwireError(Exception):
    """Base of all errors raised on purpose."""


class RequestError(BellwireError):
    """The request is at fault, or cannot be served; `detail` is shown to the caller and holds no secret."""

    slug: str = "request-error"
    status: int = 400
    title: str = "The request cannot be served"

    def __init__(self, detail: str, *, pointer: str | None = None, retry_after: int | None = None) -> None:
        """`pointer` is the JSON path at fault (`$.recipients[3]`); `retry_after` is in seconds."""
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.retry_after = retry_after

    @property
    def type(self) -> str:
        """The problem's stable identifier (RFC 9457 `type`)."""
        return PROBLEM_BASE + self.slug


class MalformedBody(RequestError):
    """The body is not JSON, or not UTF-8."""

    slug = "malformed-body"
    status = 400
    title = "The body is not valid JSON"


class InvalidRequest(RequestError):
    """The body is JSON of the wrong shape, or a value is out of its bounds."""

    slug = "invalid-request"
    status = 422
    title = "The request is not valid"


class BodyTooLarge(RequestError):
    """The body is larger than this call accepts."""

    slug = "body-too-large"
    status = 413
    title = "The body is too large"


class UnsupportedMediaType(RequestError):
    """The body says that it is something else than JSON in UTF-8."""

    slug = "unsupported-media-type"
    status = 415
    title = "The body must be JSON"


class Unauthenticated(RequestError):
    """No credentials, or credentials that prove nothing."""

    slug = "unauthenticated"
    status = 401
    title = "Valid credentials are needed"


class Forbidden(RequestError):
    """The credentials are good, but not for this."""

    slug = "forbidden"
    status = 403
    title = "Not allowed"


class NotFound(RequestError):
    """There is no such thing within the caller's reach."""

    slug = "not-found"
    status = 404
    title = "Not found"


class MethodNotAllowed(RequestError):
    """The path exists, but not for this HTTP method."""

    slug = "method-not-allowed"
    status = 405
    title = "The path does not support this method"


class IdempotencyConflict(RequestError):
    """The idempotency key was used before, with another body."""

    slug = "idempotency-conflict"
    status = 409
    title = "The idempotency key belongs to another request"


class StateConflict(RequestError):
    """What it asks for cannot be done to the thing as it is now."""

    slug = "state-conflict"
    status = 409
    title = "Its state does not allow that"


class NotBuilt(RequestError):
    """The design has it, this version does not."""

    slug = "not-built"
    status = 501
    title = "Not built yet"


class Unavailable(RequestError):
    """Something that the request needs is down or full; try again."""

    slug = "unavailable"
    status = 503
    title = "Temporarily unavailable"


class ProtocolViolation(BellwireError):
    """A live client broke the protocol; the connection is closed with `close_code`."""

    def __init__(self, code: str, message: str, close_code: int) -> None:
        """`code` is the stable word sent in the `error` frame."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.close_code = close_code


class ConfigurationError(BellwireError):
    """The process cannot start as it is set up; the message says what to change."""


class DataError(BellwireError):
    """The database refused a value."""


class RunTaken(BellwireError):
    """This run of a schedule is another process's, or was made, or the schedule was changed; nothing is stored."""


class StoreUnavailable(BellwireError):
    """The database could not be reached, or gave up after retries; nothing is known to be stored."""


class ArchiveUnavailable(BellwireError):
    """An archive could not be written. Whatever is in no finished file is still in the database."""
