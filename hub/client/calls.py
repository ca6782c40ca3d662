"""A call as a value: what is asked, and what its answer means. No I/O: `sync` and `aio` carry calls out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from hub.client.errors import OtherProblem, UnexpectedAnswer
from hub.core import wire
from hub.core.errors import (
    PROBLEM_BASE,
    BellwireError,
    BodyTooLarge,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    NotBuilt,
    NotFound,
    RequestError,
    StateConflict,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from hub.core.publication import idempotency_key
from hub.core.retry import parse_retry_after

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `headers` have names in lower case, `at` is when it came, in milliseconds since the epoch."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: int

    @property
    def retry_after(self) -> int | None:
        """For how many seconds it asks to wait."""
        wait = parse_retry_after(self.headers.get("retry-after"), self.at)
        return None if wait is None else -(-wait // 1000)


@dataclass(frozen=True, slots=True)
class Broken:
    """There was no answer. `sent`: the request may have arrived all the same."""

    reason: str
    sent: bool


Outcome = Answer | Broken


def _finished(_: Answer) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One call. The same value is sent again in each attempt, with the same idempotency key."""

    method: str
    path: str
    read: Callable[[Answer], T_co]
    """Reads an answer with a 2xx status. Raises `msgspec.MsgspecError` if it is of another shape."""
    query: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    body: bytes | None = None
    key: str | None = None
    """The Idempotency-Key."""
    repeatable: bool = True
    """Whether doing it twice is as good as once; otherwise it is tried again only if it cannot have arrived."""
    unfinished: Callable[[Answer], bool] = _finished
    """Whether an answer with a 2xx status says that a part is still to be done, by the same call."""

    def result(self, answer: Answer) -> T_co:
        """Return what the answer says.

        Raises:
            RequestError: the hub refused.
            UnexpectedAnswer: it is not the answer of a hub.

        """
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - what every HTTP status from 200 to 299 means
            raise refusal(answer)
        try:
            return self.read(answer)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswer(
                f"the answer to {self.method} {self.path} is not a hub's: {error}", status=answer.status
            ) from None


class Page(Protocol[T_co]):
    """A part of a list. It may be short, or empty, and yet have more."""

    @property
    def data(self) -> Sequence[T_co]:
        """What is on it."""

    @property
    def has_more(self) -> bool:
        """Whether another call would give more."""

    @property
    def next(self) -> str | None:
        """What to pass as `after` for the following page."""


Series = Generator[Call[Page[T]], Page[T], None]
"""Calls that make one list together: yields each, and is sent what it gave."""


def pages(page: Callable[[str | None], Call[Page[T]]]) -> Series[T]:
    """Read a list to its end, from the first page on."""
    after: str | None = None
    while True:
        part = yield page(after)
        if not part.has_more:
            return
        after = part.next


_PROBLEM = msgspec.json.Decoder(wire.Problem)
_KINDS: Final[Mapping[str, type[RequestError]]] = {
    PROBLEM_BASE + kind.slug: kind
    for kind in (
        MalformedBody,
        InvalidRequest,
        BodyTooLarge,
        UnsupportedMediaType,
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        IdempotencyConflict,
        StateConflict,
        NotBuilt,
        Unavailable,
    )
}


def refusal(answer: Answer) -> BellwireError:
    """Return the error that an answer without a 2xx status stands for."""
    try:
        problem = _PROBLEM.decode(answer.body)
    except msgspec.MsgspecError:
        return UnexpectedAnswer(
            f"what answers is no hub, or something in front of it (status {answer.status})",
            status=answer.status,
            retry_after=answer.retry_after,
        )
    kind = _KINDS.get(problem.type)
    if kind is None:
        return OtherProblem(problem, answer.retry_after)
    return kind(problem.detail, pointer=problem.pointer, retry_after=answer.retry_after)


def reader(kind: type[T]) -> Callable[[Answer], T]:
    """Return what reads answers of one shape; fields that it does not know are left out."""
    decode = msgspec.json.Decoder(kind).decode
    return lambda answer: decode(answer.body)


def nothing(_: Answer) -> None:
    """Read an answer that says nothing but yes."""


def path(*parts: str, **named: str) -> str:
    """Return `/v1/…` with each part as one segment, whatever is in it; named ones are an id each.

    Raises:
        InvalidRequest: an id is empty, which would make it another path.

    """
    for name, value in named.items():
        if not value:
            raise InvalidRequest("must not be empty", pointer=name)
    return "/v1/" + "/".join(_segment(part) for part in parts)


def _segment(text: str) -> str:
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted  # dots alone would climb the path


def encode(body: object) -> bytes:
    """Encode a request's body.

    Raises:
        InvalidRequest: something in it cannot be JSON.

    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidRequest(f"cannot be sent as JSON: {error}") from None


def query_of(**parameters: str | int | bool | None) -> Mapping[str, str]:
    """Return the parameters that were given, as they stand in a URL."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in parameters.items()
        if value is not None
    }


def key_or_new(key: str | None) -> str:
    """Return the caller's idempotency key, or a fresh one.

    Raises:
        InvalidRequest: it is not 1 to 255 printable ASCII characters.

    """
    idempotency_key(key, "idempotency_key")
    return uuid.uuid4().hex if key is None else key
