"""What a dispatcher does where a channel has several providers, and where one of them is not to be called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from fallback.breaker_metrics import BreakerMetrics
from fallback.conclusions import Round
from fallback.dispatch import NOBODY_READY, Dispatcher
from fallback.providers.base import Fault, Ok, Outcome, Permanent, Transient
from fallback.registry import ProviderRegistry
from fallback.render import Renderer
from fallback.routes import Routes, passes_on, read
from hub.bus.memory import MemoryRateLimiter
from hub.core.breaker import BreakerPolicy, BreakerState, Sign
from hub.core.errors import StoreUnavailable
from hub.core.model import Channel, DeliveryState, FailureKind, Rung
from hub.core.rates import Rate
from hub.ports import Claim, Settlement
from tests.support.clock import START, ManualClock
from tests.support.deliveries import FixedPresence, make_claim, make_delivery, make_device
from tests.support.scripted import ScriptedProvider

ONE, TWO = make_device(1), make_device(2)
AWAY = Transient("away")
MAYBE = Transient("no answer", maybe_sent=True)
BUSY = Transient("mailbox busy", fault=Fault.ENDPOINT)
GONE = Permanent("no such mailbox")
BROKEN = Permanent("bad credentials", fault=Fault.PROVIDER)
UNFIT = Permanent("cannot reach this kind", fault=Fault.MATCH)


def named(name: str, default: Outcome = Ok()) -> ScriptedProvider:  # noqa: B008 - it is frozen
    provider = ScriptedProvider()
    provider.name = name  # type: ignore[misc] # each its own
    provider.default = Ok(f"{name}-1") if isinstance(default, Ok) else default
    return provider


@dataclass
class Desk:
    """A dispatcher over two providers, `first` and `second`, of every channel."""

    first: ScriptedProvider = field(default_factory=lambda: named("first"))
    second: ScriptedProvider = field(default_factory=lambda: named("second"))
    rungs: list[Rung | Exception | None] = field(default_factory=list)
    """Read one after the other; after the last one NONE."""
    rates: dict[str, Sequence[Rate]] = field(default_factory=dict)
    policy: BreakerPolicy = field(default_factory=lambda: BreakerPolicy(in_a_row=2))
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        providers = ProviderRegistry({channel: [self.first, self.second] for channel in Channel})
        self.routes = Routes(providers, self.clock, limiter=MemoryRateLimiter(), rates=self.rates, policy=self.policy)
        self.dispatcher = Dispatcher(
            queue=self,
            presence=FixedPresence(),
            routes=self.routes,
            clock=self.clock,
            renderer=Renderer(),
            random=lambda: 0.0,
            timeout=5.0,
        )

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        answer = self.rungs.pop(0) if self.rungs else Rung.NONE
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def dispatch(self, claim: Claim | None = None) -> Settlement:
        return await self.dispatcher.dispatch(claim or make_claim())

    def called(self) -> tuple[int, int]:
        return len(self.first.calls), len(self.second.calls)

    def state(self, number: int = 0, channel: Channel = Channel.EMAIL) -> BreakerState:
        return self.routes.of(channel).guards[number].state


def log_of(settlement: Settlement) -> list[tuple[str, str]]:
    return [(attempt.provider, attempt.outcome) for attempt in settlement.attempts]


async def test_the_preferred_provider_is_the_only_one_called_while_it_works() -> None:
    desk = Desk()
    settlement = await desk.dispatch()
    assert (settlement.state, settlement.provider, desk.called()) == (DeliveryState.SENT, "first", (1, 0))


@pytest.mark.parametrize(("outcome", "word"), [(AWAY, "transient"), (BROKEN, "unusable"), (UNFIT, "unusable")])
async def test_the_next_provider_takes_over_in_the_same_round(outcome: Outcome, word: str) -> None:
    desk = Desk(first=named("first", outcome))
    settlement = await desk.dispatch()
    assert (settlement.state, settlement.reason) == (DeliveryState.SENT, None)
    assert (settlement.provider, settlement.provider_message_id) == ("second", "second-1")
    assert settlement.provider_calls == 1
    assert log_of(settlement) == [("first", word), ("second", "ok")]
    assert {attempt.number for attempt in settlement.attempts} == {1}
    assert {delivery for _, delivery in desk.first.calls + desk.second.calls} == {settlement.delivery}


@pytest.mark.parametrize(
    ("outcome", "state"), [(GONE, DeliveryState.FAILED), (BUSY, DeliveryState.QUEUED), (MAYBE, DeliveryState.QUEUED)]
)
async def test_what_another_provider_would_meet_too_or_send_twice_does_not_pass_on(
    outcome: Outcome, state: DeliveryState
) -> None:
    desk = Desk(first=named("first", outcome))
    settlement = await desk.dispatch()
    assert (settlement.state, desk.called()) == (state, (1, 0))


@pytest.mark.parametrize("first", [AWAY, BROKEN, UNFIT])
@pytest.mark.parametrize("second", [AWAY, BROKEN, UNFIT, GONE, MAYBE])
async def test_what_the_last_one_says_counts(first: Outcome, second: Outcome) -> None:
    desk = Desk(first=named("first", first), second=named("second", second))
    settlement = await desk.dispatch()
    assert not isinstance(second, Ok)
    if isinstance(second, Transient):
        assert (settlement.state, settlement.reason) == (DeliveryState.QUEUED, f"To be tried again: {second.detail}")
        assert settlement.failure is None
    else:
        assert (settlement.state, settlement.reason, settlement.pull_next) == (
            DeliveryState.FAILED,
            second.detail,
            True,
        )
        assert log_of(settlement)[1] == ("second", "permanent")  # by nobody
        assert settlement.failure is (FailureKind.PROVIDER if second is BROKEN else FailureKind.REFUSED)
        assert settlement.provider == "second"


async def test_devices_are_passed_on_one_by_one_and_those_reached_stay_reached() -> None:
    desk = Desk()
    desk.first.outcomes = {TWO.token: AWAY}
    settlement = await desk.dispatch(make_claim(make_delivery(channel=Channel.PUSH), devices=[ONE, TWO]))
    assert (settlement.state, settlement.reason, settlement.provider) == (DeliveryState.SENT, None, "first")
    assert [name for name, _ in desk.first.calls] == [str(ONE.id), str(TWO.id)]
    assert [name for name, _ in desk.second.calls] == [str(TWO.id)]


async def test_who_reads_between_two_providers_gets_nothing_from_the_second() -> None:
    desk = Desk(first=named("first", AWAY), rungs=[Rung.NONE, Rung.READ])
    settlement = await desk.dispatch()
    assert (settlement.state, desk.called()) == (DeliveryState.CANCELLED, (1, 0))
    assert (log_of(settlement), settlement.provider_calls) == ([("first", "transient")], 1)


async def test_a_device_that_was_reached_before_the_rest_was_cancelled_makes_it_sent() -> None:
    desk = Desk(rungs=[Rung.NONE, Rung.READ])
    desk.first.outcomes = {TWO.token: AWAY}
    settlement = await desk.dispatch(make_claim(make_delivery(channel=Channel.PUSH), devices=[ONE, TWO]))
    assert (settlement.state, settlement.provider, settlement.provider_message_id) == (
        DeliveryState.SENT,
        "first",
        "first-1",
    )


async def test_a_store_that_goes_away_between_two_providers_loses_no_success() -> None:
    desk = Desk(rungs=[Rung.NONE, StoreUnavailable("away")])
    desk.first.outcomes = {TWO.token: AWAY}
    settlement = await desk.dispatch(make_claim(make_delivery(channel=Channel.PUSH), devices=[ONE, TWO]))
    assert settlement.state is DeliveryState.QUEUED
    assert log_of(settlement) == [("first", "ok"), ("first", "transient")]


# Retries


async def test_a_retry_begins_with_the_provider_that_may_have_sent_it() -> None:
    desk = Desk(first=named("first", AWAY), second=named("second", MAYBE))
    settlement = await desk.dispatch()
    assert settlement.provider == "second"
    desk.first.default = desk.second.default = Ok()
    again = make_delivery(attempts=1, provider=settlement.provider)
    assert (await desk.dispatch(make_claim(again))).provider == "second"
    assert desk.called() == (1, 2)


async def test_otherwise_it_begins_with_the_preferred_one() -> None:
    desk = Desk(first=named("first", AWAY), second=named("second", AWAY))
    settlement = await desk.dispatch()
    assert settlement.provider == "first"


async def test_the_longest_time_that_any_of_them_asked_for_is_obeyed() -> None:
    desk = Desk(first=named("first", Transient("slow down", 9_000)), second=named("second", Transient("later", 4_000)))
    assert (await desk.dispatch()).due_at == START + 9_000


async def test_attempts_end_however_many_providers_there_are() -> None:
    desk = Desk(first=named("first", AWAY), second=named("second", AWAY), policy=BreakerPolicy(in_a_row=99))
    settlement = await desk.dispatch(make_claim(make_delivery(attempts=4)))
    assert (settlement.state, settlement.failure) == (DeliveryState.FAILED, FailureKind.EXHAUSTED)
    assert settlement.reason == "Gave up after 5 attempts: away"


# Breakers


async def opened(desk: Desk, number: int = 0, channel: Channel = Channel.EMAIL) -> None:
    """Have a provider fail until its breaker opens."""
    provider = (desk.first, desk.second)[number]
    before, provider.default = provider.default, AWAY
    guard = desk.routes.of(channel).guards[number]
    while desk.state(number, channel) is not BreakerState.OPEN:
        passage = await guard.enter(make_delivery().priority, 1)
        assert passage is not None
        passage.outcomes = [AWAY]
        guard.leave(passage)
    provider.default = before
    provider.calls.clear()


async def test_an_open_breaker_is_passed_over() -> None:
    desk = Desk()
    await opened(desk)
    settlement = await desk.dispatch()
    assert (settlement.state, settlement.provider, desk.called()) == (DeliveryState.SENT, "second", (0, 1))
    assert log_of(settlement) == [("second", "ok")]


async def test_with_all_breakers_open_it_keeps_its_place_and_its_attempts() -> None:
    desk = Desk()
    await opened(desk, 0)
    await opened(desk, 1)
    delivery = make_delivery(attempts=2)
    settlement = await desk.dispatch(make_claim(delivery))
    assert (settlement.state, settlement.due_at) == (DeliveryState.QUEUED, delivery.due_at)
    assert (settlement.provider_calls, settlement.attempts, settlement.reason) == (0, (), NOBODY_READY)
    assert desk.called() == (0, 0)
    route = desk.routes.of(Channel.EMAIL)
    assert route.ready_at(START) == START + BreakerPolicy().pause


async def test_who_does_not_need_it_any_more_is_not_kept_waiting_for_a_provider() -> None:
    desk = Desk(rungs=[Rung.READ])
    await opened(desk, 0)
    await opened(desk, 1)
    assert (await desk.dispatch()).state is DeliveryState.CANCELLED


@pytest.mark.parametrize("permanent", [BROKEN, UNFIT])
async def test_what_one_refuses_waits_for_another_whose_breaker_is_open(permanent: Permanent) -> None:
    desk = Desk(second=named("second", permanent))
    await opened(desk)
    settlement = await desk.dispatch()
    assert (settlement.state, log_of(settlement)) == (DeliveryState.QUEUED, [("second", "unusable")])


async def test_credentials_that_are_refused_open_the_breaker_at_once() -> None:
    desk = Desk(first=named("first", BROKEN))
    await desk.dispatch()
    assert desk.state() is BreakerState.OPEN
    await desk.dispatch()
    assert desk.called() == (1, 2)


@pytest.mark.parametrize("outcome", [BUSY, GONE, UNFIT])
async def test_what_is_the_endpoints_fault_opens_no_breaker(outcome: Outcome) -> None:
    desk = Desk(first=named("first", outcome))
    for _ in range(9):
        await desk.dispatch()
    assert desk.state() is BreakerState.CLOSED


async def test_each_channel_has_a_breaker_of_its_own() -> None:
    desk = Desk()
    await opened(desk, channel=Channel.EMAIL)
    assert desk.state(channel=Channel.SMS) is BreakerState.CLOSED


async def test_one_trial_call_is_made_and_lets_everybody_through_again() -> None:
    desk = Desk()
    await opened(desk, 0)
    await opened(desk, 1)
    desk.clock.advance(BreakerPolicy().pause)
    route = desk.routes.of(Channel.EMAIL)
    assert route.on_trial(desk.clock.now())
    told: list[int | None] = []
    desk.routes.on_ready(lambda: told.append(route.ready_at(desk.clock.now())))
    desk.first.block = asyncio.Event()
    desk.second.block = asyncio.Event()
    trials = [asyncio.create_task(desk.dispatch()) for _ in range(2)]
    await desk.first.called.wait()
    await desk.second.called.wait()
    assert route.ready_at(desk.clock.now()) is None
    assert (await desk.dispatch()).reason == NOBODY_READY
    desk.first.block.set()
    desk.second.block.set()
    await asyncio.gather(*trials)
    assert desk.called() == (1, 1)
    assert [desk.state(number) for number in (0, 1)] == [BreakerState.CLOSED] * 2
    assert told == [desk.clock.now()] * 2


async def test_a_trial_that_is_cut_off_leaves_room_for_the_next() -> None:
    """As when its lease is lost, or the worker stops."""
    desk = Desk()
    await opened(desk, 0)
    await opened(desk, 1)
    desk.clock.advance(BreakerPolicy().pause)
    desk.first.block = asyncio.Event()
    trial = asyncio.create_task(desk.dispatch())
    await desk.first.called.wait()
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert desk.routes.of(Channel.EMAIL).ready_at(desk.clock.now()) == desk.clock.now()


async def test_the_last_look_is_after_the_wait_for_the_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads while their mail stands in line gets none."""
    order: list[str] = []
    desk = Desk(rates={"first": [Rate(1, 1_000)]})
    pacer = desk.routes.of(Channel.EMAIL).guards[0].pacer
    assert pacer is not None
    enter, rung = pacer.enter, desk.rung

    async def watched_enter(*arguments: object) -> bool:
        order.append("line")
        return await enter(*arguments)  # type: ignore[arg-type] # handed on

    async def watched_rung(*arguments: object) -> Rung | None:
        order.append("rung")
        return await rung(*arguments)  # type: ignore[arg-type] # handed on

    monkeypatch.setattr(pacer, "enter", watched_enter)
    monkeypatch.setattr(desk, "rung", watched_rung)
    desk.first.before = lambda: order.append("call")
    await desk.dispatch()
    assert order == ["line", "rung", "call"]


async def test_a_limit_that_is_used_up_for_long_hands_over_to_the_next_provider() -> None:
    desk = Desk(rates={"first": [Rate(1, 3_600_000)]})
    assert [(await desk.dispatch()).provider for _ in range(2)] == ["first", "second"]
    assert desk.routes.of(Channel.EMAIL).ready_at(START) == START


async def test_with_all_limits_used_up_it_waits_without_using_an_attempt() -> None:
    desk = Desk(rates={"first": [Rate(1, 3_600_000)], "second": [Rate(1, 7_200_000)]})
    for _ in range(2):
        await desk.dispatch()
    settlement = await desk.dispatch()
    assert (settlement.state, settlement.provider_calls, settlement.reason) == (DeliveryState.QUEUED, 0, NOBODY_READY)
    assert desk.routes.of(Channel.EMAIL).ready_at(START) == START + 3_600_000


async def test_who_is_looking_takes_no_call_of_the_limit() -> None:
    desk = Desk(rates={"first": [Rate(1, 3_600_000)]})
    assert (await desk.dispatch(make_claim(email=None))).state is DeliveryState.SKIPPED
    assert (await desk.dispatch()).provider == "first"


async def test_the_gauge_shows_each_provider_of_each_channel() -> None:
    desk = Desk()
    registry = CollectorRegistry()
    registry.register(BreakerMetrics(desk.routes))

    def shown(channel: str, provider: str) -> float | None:
        labels = {"channel": channel, "provider": provider}
        return registry.get_sample_value("bellwire_provider_breaker_state", labels)

    await opened(desk)
    assert [shown("email", "first"), shown("email", "second"), shown("sms", "first")] == [2, 0, 0]
    desk.clock.advance(BreakerPolicy().pause)
    assert shown("email", "first") == 1
    await desk.dispatch()
    assert shown("email", "first") == 0


# What outcomes mean


@pytest.mark.parametrize(
    ("outcomes", "sign", "hold"),
    [
        ([Ok()], Sign.ALIVE, 0),
        ([AWAY], Sign.FAILED, 0),
        ([MAYBE], Sign.FAILED, 0),
        ([AWAY, Ok()], Sign.ALIVE, 0),
        ([BUSY], Sign.ALIVE, 0),
        ([GONE, AWAY], Sign.ALIVE, 0),
        ([BROKEN, Ok()], Sign.BROKEN, 0),
        ([UNFIT], Sign.NOTHING, 0),
        ([UNFIT, AWAY], Sign.FAILED, 0),
        ([], Sign.NOTHING, 0),
        ([Transient("slow", 5_000), Transient("slower", 8_000)], Sign.FAILED, 8_000),
        ([Transient("full", 5_000, fault=Fault.ENDPOINT)], Sign.ALIVE, 0),
    ],
)
def test_what_calls_say_about_the_provider(outcomes: list[Outcome], sign: Sign, hold: int) -> None:
    assert read(outcomes) == (sign, hold)


def test_nothing_passes_on_that_was_sent_or_may_have_been() -> None:
    outcomes: list[Outcome] = [Ok(), MAYBE, BUSY, GONE, AWAY, BROKEN, UNFIT]
    assert [outcome for outcome in outcomes if passes_on(outcome)] == [AWAY, BROKEN, UNFIT]


def test_a_round_without_calls_has_no_last_one() -> None:
    assert Round(()).last() == []
