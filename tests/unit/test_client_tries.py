"""Whether and when a call is tried again."""

from __future__ import annotations

import msgspec
import pytest

from hub.client.calls import Answer, Broken, Call, Outcome, nothing, reader
from hub.client.errors import OtherProblem, UnexpectedAnswer, Unreachable
from hub.client.tries import Done, Patience, Tries, Wait
from hub.core import wire
from hub.core.errors import (
    PROBLEM_BASE,
    BellwireError,
    ConfigurationError,
    IdempotencyConflict,
    NotFound,
    RequestError,
    Unavailable,
)

LOST, UNSENT = Broken("ReadError", sent=True), Broken("ConnectError", sent=False)
SAFE = Call("PUT", "/v1/x", nothing)
UNSAFE = Call("POST", "/v1/x", nothing, repeatable=False)
PATIENCE = Patience(attempts=3, deadline=10, first_wait=1, longest_wait=4)


def answer(status: int = 200, body: object = None, **headers: str) -> Answer:
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, encoded, at=0)


def problem(slug: str, status: int, **more: str) -> Answer:
    return answer(status, wire.Problem(PROBLEM_BASE + slug, "A title", status, "in detail", "$.x"), **more)


def tries(call: Call[None] = SAFE, patience: Patience = PATIENCE, random: float = 0.5) -> Tries[None]:
    return Tries(call, patience, now=100.0, random=lambda: random)


def test_the_first_answer_is_the_result() -> None:
    assert tries().judge(answer(204), 100.0) == Done(None)


def test_waits_grow_and_are_drawn_from_zero_to_their_ceiling() -> None:
    made = tries(patience=Patience(attempts=6, first_wait=1, longest_wait=4))
    assert [made.judge(LOST, 100.0) for _ in range(5)] == [Wait(0.5), Wait(1.0), Wait(2.0), Wait(2.0), Wait(2.0)]
    assert tries(random=0.0).judge(LOST, 100.0) == Wait(0.0)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    made = tries()
    assert made.judge(answer(status, b"<html>"), 100.0) == Wait(0.5)
    assert made.judge(answer(204), 101.0) == Done(None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_what_does_not_pass_is_told_at_once(status: int) -> None:
    with pytest.raises(OtherProblem) as refused:
        tries().judge(problem("of-tomorrow", status), 100.0)
    assert (refused.value.status, refused.value.slug) == (status, "of-tomorrow")
    assert refused.value.type == PROBLEM_BASE + "of-tomorrow"


def test_retry_after_is_waited_for_with_jitter_on_top() -> None:
    assert tries().judge(problem("unavailable", 503, retry_after="2"), 100.0) == Wait(2.5)
    assert tries().judge(answer(429, b"", retry_after="Thu, 01 Jan 1970 00:00:03 GMT"), 100.0) == Wait(3.5)
    assert tries().judge(answer(429, b"", retry_after="soon"), 100.0) == Wait(0.5), (
        "what cannot be read counts as absent"
    )


def test_what_would_have_to_wait_beyond_the_deadline_is_told_at_once() -> None:
    with pytest.raises(Unavailable) as refused:
        tries().judge(problem("unavailable", 503, retry_after="3600"), 100.0)
    assert refused.value.retry_after == 3600
    with pytest.raises(Unreachable):
        tries().judge(LOST, 109.9)


def test_after_the_last_attempt_the_error_is_raised() -> None:
    made = tries()
    for _ in range(2):
        assert isinstance(made.judge(LOST, 100.0), Wait)
    with pytest.raises(Unreachable, match=r"PUT /v1/x: ConnectError \(3 attempts\)") as failed:
        made.judge(UNSENT, 100.0)
    assert failed.value.sent, "one of the attempts may have arrived"


def test_an_answer_ends_it_whatever_came_before() -> None:
    made = tries()
    made.judge(LOST, 100.0)
    with pytest.raises(IdempotencyConflict):
        made.judge(problem("idempotency-conflict", 409), 100.0)


@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        (UNSENT, True),
        (answer(429, b""), True),
        (LOST, False),
        (answer(502, b""), False),
        (answer(503, b""), False),
        (answer(504, b""), False),
    ],
)
def test_a_call_that_must_not_be_doubled_is_repeated_only_if_it_cannot_have_been_done(
    outcome: Outcome, *, again: bool
) -> None:
    made = tries(UNSAFE)
    if again:
        assert isinstance(made.judge(outcome, 100.0), Wait)
    else:
        with pytest.raises((Unreachable, UnexpectedAnswer)):
            made.judge(outcome, 100.0)


def test_what_is_unfinished_is_tried_again_and_in_the_end_told_as_it_is() -> None:
    call = Call("POST", "/v1/x", lambda answer: answer.body, unfinished=lambda answer: answer.body == b"partly")
    made = Tries(call, Patience(attempts=2), now=0.0, random=lambda: 0.0)
    assert made.judge(answer(200, b"partly"), 0.0) == Wait(0.0)
    assert made.judge(answer(200, b"partly"), 0.0) == Done(b"partly")
    assert Tries(call, Patience(), now=0.0, random=lambda: 0.0).judge(answer(200, b"all"), 0.0) == Done(b"all")


def test_problems_are_raised_by_their_type() -> None:
    with pytest.raises(NotFound) as refused:
        tries().judge(problem("not-found", 404), 100.0)
    error: RequestError = refused.value
    assert (error.status, error.detail, error.pointer) == (404, "in detail", "$.x")
    assert isinstance(error, BellwireError)


@pytest.mark.parametrize("status", [200, 204, 302, 404, 500])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"\xff"', b"[" * 100_000], ids=range(6))
def test_an_answer_that_is_not_a_hubs_is_told_as_such(status: int, body: bytes) -> None:
    call = Call("GET", "/v1/x", reader(wire.CountOut))
    with pytest.raises(UnexpectedAnswer) as told:
        Tries(call, PATIENCE, now=0.0, random=lambda: 0.0).judge(answer(status, body), 0.0)
    assert told.value.status == status


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"deadline": -1.0}, {"timeout": float("nan")}, {"first_wait": float("inf")}]
)
def test_patience_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Patience(**wrong)  # type: ignore[arg-type]  # the test is about wrong values
