"""One claimed delivery to one settled outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import structlog

from fallback.conclusions import Call, Round, conclude, end, hold
from fallback.providers.base import Outcome, Provider, Transient
from fallback.render import Message, Renderer
from fallback.routes import Guard, Routes, passes_on
from hub.core.errors import StoreUnavailable
from hub.core.model import Attention, Channel, InboxKey, Rung, When
from hub.core.plan import Decision, Endpoint, NotNow, Send, Snooze, decide, endpoints
from hub.core.retry import POLICIES, Random, RetryPolicy
from hub.ports import Claim, Clock, Presence, Settlement

PROVIDER_TIMEOUT = 15.0
"""Seconds until a call to a provider counts as failed: longer than providers' own limits, shorter than a lease."""

NOBODY_READY = "Waiting: no provider of the channel can take it at present."
TOO_LATE = "Waiting: its worker stood still for so long that another may have sent it."

log = structlog.get_logger(__name__)


class Rungs(Protocol):
    """What dispatch asks of the queue."""

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        """Read the item's rung once more (see `DeliveryQueue.rung`)."""
        ...


class Dispatcher:
    """Decides about claims and carries the decisions out. Holds no state of a delivery: many at once are fine."""

    def __init__(
        self,
        *,
        queue: Rungs,
        presence: Presence,
        routes: Routes,
        clock: Clock,
        renderer: Renderer,
        policies: Mapping[Channel, RetryPolicy] = POLICIES,
        random: Random = random.random,
        timeout: float = PROVIDER_TIMEOUT,
    ) -> None:
        self._queue = queue
        self._presence = presence
        self._routes = routes
        self._clock = clock
        self._renderer = renderer
        self._policies = policies
        self._random = random
        self._timeout = timeout

    async def dispatch(self, claim: Claim, is_held: Callable[[], bool] = lambda: True) -> Settlement:
        """Decide, send if that is the decision, and say how the claim ends.

        One provider after the other has its turn, until none of the endpoints is left that another one might reach.
        Whatever has to be waited for (a rate limit) is waited for first: before each turn the rung is read, as the
        last thing before the calls; and after that `is_held`, whether the lease still runs by this process's clock: who
        stood still in between must not go on as if nothing had been.

        Raises:
            StoreUnavailable: the rung could not be read; nothing was sent.

        """
        delivery = claim.delivery
        route = self._routes.of(delivery.channel)
        sending = await self._prepare(claim, is_held, provided=bool(route.guards))
        for guard in route.starting_at(delivery.provider if delivery.attempts else None):
            if not isinstance(sending.decide(Rung.NONE, self._clock.now()), Send):
                break  # a turn would be wasted
            try:
                against = await self._turn(guard, sending)
            except StoreUnavailable:
                if not sending.calls:
                    raise
                sending.passed_over = True  # what was called for already is settled, once the store is back
                break
            if against is not None:
                return end(claim, against, sending.round())
        if sending.calls:
            policy = self._policies[delivery.channel]
            return conclude(claim, sending.round(), self._clock.now(), policy, self._random)
        decision = sending.decide(await self._rung(claim), self._clock.now())
        return hold(claim, NOBODY_READY) if isinstance(decision, Send) else end(claim, decision, sending.round())

    async def _prepare(self, claim: Claim, is_held: Callable[[], bool], *, provided: bool) -> _Sending:
        locale = claim.contact.locale if claim.contact else None
        reachable = endpoints(claim.delivery, claim.contact, claim.devices)
        done = claim.done_endpoints | claim.refused_endpoints
        return _Sending(
            claim=claim,
            is_held=is_held,
            message=self._renderer.render(claim.content, claim.delivery.channel, locale),
            reachable=reachable,
            attention=await self._attention(claim),
            provided=provided,
            pending={endpoint.name for endpoint in reachable} - done,
        )

    async def _turn(self, guard: Guard, sending: _Sending) -> NotNow | None:
        """Call one provider for the endpoints that are left, unless it is not ready; returns what is against it."""
        passage = await guard.enter(sending.claim.delivery.priority, len(sending.pending))
        if passage is None:
            sending.passed_over = True
            return None
        try:
            decision = sending.decide(await self._rung(sending.claim), self._clock.now())
            if not isinstance(decision, Send):
                return decision
            if not sending.is_held():
                return Snooze(sending.claim.delivery.due_at, TOO_LATE)
            calls = await self._calls(guard.provider, sending, decision.endpoints)
            passage.outcomes = [call.outcome for call in calls]
        finally:
            guard.leave(passage)
        sending.calls += calls
        sending.pending = {call.endpoint.name for call in calls if passes_on(call.outcome)}
        return None

    async def _calls(self, provider: Provider, sending: _Sending, to: Sequence[Endpoint]) -> Sequence[Call]:
        """Call for all endpoints at once: one after the other would let a single slow device hold up the rest."""
        delivery = sending.claim.delivery.id
        calls = [self._call(provider, sending.message, endpoint, delivery) for endpoint in to]
        return [await calls[0]] if len(calls) == 1 else await asyncio.gather(*calls)

    async def _rung(self, claim: Claim) -> Rung | None:
        return await self._queue.rung(claim.delivery.id, claim.delivery.tenant, claim.delivery.fence)

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
            outcome = Transient("The provider did not answer in time.", maybe_sent=True)
        except Exception as error:  # noqa: BLE001 - a provider's bug must not end the worker, nor lose the delivery
            # Neither message nor traceback: they may quote addresses or credentials.
            log.error(  # noqa: TRY400 - see above
                "provider_raised", provider=provider.name, delivery=str(delivery), error=type(error).__name__
            )
            words = f"The provider {provider.name} failed unexpectedly ({type(error).__name__})."
            outcome = Transient(words, maybe_sent=True)
        return Call(provider.name, endpoint, started_at, self._clock.now(), outcome)


@dataclass(slots=True)
class _Sending:
    """A claim on its way from provider to provider."""

    claim: Claim
    is_held: Callable[[], bool]
    message: Message
    reachable: Sequence[Endpoint]
    attention: Attention
    provided: bool
    """Whether the channel has any provider."""
    pending: set[str]
    """Endpoints for which the next provider is to be called."""
    calls: list[Call] = field(default_factory=list)
    passed_over: bool = False

    def round(self) -> Round:
        """Return what was done."""
        return Round(tuple(self.calls), self.passed_over)

    def decide(self, rung: Rung | None, now: int) -> Decision:
        """Decide about the endpoints that are left."""
        return decide(
            self.claim.delivery,
            self.claim.content,
            self.reachable,
            finished=frozenset(endpoint.name for endpoint in self.reachable) - self.pending,
            provider=self.provided,
            rung=rung,
            attention=self.attention,
            now=now,
        )
