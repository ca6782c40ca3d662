"""What operators are told."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from fallback.notices import notice_of_failures, notice_of_outage
from hub.core.model import FailureKind
from tests.support.clock import START
from tests.unit.test_alerter import alert, outage


def test_a_repeated_message_has_the_same_id_and_another_one_has_not() -> None:
    alerts = (alert(1), alert(1, count=9, tries=4), alert(2), alert(1, tenant="acme"))
    ids = [notice_of_failures(each).id for each in alerts]
    ids += [notice_of_outage(each).id for each in (outage(), outage(tries=4), outage(START, number=2))]
    assert (ids[0], ids[4]) == (ids[1], ids[5])
    assert len(set(ids)) == 5


def test_an_example_that_is_gone_is_told_as_that() -> None:
    gone = notice_of_failures(replace(alert(), latest=None))
    assert "erased" in gone.text
    assert gone.data["latest"] is None


def test_people_read_what_happened() -> None:
    group = alert().group._replace(kind=FailureKind.EXHAUSTED)
    assert notice_of_failures(replace(alert(count=1_200), group=group)).text.splitlines() == [
        "Given up after all attempts. Since 2027-01-15T08:00:00.000Z: 1,200.",
        f"Last: notification {UUID(int=2)} to user ada, delivery {UUID(int=1)}",
        "Reason: no such mailbox",
    ]


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_has_its_words(kind: FailureKind) -> None:
    assert notice_of_failures(replace(alert(), group=alert().group._replace(kind=kind))).text


def test_an_outage_is_told_with_how_many_workers_find_it_so() -> None:
    notice = notice_of_outage(outage())
    assert notice.subject == "Bellwire: smtp (email) is out"
    assert "2 of 3 workers" in notice.text
    assert notice.data == {
        "channel": "email",
        "provider": "smtp",
        "since": "2027-01-15T08:00:00.000Z",
        "ended_at": None,
        "workers": 2,
        "of_workers": 3,
    }
    assert not notice.is_good


def test_its_end_is_good_news() -> None:
    notice = notice_of_outage(outage(START + 60_000))
    assert notice.subject == "Bellwire: smtp (email) is back"
    assert notice.data["ended_at"] == "2027-01-15T08:01:00.000Z"
    assert notice.is_good
