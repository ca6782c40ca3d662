from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest
import structlog.testing

from fallback.dispatch import Dispatcher
from fallback.providers.base import Ok, Permanent, Transient
from fallback.registry import ProviderRegistry
from fallback.render import Renderer
from fallback.routes import Routes
from hub.core.errors import StoreUnavailable
from hub.core.model import Attention, Channel, DeliveryState, Device, Rung, When
from hub.core.plan import RECHECK
from hub.ports import Claim, Settlement
from tests.support.clock import START, ManualClock
from tests.support.deliveries import DELIVERY, FixedPresence, make_claim, make_content, make_delivery, make_device
from tests.support.scripted import ScriptedProvider

ONE, TWO, THREE = make_device(1), make_device(2), make_device(3)


class OneRung:
    """A queue of which only the rung is asked."""

    def __init__(self, rung: Rung | Exception | None = Rung.NONE) -> None:
        self.answer = rung
        self.asked: list[tuple[UUID, str, int]] = []

    async def rung(self, delivery: UUID, tenant: str, fence: int) -> Rung | None:
        self.asked.append((delivery, tenant, fence))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def dispatched(
    claim: Claim,
    provider: ScriptedProvider | None,
    *,
    rung: OneRung | None = None,
    attention: Attention = Attention.OFFLINE,
    timeout: float = 15.0,  # noqa: ASYNC109 - handed on
    is_held: Callable[[], bool] = lambda: True,
) -> Settlement:
    clock = ManualClock()
    dispatcher = Dispatcher(
        queue=rung or OneRung(),
        presence=FixedPresence(attention),
        routes=Routes(ProviderRegistry(dict.fromkeys(Channel, [provider] if provider else [])), clock),
        clock=clock,
        renderer=Renderer(),
        random=lambda: 0.0,
        timeout=timeout,
    )
    return await dispatcher.dispatch(claim, is_held)


def push(
    *devices: Device, attempts: int = 0, done: frozenset[str] = frozenset(), refused: frozenset[str] = frozenset()
) -> Claim:
    delivery = make_delivery(channel=Channel.PUSH, attempts=attempts)
    return make_claim(delivery, devices=devices, done=done, refused=refused)


async def test_sent() -> None:
    provider = ScriptedProvider()
    settlement = await dispatched(make_claim(), provider)
    assert (settlement.state, settlement.reason, settlement.pull_next) == (DeliveryState.SENT, None, False)
    assert (settlement.provider, settlement.provider_message_id) == ("scripted", "message-1")
    assert (settlement.delivery, settlement.tenant, settlement.fence) == (DELIVERY, "default", 3)
    assert settlement.provider_calls == 1
    (attempt,) = settlement.attempts
    assert (attempt.endpoint, attempt.outcome, attempt.number) == ("a…@example.com", "ok", 1)
    assert provider.calls == [("a…@example.com", DELIVERY)]
    assert "ada@example.com" not in repr(settlement)


async def test_the_rung_is_read_with_the_claims_fence_and_cancels_at_the_last_moment() -> None:
    rung, provider = OneRung(Rung.SEEN), ScriptedProvider()
    settlement = await dispatched(make_claim(), provider, rung=rung)
    assert settlement.state is DeliveryState.CANCELLED
    assert settlement.reason == "The user has already seen it."
    assert rung.asked == [(DELIVERY, "default", 3)]
    assert provider.calls == []
    assert settlement.provider_calls == 0


async def test_a_lost_claim_is_not_sent() -> None:
    provider = ScriptedProvider()
    settlement = await dispatched(make_claim(), provider, rung=OneRung(None))
    assert settlement.state is DeliveryState.CANCELLED
    assert provider.calls == []


async def test_who_stood_still_since_the_rung_was_read_does_not_send() -> None:
    provider, claim = ScriptedProvider(), make_claim()
    settlement = await dispatched(claim, provider, is_held=lambda: False)
    assert provider.calls == []
    assert (settlement.state, settlement.due_at) == (DeliveryState.QUEUED, claim.delivery.due_at)
    assert settlement.provider_calls == 0


async def test_without_the_rung_nothing_is_sent() -> None:
    provider = ScriptedProvider()
    with pytest.raises(StoreUnavailable):
        await dispatched(make_claim(), provider, rung=OneRung(StoreUnavailable("away")))
    assert provider.calls == []


async def test_expired() -> None:
    settlement = await dispatched(make_claim(content=make_content(expires_at=START)), ScriptedProvider())
    assert settlement.state is DeliveryState.EXPIRED


async def test_no_endpoint_or_provider_pulls_the_next_step() -> None:
    for settlement in (
        await dispatched(make_claim(email=None), ScriptedProvider()),
        await dispatched(make_claim(), None),
    ):
        assert (settlement.state, settlement.pull_next) == (DeliveryState.SKIPPED, True)


@pytest.mark.parametrize("attention", [Attention.ACTIVE, Attention.AWAY, Attention.UNKNOWN])
async def test_a_step_for_offline_users_waits(attention: Attention) -> None:
    provider = ScriptedProvider()
    claim = make_claim(make_delivery(when=When.OFFLINE))
    settlement = await dispatched(claim, provider, attention=attention)
    assert (settlement.state, settlement.due_at) == (DeliveryState.QUEUED, START + RECHECK)
    assert settlement.provider_calls == 0
    assert provider.calls == []


async def test_somebody_without_inbox_is_not_looked_for() -> None:
    claim = make_claim(make_delivery(user=None, address="grace@example.com", when=When.OFFLINE))
    settlement = await dispatched(claim, ScriptedProvider(), attention=Attention.ACTIVE)
    assert settlement.state is DeliveryState.SENT


async def test_transient_failures_are_tried_again_not_before_the_provider_wants_it() -> None:
    provider = ScriptedProvider()
    provider.default = Transient("busy", retry_after=90_000)
    settlement = await dispatched(make_claim(), provider)
    assert (settlement.state, settlement.due_at) == (DeliveryState.QUEUED, START + 90_000)
    assert settlement.reason == "To be tried again: busy"
    assert settlement.attempts[0].detail == "busy"
    assert not settlement.pull_next


async def test_the_last_attempt_fails_and_pulls_the_next_step() -> None:
    provider = ScriptedProvider()
    provider.default = Transient("busy")
    settlement = await dispatched(make_claim(make_delivery(attempts=4)), provider)
    assert (settlement.state, settlement.pull_next) == (DeliveryState.FAILED, True)
    assert settlement.reason == "Gave up after 5 attempts: busy"
    assert settlement.due_at is None


async def test_a_permanent_failure_fails_at_once() -> None:
    provider = ScriptedProvider()
    provider.default = Permanent("no such mailbox")
    settlement = await dispatched(make_claim(), provider)
    assert (settlement.state, settlement.reason, settlement.pull_next) == (
        DeliveryState.FAILED,
        "no such mailbox",
        True,
    )


async def test_a_bug_in_a_provider_is_a_transient_failure_and_tells_no_secret() -> None:
    provider = ScriptedProvider()
    provider.default = RuntimeError("secret for ada@example.com")
    with structlog.testing.capture_logs() as logs:
        settlement = await dispatched(make_claim(), provider)
    assert settlement.state is DeliveryState.QUEUED
    assert "secret" not in repr(settlement) + repr(logs)
    assert logs[0]["event"] == "provider_raised"


async def test_a_provider_that_does_not_come_back_is_left() -> None:
    provider = ScriptedProvider()
    provider.block = asyncio.Event()
    settlement = await dispatched(make_claim(), provider, timeout=0.01)
    assert settlement.state is DeliveryState.QUEUED
    assert settlement.attempts[0].detail == "The provider did not answer in time."


# Several devices


async def test_every_device_is_sent_to() -> None:
    provider = ScriptedProvider()
    settlement = await dispatched(push(ONE, TWO), provider)
    assert {name for name, _ in provider.calls} == {str(ONE.id), str(TWO.id)}
    assert (settlement.state, settlement.reason) == (DeliveryState.SENT, None)
    assert settlement.provider_calls == 1
    assert len(settlement.attempts) == 2


async def test_one_device_reached_is_enough_and_gone_ones_are_removed() -> None:
    provider = ScriptedProvider({TWO.token: Permanent("gone", endpoint_gone=True)})
    settlement = await dispatched(push(ONE, TWO), provider)
    assert settlement.state is DeliveryState.SENT
    assert settlement.reason == "Reached 1 of 2 devices. gone"
    assert settlement.gone_devices == (TWO.id,)


async def test_all_devices_gone_fails() -> None:
    provider = ScriptedProvider()
    provider.default = Permanent("gone", endpoint_gone=True)
    settlement = await dispatched(push(ONE, TWO), provider)
    assert (settlement.state, settlement.pull_next) == (DeliveryState.FAILED, True)
    assert settlement.gone_devices == (ONE.id, TWO.id)


async def test_only_what_failed_transiently_is_tried_again() -> None:
    provider = ScriptedProvider({TWO.token: Transient("busy"), THREE.token: Permanent("malformed")})
    first = await dispatched(push(ONE, TWO, THREE), provider)
    assert first.state is DeliveryState.QUEUED
    provider.calls.clear()
    provider.outcomes.clear()
    again = push(ONE, TWO, THREE, attempts=1, done=frozenset({str(ONE.id)}), refused=frozenset({str(THREE.id)}))
    second = await dispatched(again, provider)
    assert [name for name, _ in provider.calls] == [str(TWO.id)]
    assert (second.state, second.reason) == (DeliveryState.SENT, "Reached 2 of 3 devices.")


async def test_giving_up_on_one_device_does_not_unsend_the_other() -> None:
    provider = ScriptedProvider()
    provider.default = Transient("busy")
    settlement = await dispatched(push(ONE, TWO, attempts=2, done=frozenset({str(ONE.id)})), provider)
    assert (settlement.state, settlement.pull_next) == (DeliveryState.SENT, False)
    assert settlement.reason == "Reached 1 of 2 devices. busy"


@pytest.mark.parametrize("rung", [Rung.READ, None])
async def test_what_reached_a_device_stays_sent_when_the_rest_is_cancelled(rung: Rung | None) -> None:
    claim = push(ONE, TWO, attempts=1, done=frozenset({str(ONE.id)}))
    settlement = await dispatched(claim, ScriptedProvider(), rung=OneRung(rung))
    assert settlement.state is DeliveryState.SENT
    assert not settlement.pull_next


async def test_the_longest_retry_after_counts() -> None:
    provider = ScriptedProvider({ONE.token: Transient("a", 1_000), TWO.token: Transient("b", 5_000)})
    provider.default = Ok()
    settlement = await dispatched(push(ONE, TWO), provider)
    assert settlement.due_at == START + 5_000
