"""When a listener comes back."""

from __future__ import annotations

import pytest

from hub.client.comeback import Comeback, Ended
from hub.client.errors import ClosedForGood
from hub.core.errors import Unauthenticated
from hub.core.frames import CloseCode
from hub.core.wire import ErrorFrame

CUT = Ended(1006, "the connection broke")


def comeback(random: float = 0.5) -> Comeback:
    return Comeback(lambda: random)


def test_waits_double_up_to_half_a_minute() -> None:
    back = comeback(1.0)
    assert [back.wait(CUT, 0.0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_jitter_begins_at_nothing() -> None:
    assert comeback(0.0).wait(CUT, 0.0) == 0.0


def test_only_a_stable_minute_lets_it_begin_anew() -> None:
    back = comeback(1.0)
    back.wait(CUT, 0.0)
    back.ready(10.0)
    back.ready(60.0)  # it comes again after gaps
    assert back.wait(CUT, 69.9) == 2.0
    back.ready(100.0)
    assert back.wait(CUT, 160.0) == 1.0


def test_what_the_hub_asks_for_is_kept() -> None:
    assert comeback().wait(Ended(4000, "", 1.8, exact=True), 0.0) == 1.8
    assert comeback().wait(Ended(503, "", 2.0), 0.0) == 2.5, "jitter comes on top of Retry-After"


@pytest.mark.parametrize("code", [0, 408, 429, 500, 502, 503, 1001, 1006, 1012, *range(4000, 4007), 4042])
def test_what_passes(code: int) -> None:
    assert comeback().wait(Ended(code, ""), 0.0) == 0.5


@pytest.mark.parametrize("code", [400, 403, 404, 422, 4100, 4101, 4103, 4104, 4199])
def test_what_does_not_pass(code: int) -> None:
    with pytest.raises(ClosedForGood, match="too many of you") as ended:
        comeback().wait(Ended(code, "closed"), 0.0, ErrorFrame("too_many", "too many of you"))
    assert (ended.value.close_code, ended.value.code) == (code, "too_many")


def test_every_close_code_is_decided() -> None:
    for code in set(CloseCode) - {CloseCode.UNAUTHENTICATED}:
        final = code >= CloseCode.BAD_FRAME
        try:
            comeback().wait(Ended(code, ""), 0.0)
        except ClosedForGood:
            assert final
        else:
            assert not final


@pytest.mark.parametrize("code", [401, 4102])
class TestRefusedTokens:
    def test_another_token_is_shown_a_second_later(self, code: int) -> None:
        back = comeback(0.0)
        back.show("first")
        assert back.wait(Ended(code, ""), 0.0) == 1.0
        assert back.show("second") == "second"

    def test_the_same_one_is_not_shown_again(self, code: int) -> None:
        back = comeback()
        back.show("first")
        back.wait(Ended(code, ""), 0.0)
        with pytest.raises(Unauthenticated):
            back.show("first")

    def test_a_second_refusal_ends_it(self, code: int) -> None:
        back = comeback()
        back.show("first")
        back.wait(Ended(code, ""), 0.0)
        back.show("second")
        with pytest.raises(Unauthenticated, match="revoked"):
            back.wait(Ended(code, ""), 0.0, ErrorFrame("token_revoked", "the token was revoked"))

    def test_one_that_worked_meanwhile_forgives(self, code: int) -> None:
        back = comeback()
        back.show("first")
        back.wait(Ended(code, ""), 0.0)
        back.show("second")
        back.ready(1.0)
        assert back.wait(Ended(code, ""), 2.0) >= 1.0
