"""A session outlives its first token, if the client brings another in time."""

from __future__ import annotations

from hub.core.effects import Authenticate
from hub.core.frames import CloseCode
from hub.core.model import Changes, InboxKey
from hub.core.session import REAUTH_LEAD_MS
from tests.unit.test_session import ADA, T0, Driver, change, connecting, head, live, ping

END = T0 + 100_000


def asked(driver: Driver) -> list[str]:
    return [frame["type"] for frame in driver.take_frames() if frame["type"] != "ping"]


def test_the_client_is_asked_for_a_fresh_token_before_the_old_one_ends() -> None:
    driver = live(expires_at=END)
    driver.advance(END - REAUTH_LEAD_MS - 1 - driver.now)
    assert asked(driver) == []
    driver.advance(1)
    frames = [frame for frame in driver.take_frames() if frame["type"] != "ping"]
    assert frames == [{"type": "reauth", "within_ms": REAUTH_LEAD_MS}]
    driver.advance(1_000)
    assert asked(driver) == [], "once"


def test_a_fresh_token_keeps_the_connection() -> None:
    driver = live(expires_at=END)
    driver.advance(END - 10_000 - driver.now)
    driver.take_frames()
    driver.send({"type": "reauth", "token": "fresh"})
    assert driver.take_asked() == [Authenticate("fresh")]
    driver.session.renewed(ADA, expires_at=END + 100_000, now=driver.now)
    driver.collect()
    assert driver.take_frames() == [{"type": "reauthenticated", "expires_in_ms": 110_000}]
    driver.advance(10_001)
    assert driver.open()
    driver.advance(END + 100_000 - REAUTH_LEAD_MS - driver.now)
    assert asked(driver) == ["reauth"], "and so on"


def test_without_an_answer_the_connection_ends_with_the_token() -> None:
    driver = live(expires_at=END)
    driver.advance(END - 5_000 - driver.now)
    assert driver.session.next_deadline() is not None
    driver.advance(5_000)
    assert driver.closed is not None
    assert driver.closed.code == CloseCode.TOKEN_EXPIRED


def test_a_token_of_somebody_else_ends_it() -> None:
    for other in (InboxKey(ADA.tenant, "eve"), InboxKey("another", ADA.user)):
        driver = live(expires_at=END)
        driver.session.renewed(other, expires_at=END + 100_000, now=driver.now)
        driver.collect()
        assert driver.closed is not None
        assert driver.closed.code == CloseCode.UNAUTHENTICATED
        assert driver.session.key == ADA


def test_a_bad_token_ends_it() -> None:
    driver = live(expires_at=END)
    driver.session.refused("signed with another key")
    driver.collect()
    assert driver.closed is not None
    assert driver.closed.code == CloseCode.UNAUTHENTICATED


def test_a_short_token_is_asked_for_after_half_its_time_and_not_on_and_on() -> None:
    driver = connecting(expires_at=T0 + 1_000)
    assert driver.session.next_deadline() == T0 + 1_000, "not before the catch-up, which it would interrupt"
    driver.answer(Changes(head(3)))
    assert driver.session.next_deadline() == T0 + 500
    driver.advance(500)
    assert "reauth" in asked(driver)
    driver.session.renewed(ADA, expires_at=T0 + 1_500, now=driver.now)
    driver.collect()
    assert driver.session.next_deadline() == T0 + 1_000
    driver.advance(0)
    assert asked(driver) == ["reauthenticated"]


def test_a_fresh_token_may_come_unasked() -> None:
    driver = live(expires_at=END)
    driver.send({"type": "reauth", "token": "fresh"})
    assert driver.take_asked() == [Authenticate("fresh")]


def test_reauth_comes_after_connect_only() -> None:
    driver = Driver()
    driver.send({"type": "reauth", "token": "t"})
    assert driver.closed is not None
    assert driver.closed.code == CloseCode.CONNECT_FIRST


def test_the_next_change_is_one_step_and_nothing_else_is() -> None:
    driver = live(version=5)
    step = driver.session.step
    assert step(5, change(6))
    assert not step(5, change(6)), "again"
    assert not step(7, change(8)), "a gap"
    assert not step(6, change(7, "another"))
    assert not step(6, change(7, position=1)), "made at another position of the shared log"
    driver.hear(change(8))
    assert not step(6, change(7)), "what follows is held: one after the other"
    driver.hear(change(7))
    assert driver.versions() == [7, 8]
    assert step(8, change(18)), "ten at once"
    driver.send({"type": "ping"})
    assert driver.take_frames() == [ping(18)]
    driver.hear(change(19))
    assert driver.versions() == [19]
    driver.session.lost()
    assert not step(19, change(20))


def test_no_step_while_catching_up() -> None:
    driver = connecting()
    assert not driver.session.step(-1, change(0))
