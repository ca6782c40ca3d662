from __future__ import annotations

import pytest

from hub.core.model import Attention, Channel, Contact, Rung, Step, When
from hub.core.plan import (
    PATIENCE,
    RECHECK,
    Cancel,
    Decision,
    Endpoint,
    Expire,
    Send,
    Skip,
    Snooze,
    decide,
    endpoints,
    mask_email,
    mask_phone,
)
from tests.support.clock import START
from tests.support.deliveries import make_content, make_delivery, make_device

MAIL = Endpoint("a…@example.com", "email", "ada@example.com")


def decided(
    *,
    unless: Rung = Rung.SEEN,
    when: When = When.ALWAYS,
    rung: Rung | None = Rung.NONE,
    attention: Attention = Attention.OFFLINE,
    reachable: tuple[Endpoint, ...] = (MAIL,),
    finished: frozenset[str] = frozenset(),
    provider: bool = True,
    expires_at: int | None = None,
    after: int = 0,
    now: int = START,
) -> Decision:
    return decide(
        make_delivery(unless=unless, when=when),
        make_content(expires_at=expires_at, plan=(Step(Channel.EMAIL, after),)),
        reachable,
        finished=finished,
        provider=provider,
        rung=rung,
        attention=attention,
        now=now,
    )


def test_a_due_step_is_sent() -> None:
    assert decided() == Send((MAIL,))


@pytest.mark.parametrize("unless", [Rung.DELIVERED, Rung.SEEN, Rung.READ])
@pytest.mark.parametrize("rung", list(Rung))
def test_reaching_the_rung_cancels(unless: Rung, rung: Rung) -> None:
    decision = decided(unless=unless, rung=rung)
    assert isinstance(decision, Cancel if rung >= unless else Send)


@pytest.mark.parametrize("rung", list(Rung))
def test_a_step_without_unless_is_never_cancelled_by_attention(rung: Rung) -> None:
    assert isinstance(decided(unless=Rung.NONE, rung=rung), Send)


def test_the_reason_names_the_rung_reached() -> None:
    assert decided(rung=Rung.READ) == Cancel("The user has already read it.")
    assert decided(rung=Rung.SEEN) == Cancel("The user has already seen it.")


def test_a_claim_that_is_lost_or_whose_item_is_gone_is_cancelled() -> None:
    assert isinstance(decided(rung=None), Cancel)


def test_an_expired_notification_expires_also_when_its_item_is_gone_already() -> None:
    assert isinstance(decided(expires_at=START), Expire)
    assert isinstance(decided(expires_at=START, rung=None), Expire)
    assert isinstance(decided(expires_at=START + 1), Send)


def test_attention_comes_before_expiry_and_expiry_before_endpoints() -> None:
    assert isinstance(decided(rung=Rung.READ, expires_at=START), Cancel)
    assert isinstance(decided(expires_at=START, reachable=(), provider=False), Expire)


def test_without_endpoint_or_provider_the_next_step_is_pulled() -> None:
    assert decided(reachable=()) == Skip("The recipient has no e-mail address.", pull_next=True)
    assert decided(provider=False) == Skip("No provider is set up for the channel email.", pull_next=True)


def test_finished_endpoints_are_left_out() -> None:
    other = Endpoint("other", "fcm_token", "x")
    assert decided(reachable=(MAIL, other), finished=frozenset({MAIL.name})) == Send((other,))
    assert isinstance(decided(finished=frozenset({MAIL.name})), Skip)


@pytest.mark.parametrize(
    ("when", "sends"),
    [
        (When.ALWAYS, set(Attention)),
        (When.AWAY, {Attention.AWAY, Attention.OFFLINE}),
        (When.OFFLINE, {Attention.OFFLINE}),
    ],
)
@pytest.mark.parametrize("attention", list(Attention))
def test_presence_puts_off_what_asks_for_it(when: When, sends: set[Attention], attention: Attention) -> None:
    decision = decided(when=when, attention=attention)
    if attention in sends:
        assert decision == Send((MAIL,))
    else:
        assert isinstance(decision, Snooze)
        assert decision.until == START + RECHECK


@pytest.mark.parametrize("attention", [Attention.ACTIVE, Attention.UNKNOWN])
def test_waiting_ends_a_day_after_the_planned_time(attention: Attention) -> None:
    end = START + 60_000 + PATIENCE
    waiting = decided(when=When.OFFLINE, attention=attention, after=60_000, now=end - 1)
    assert isinstance(waiting, Snooze)
    assert waiting.until == end
    gave_up = decided(when=When.OFFLINE, attention=attention, after=60_000, now=end)
    assert isinstance(gave_up, Skip)
    assert not gave_up.pull_next
    assert gave_up.reason.startswith("Gave up after waiting for a day")


def test_waiting_ends_when_the_notification_expires() -> None:
    assert isinstance(
        decided(when=When.OFFLINE, attention=Attention.ACTIVE, expires_at=START + 5, now=START + 5), Expire
    )


def test_endpoints_of_a_user_and_of_an_address() -> None:
    ada = Contact("ada", email="ada@example.com", phone="+15551234567")
    push = make_delivery(channel=Channel.PUSH)
    assert [e.address for e in endpoints(make_delivery(), ada, [])] == ["ada@example.com"]
    assert [e.address for e in endpoints(make_delivery(channel=Channel.SMS), ada, [])] == ["+15551234567"]
    assert [e.device for e in endpoints(push, None, [make_device(1), make_device(2)])] == [
        make_device(1).id,
        make_device(2).id,
    ]
    straight = make_delivery(user=None, address="grace@example.com")
    assert [e.address for e in endpoints(straight, None, [])] == ["grace@example.com"]
    assert endpoints(make_delivery(), None, []) == ()
    assert endpoints(make_delivery(channel=Channel.CHAT), ada, [make_device(1)]) == ()


def test_names_of_endpoints_and_their_repr_keep_the_secret() -> None:
    device = endpoints(make_delivery(channel=Channel.PUSH), None, [make_device(1)])[0]
    assert device.name == str(make_device(1).id)
    assert "secret" not in repr(device)
    assert mask_email("ada@example.com") == "a…@example.com"
    assert mask_phone("+15551234567") == "…567"
