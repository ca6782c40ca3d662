"""Random histories of dispatch over several providers: whatever they answer in whatever order, its promises hold.

Providers succeed, fail, refuse and hang as told; deliveries go out alone and side by side, under breakers and rate
limits, by two workers of which each has its own breakers; time passes. Checked throughout: no endpoint is sent to again
once it has been reached, attempts stay within their limit, no provider is called while its breaker is open, and only
for one delivery while it is on trial; a limit shared by the workers holds in any span of time. Checked at the end:
every delivery ends once providers are back, with the state that its calls say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fallback.dispatch import Dispatcher
from fallback.providers.base import Fault, Ok, Outcome, Permanent, Provider, Surroundings, Transient
from fallback.registry import ProviderRegistry
from fallback.render import Message, Renderer
from fallback.routes import Guard, Routes
from hub.bus.memory import MemoryRateLimiter
from hub.core.breaker import BreakerPolicy, BreakerState
from hub.core.model import Channel, Delivery, DeliveryState, Rung
from hub.core.plan import Endpoint
from hub.core.rates import Rate
from hub.core.retry import POLICIES
from hub.ports import Claim, Settlement
from hub.settings import Settings
from tests.support.clock import ManualClock
from tests.support.deliveries import FixedPresence, make_claim, make_delivery, make_device
from tests.support.machines import play

POLICY = BreakerPolicy(in_a_row=2, window=6, pause=10_000, longest=40_000)
RATE = Rate(3, 60_000)
"""Of the provider `b`."""
OUTCOMES: dict[str, Outcome] = {
    "ok": Ok("id"),
    "away": Transient("away"),
    "wait": Transient("slow down", retry_after=30_000),
    "maybe": Transient("no answer", maybe_sent=True),
    "busy": Transient("mailbox busy", fault=Fault.ENDPOINT),
    "gone": Permanent("gone", endpoint_gone=True),
    "broken": Permanent("bad credentials", fault=Fault.PROVIDER),
    "unfit": Permanent("wrong kind", fault=Fault.MATCH),
}
ENDS = {DeliveryState.SENT, DeliveryState.FAILED}
NAMES = ("a", "b", "c")


class Scripted:
    """A provider that answers as it is told, and checks that it may be called."""

    name: ClassVar[str] = ""
    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)
    preference: ClassVar[int] = 0

    def __init__(self, name: str, world: FailoverMachine) -> None:
        self.name = name  # type: ignore[misc] # each its own
        self.outcome: Outcome = OUTCOMES["ok"]
        self.hangs = False
        self.under_way: Counter[UUID] = Counter()
        self._world = world

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return True

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        raise AssertionError

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        self._world.called(self, endpoint, idempotency_key)
        self.under_way[idempotency_key] += 1
        outcome = self.outcome
        for _ in range(3):  # others have their turn meanwhile
            await asyncio.sleep(0)
        self.under_way -= Counter([idempotency_key])
        self._world.answered(endpoint, idempotency_key, outcome)
        return outcome

    async def close(self) -> None:
        pass


class Worker:
    """A process's routes and dispatcher."""

    def __init__(self, world: FailoverMachine) -> None:
        self.providers = [Scripted(name, world) for name in NAMES]
        registry = ProviderRegistry({channel: list[Provider](self.providers) for channel in Channel})
        self.routes = Routes(
            registry, world.clock, limiter=world.limiter, rates={"b": [RATE]}, policy=POLICY, sleep=world.sleep
        )
        self.dispatcher = Dispatcher(
            queue=world,
            presence=FixedPresence(),
            routes=self.routes,
            clock=world.clock,
            renderer=Renderer(),
            random=lambda: 0.0,
        )

    def guard(self, provider: Scripted, channel: Channel) -> Guard:
        return next(guard for guard in self.routes.of(channel).guards if guard.provider.name == provider.name)


class FailoverMachine(RuleBasedStateMachine):
    """Drives real dispatchers over a queue in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.limiter = MemoryRateLimiter()
        self.workers = [Worker(self), Worker(self)]
        self.claims: dict[UUID, Claim] = {}
        self.reached: Counter[tuple[UUID, str]] = Counter()
        self.calls_of_b: list[int] = []
        self.violations: list[str] = []
        self.open_before: dict[UUID, set[str]] = {}
        """Providers whose breakers were open when the dispatch of a delivery began."""

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        return Rung.NONE

    async def sleep(self, seconds: float) -> None:
        """Wait in line for a rate limit."""
        self.clock.advance(round(seconds * 1000))

    # What providers see

    def called(self, provider: Scripted, endpoint: Endpoint, delivery: UUID) -> None:
        """Look whether it may be called. A dispatcher takes what is raised here for a provider's bug."""
        worker = next(worker for worker in self.workers if provider in worker.providers)
        claim = self.claims[delivery]
        channel = claim.delivery.channel
        state = worker.guard(provider, channel).state
        others = {each for each in provider.under_way if self.claims[each].delivery.channel is channel} - {delivery}
        wrong = {
            # One that opens meanwhile does not call back what it has let through.
            "open": state is BreakerState.OPEN and provider.name in self.open_before[delivery],
            "two trials": state is BreakerState.HALF_OPEN and bool(others),
            "reached before": self.reached[delivery, endpoint.name] > 0,
            "refused before": endpoint.name in claim.refused_endpoints,
        }
        self.violations += [name for name, holds in wrong.items() if holds]
        if provider.name == "b":
            self.calls_of_b.append(self.clock.now())

    def answered(self, endpoint: Endpoint, delivery: UUID, outcome: Outcome) -> None:
        self.reached[delivery, endpoint.name] += isinstance(outcome, Ok)

    # What happens

    @rule(channel=st.sampled_from([Channel.EMAIL, Channel.PUSH]), devices=st.integers(1, 3))
    def publish(self, channel: Channel, devices: int) -> None:
        delivery = replace(make_delivery(channel=channel), id=UUID(int=len(self.claims) + 1), due_at=self.clock.now())
        self.claims[delivery.id] = make_claim(delivery, devices=[make_device(n + 1) for n in range(devices)])

    @rule(worker=st.integers(0, 1), provider=st.integers(0, len(NAMES) - 1), outcome=st.sampled_from(sorted(OUTCOMES)))
    def will_answer(self, worker: int, provider: int, outcome: str) -> None:
        self.workers[worker].providers[provider].outcome = OUTCOMES[outcome]

    @rule(outcome=st.sampled_from(sorted(OUTCOMES)))
    def all_will_answer(self, outcome: str) -> None:
        for worker in self.workers:
            for provider in worker.providers:
                provider.outcome = OUTCOMES[outcome]

    @rule(seconds=st.sampled_from([1, 10, 40, 300]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds * 1000)

    @rule(worker=st.integers(0, 1), side_by_side=st.integers(1, 4))
    def work(self, worker: int, side_by_side: int) -> None:
        """Dispatch what is due, past the lanes: their care is not what the promises hang on."""
        self.dispatch(self.workers[worker], self.due()[:side_by_side])

    def due(self) -> list[Claim]:
        now = self.clock.now()
        waiting = [each for each in self.claims.values() if each.delivery.state is DeliveryState.SENDING]
        return [claim for claim in waiting if claim.delivery.due_at <= now]

    def dispatch(self, worker: Worker, claims: Sequence[Claim]) -> None:
        for claim in claims:
            guards = worker.routes.of(claim.delivery.channel).guards
            self.open_before[claim.delivery.id] = {
                guard.provider.name for guard in guards if guard.state is BreakerState.OPEN
            }

        async def together() -> list[Settlement]:
            return await asyncio.gather(*map(worker.dispatcher.dispatch, claims))

        for claim, settlement in zip(claims, self.runner.run(together()), strict=True):
            self.settle(claim, settlement)

    def settle(self, claim: Claim, settlement: Settlement) -> None:
        before = claim.delivery
        assert settlement.provider_calls == (1 if settlement.attempts else 0)
        pairs = [(attempt.endpoint, attempt.provider) for attempt in settlement.attempts]
        assert len(pairs) == len(set(pairs))  # the key of an attempt in the store
        if settlement.state is DeliveryState.QUEUED and not settlement.attempts:
            assert settlement.due_at == before.due_at  # it waits for a provider, and keeps its place
        assert (settlement.failure is not None) == (settlement.state is DeliveryState.FAILED)
        outcomes = [(attempt.outcome, attempt.endpoint) for attempt in settlement.attempts]
        self.claims[before.id] = replace(
            claim,
            delivery=self.after(before, settlement),
            done_endpoints=claim.done_endpoints | {name for word, name in outcomes if word == "ok"},
            refused_endpoints=claim.refused_endpoints | {name for word, name in outcomes if word == "permanent"},
            devices=[device for device in claim.devices if device.id not in settlement.gone_devices],
        )

    def after(self, before: Delivery, settlement: Settlement) -> Delivery:
        queued = settlement.state is DeliveryState.QUEUED
        return replace(
            before,
            # What is queued is claimed again at once: here, both are SENDING.
            state=DeliveryState.SENDING if queued else settlement.state,
            due_at=settlement.due_at if settlement.due_at is not None else before.due_at,
            attempts=before.attempts + settlement.provider_calls,
            provider=settlement.provider or before.provider,
            reason=settlement.reason,
        )

    # What always holds

    @invariant()
    def limits_hold(self) -> None:
        assert self.violations == []
        for claim in self.claims.values():
            assert claim.delivery.attempts <= POLICIES[claim.delivery.channel].max_attempts
        for first, beyond in zip(self.calls_of_b, self.calls_of_b[RATE.calls :], strict=False):
            assert beyond - first >= RATE.period
        assert all(count <= 1 for count in self.reached.values())

    def teardown(self) -> None:
        try:
            self.all_will_answer("ok")
            for _ in range(100):
                for worker in self.workers:
                    self.dispatch(worker, self.due())
                if not any(claim.delivery.state is DeliveryState.SENDING for claim in self.claims.values()):
                    break
                self.time_passes(40)
            for delivery, claim in self.claims.items():
                state = claim.delivery.state
                assert state in ENDS | {DeliveryState.SKIPPED}, claim.delivery.reason
                sent = any(self.reached[delivery, name] for name in self.names(claim))
                assert sent == (state is DeliveryState.SENT)
                assert state is DeliveryState.SENT or claim.delivery.reason
            self.limits_hold()
        finally:
            self.runner.close()

    def names(self, claim: Claim) -> list[str]:
        return [name for delivery, name in self.reached if delivery == claim.delivery.id]


def test_failing_over_keeps_its_promises() -> None:
    play(FailoverMachine, 100, steps=40)
