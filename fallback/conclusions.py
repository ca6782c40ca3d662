"""How a claim ends: from the calls that were made, or from the decision to make none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fallback.providers.base import Fault, Ok, Outcome, Permanent, Transient
from hub.core.model import Attempt, DeliveryState, FailureKind
from hub.core.plan import Cancel, Endpoint, Expire, NotNow, Skip, Snooze
from hub.core.retry import Random, RetryPolicy
from hub.ports import Claim, Settlement


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a provider, and how it ended."""

    provider: str
    endpoint: Endpoint
    started_at: int
    finished_at: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Round:
    """The calls of one claim, which count as one attempt however many devices and providers they went to.

    `passed_over`: a provider was not called, because of its breaker or its rate limit, that could have been.
    """

    calls: Sequence[Call]
    passed_over: bool = False

    def last(self) -> Sequence[Call]:
        """Return the last call for each endpoint: the one that counts for it."""
        return list({call.endpoint.name: call for call in self.calls}.values())

    def taken_by(self) -> str | None:
        """Name the first provider that took it over."""
        return next((call.provider for call in self.calls if isinstance(call.outcome, Ok)), None)

    def final(self, call: Call) -> bool:
        """Tell whether nobody calls for the endpoint again after this call."""
        return any(call is last for last in self.last()) and not self.again(call)

    def again(self, call: Call) -> bool:
        """Tell whether an endpoint may be reached later, after this last call for it."""
        match call.outcome:
            case Transient():
                return True
            case Permanent():
                return self.passed_over and call.outcome.fault is not Fault.ENDPOINT
        return False


def conclude(claim: Claim, made: Round, now: int, policy: RetryPolicy, random: Random) -> Settlement:
    """Turn one round of calls into the claim's end.

    Only endpoints that may still be reached are tried again; when there are none left, or no attempt, one endpoint
    reached is enough for `sent`.
    """
    number = claim.delivery.attempts + 1
    last = made.last()
    reached = len(claim.done_endpoints) + sum(isinstance(call.outcome, Ok) for call in last)
    failures = [(call, call.outcome) for call in last if not isinstance(call.outcome, Ok)]
    again = [outcome.detail for call, outcome in failures if made.again(call)]
    due_at = policy.next_due(number - claim.delivery.forgiven, now, random, _asked_for(made)) if again else None
    if due_at is not None:
        reason = f"To be tried again: {again[0]}"
        return _settlement(claim, made, DeliveryState.QUEUED, reason, due_at=due_at, provider=_sticky(made))
    if not reached:
        reason = f"Gave up after {number} attempts: {again[0]}" if again else failures[0][1].detail
        refused_us = any(isinstance(outcome, Permanent) and outcome.fault is Fault.PROVIDER for _, outcome in failures)
        kind = FailureKind.PROVIDER if refused_us else FailureKind.EXHAUSTED if again else FailureKind.REFUSED
        return _settlement(claim, made, DeliveryState.FAILED, reason, failure=kind, provider=failures[0][0].provider)
    return _settlement(
        claim, made, DeliveryState.SENT, _missed(claim, reached, [o for _, o in failures]), provider=made.taken_by()
    )


def _missed(claim: Claim, reached: int, failures: Sequence[Transient | Permanent]) -> str | None:
    """Tell that not every device was reached, if so."""
    missed = len(claim.refused_endpoints) + len(failures)
    why = failures[0].detail if failures else ""
    return f"Reached {reached} of {reached + missed} devices. {why}".strip() if missed else None


def end(claim: Claim, decision: NotNow, made: Round) -> Settlement:
    """End a claim, or put it off, by a decision to call nobody, or nobody else. What has reached a device is sent."""
    pull_next = False
    due_at: int | None = None
    match decision:
        case Snooze():
            state, due_at = DeliveryState.QUEUED, decision.until
        case Skip():
            state, pull_next = DeliveryState.SKIPPED, decision.pull_next
        case Cancel():
            state = DeliveryState.CANCELLED
        case Expire():
            state = DeliveryState.EXPIRED
    reason = decision.reason
    reached = len(claim.done_endpoints) + sum(isinstance(call.outcome, Ok) for call in made.calls)
    if reached and state is not DeliveryState.QUEUED:
        state, pull_next = DeliveryState.SENT, False
        reason = f"Reached {reached} device(s) before: {reason}"
    return _settlement(claim, made, state, reason, due_at=due_at, provider=made.taken_by(), pull_next=pull_next)


def hold(claim: Claim, reason: str) -> Settlement:
    """Put a claim back where it was in the queue; it costs no attempt."""
    return _settlement(claim, Round(()), DeliveryState.QUEUED, reason, due_at=claim.delivery.due_at)


def _asked_for(made: Round) -> int:
    """Return for how long the providers want to be left alone, in milliseconds."""
    return max((c.outcome.retry_after or 0 for c in made.calls if isinstance(c.outcome, Transient)), default=0)


def _sticky(made: Round) -> str:
    """Name the provider to begin with the next time: one that may have sent it already knows the delivery's key."""
    unsure = (call for call in made.calls if isinstance(call.outcome, Transient) and call.outcome.maybe_sent)
    return next(unsure, made.calls[0]).provider


def _settlement(
    claim: Claim,
    made: Round,
    state: DeliveryState,
    reason: str | None,
    *,
    due_at: int | None = None,
    provider: str | None = None,
    failure: FailureKind | None = None,
    pull_next: bool = False,
) -> Settlement:
    oks = [call.outcome for call in made.calls if isinstance(call.outcome, Ok)]
    return Settlement(
        delivery=claim.delivery.id,
        tenant=claim.delivery.tenant,
        fence=claim.delivery.fence,
        state=state,
        reason=reason,
        due_at=due_at,
        provider=provider,
        provider_message_id=oks[0].provider_message_id if oks else None,
        provider_calls=1 if made.calls else 0,
        attempts=tuple(_attempt(claim, made, call) for call in made.calls),
        pull_next=pull_next or failure is not None,
        gone_devices=tuple(
            call.endpoint.device
            for call in made.calls
            if isinstance(call.outcome, Permanent) and call.outcome.endpoint_gone and call.endpoint.device
        ),
        failure=failure,
    )


def _attempt(claim: Claim, made: Round, call: Call) -> Attempt:
    ok = call.outcome if isinstance(call.outcome, Ok) else None
    failure = None if isinstance(call.outcome, Ok) else call.outcome
    # `permanent` means that the endpoint is not tried again, by nobody.
    unusable = isinstance(call.outcome, Permanent) and not made.final(call)
    return Attempt(
        delivery=claim.delivery.id,
        number=claim.delivery.attempts + 1,
        provider=call.provider,
        endpoint=call.endpoint.name,
        started_at=call.started_at,
        finished_at=call.finished_at,
        outcome="unusable" if unusable else type(call.outcome).__name__.lower(),
        detail=failure.detail if failure else None,
        provider_message_id=ok.provider_message_id if ok else None,
    )
