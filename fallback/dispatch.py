"""One claimed delivery to one settled outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from fallback.providers.base import Ok, Outcome, Permanent, Provider, Transient
from fallback.registry import ProviderRegistry
from fallback.render import Message, Renderer
from hub.core.model import Attempt, Attention, DeliveryState, InboxKey, Rung, When
from hub.core.plan import Cancel, Endpoint, Expire, Send, Skip, Snooze, decide, endpoints
from hub.core.retry import POLICIES, Random
from hub.ports import Claim, Clock, Presence, Settlement

PROVIDER_TIMEOUT = 15.0
"""Seconds until a call to a provider counts as failed: longer than providers' own limits, shorter than a lease."""

log = structlog.get_logger(__name__)


class Rungs(Protocol):
    """What dispatch asks of the queue."""

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        """Read the item's rung once more (see `DeliveryQueue.rung`)."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a provider, and how it ended."""

    endpoint: Endpoint
    started_at: int
    finished_at: int
    outcome: Outcome


class Dispatcher:
    """Decides about claims and carries the decisions out. Holds no state of a delivery: many at once are fine."""

    def __init__(
        self,
        *,
        queue: Rungs,
        presence: Presence,
        providers: ProviderRegistry,
        clock: Clock,
        renderer: Renderer,
        random: Random = random.random,
        timeout: float = PROVIDER_TIMEOUT,
    ) -> None:
        self._queue = queue
        self._presence = presence
        self._providers = providers
        self._clock = clock
        self._renderer = renderer
        self._random = random
        self._timeout = timeout

    async def dispatch(self, claim: Claim) -> Settlement:
        """Decide, send if that is the decision, and say how the claim ends.

        The rung is the last thing read: between it and the provider's call nothing is waited for.

        Raises:
            StoreUnavailable: the rung could not be read; nothing was sent.

        """
        delivery = claim.delivery
        provider = self._providers.get(delivery.channel)
        reachable = endpoints(delivery, claim.contact, claim.devices)
        locale = claim.contact.locale if claim.contact else None
        message = self._renderer.render(claim.content, delivery.channel, locale)
        attention = await self._attention(claim)
        rung = await self._queue.rung(delivery.id, delivery.tenant, delivery.fence)
        decision = decide(
            delivery,
            claim.content,
            reachable,
            finished=claim.done_endpoints | claim.refused_endpoints,
            provider=provider is not None,
            rung=rung,
            attention=attention,
            now=self._clock.now(),
        )
        if not isinstance(decision, Send):
            return settle_unsent(claim, decision)
        if provider is None:
            raise AssertionError("decide() answers a missing provider with Skip")
        # All at once: one after the other would let a single slow device hold up the rest.
        calls = await asyncio.gather(
            *(self._call(provider, message, endpoint, delivery.id) for endpoint in decision.endpoints)
        )
        return conclude(claim, provider.name, calls, self._clock.now(), self._random)

    async def _attention(self, claim: Claim) -> Attention:
        """Read the user's presence where the step asks for it; somebody without an inbox is never connected."""
        delivery = claim.delivery
        if delivery.when is When.ALWAYS or delivery.user is None:
            return Attention.OFFLINE
        key = InboxKey(delivery.tenant, delivery.user)
        states = await self._presence.read([key], self._clock.now())
        return states[key].attention if key in states else Attention.UNKNOWN

    async def _call(self, provider: Provider, message: Message, endpoint: Endpoint, delivery: UUID) -> Call:
        started_at = self._clock.now()
        outcome: Outcome
        try:
            async with asyncio.timeout(self._timeout):
                outcome = await provider.send(message, endpoint, idempotency_key=delivery)
        except TimeoutError:
            outcome = Transient("The provider did not answer in time.")
        except Exception as error:  # noqa: BLE001 - a provider's bug must not end the worker, nor lose the delivery
            # Neither message nor traceback: they may quote addresses or credentials.
            log.error(  # noqa: TRY400 - see above
                "provider_raised", provider=provider.name, delivery=str(delivery), error=type(error).__name__
            )
            outcome = Transient(f"The provider {provider.name} failed unexpectedly ({type(error).__name__}).")
        return Call(endpoint, started_at, self._clock.now(), outcome)


def conclude(claim: Claim, provider: str, calls: Sequence[Call], now: int, random: Random) -> Settlement:
    """Turn one round of calls into the claim's end.

    A round counts as one attempt, however many devices it went to. Only endpoints that failed transiently are
    tried again; when there are none left, or no attempt, one endpoint reached is enough for `sent`.
    """
    round_number = claim.delivery.attempts + 1
    reached = len(claim.done_endpoints) + sum(isinstance(call.outcome, Ok) for call in calls)
    missed = len(claim.refused_endpoints) + sum(not isinstance(call.outcome, Ok) for call in calls)
    transient = [call.outcome for call in calls if isinstance(call.outcome, Transient)]
    failures = [call.outcome for call in calls if not isinstance(call.outcome, Ok)]
    state, reason, due_at = DeliveryState.SENT, None, None
    if transient:
        policy = POLICIES[claim.delivery.channel]
        wanted = max((outcome.retry_after or 0 for outcome in transient), default=0)
        due_at = policy.next_due(round_number - claim.delivery.forgiven, now, random, wanted)
        if due_at is not None:
            state, reason = DeliveryState.QUEUED, f"To be tried again: {transient[0].detail}"
        elif not reached:
            state, reason = DeliveryState.FAILED, f"Gave up after {round_number} attempts: {transient[0].detail}"
    elif not reached:
        state, reason = DeliveryState.FAILED, failures[0].detail
    if state is DeliveryState.SENT and missed:
        reason = f"Reached {reached} of {reached + missed} devices. {failures[0].detail if failures else ''}".strip()
    return Settlement(
        delivery=claim.delivery.id,
        tenant=claim.delivery.tenant,
        fence=claim.delivery.fence,
        state=state,
        reason=reason,
        due_at=due_at,
        provider=provider,
        provider_message_id=next((c.outcome.provider_message_id for c in calls if isinstance(c.outcome, Ok)), None),
        provider_calls=1,
        attempts=tuple(_attempt(claim, provider, round_number, call) for call in calls),
        pull_next=state is DeliveryState.FAILED,
        gone_devices=tuple(
            call.endpoint.device
            for call in calls
            if isinstance(call.outcome, Permanent) and call.outcome.endpoint_gone and call.endpoint.device
        ),
    )


def settle_unsent(claim: Claim, decision: Skip | Snooze | Cancel | Expire) -> Settlement:
    """End a claim, or put it off, without a call. What already reached a device has been sent, whatever ends it."""
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
    if claim.done_endpoints and state is not DeliveryState.QUEUED:
        state, pull_next = DeliveryState.SENT, False
        reason = f"Reached {len(claim.done_endpoints)} device(s) before: {reason}"
    return Settlement(
        delivery=claim.delivery.id,
        tenant=claim.delivery.tenant,
        fence=claim.delivery.fence,
        state=state,
        reason=reason,
        due_at=due_at,
        pull_next=pull_next,
    )


def _attempt(claim: Claim, provider: str, number: int, call: Call) -> Attempt:
    ok = call.outcome if isinstance(call.outcome, Ok) else None
    failure = None if isinstance(call.outcome, Ok) else call.outcome
    return Attempt(
        delivery=claim.delivery.id,
        number=number,
        provider=provider,
        endpoint=call.endpoint.name,
        started_at=call.started_at,
        finished_at=call.finished_at,
        outcome=type(call.outcome).__name__.lower(),
        detail=failure.detail if failure else None,
        provider_message_id=ok.provider_message_id if ok else None,
    )
