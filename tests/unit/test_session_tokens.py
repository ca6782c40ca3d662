"""A session outlives its first token, if the client brings another in time."""

from __future__ import annotations

from hub.core.effects import Authenticate
from hub.core.frames import CloseCode
from hub.core.model import Changes, InboxKey
from hub.core.session import REAUTH_LEAD_MS
from tests.unit.test_session import ADA, T0, Driver, change, connecting, head, live

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


def test_a_token_that_is_about_to_end_is_asked_for_at_once() -> None:
    driver = connecting(expires_at=T0 + 1_000)
    assert driver.session.next_deadline() == T0 + 1_000, "but not before the catch-up, which it would interrupt"
    driver.answer(Changes(head(3)))
    deadline = driver.session.next_deadline()
    assert deadline is not None
    assert deadline <= driver.now
    driver.advance(0)
    assert "reauth" in asked(driver)
    deadline = driver.session.next_deadline()
    assert deadline is not None
    assert deadline > driver.now


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
    assert driver.session.step(change(6))
    assert not driver.session.step(change(6)), "again"
    assert not driver.session.step(change(8)), "a gap"
    driver.hear(change(8))
    assert not driver.session.step(change(7)), "what follows is held: one after the other"
    driver.hear(change(7))
    assert driver.versions() == [7, 8]
    assert driver.session.step(change(9))
    driver.session.lost()
    assert not driver.session.step(change(10))


def test_no_step_while_catching_up() -> None:
    driver = connecting()
    assert not driver.session.step(change(0))
