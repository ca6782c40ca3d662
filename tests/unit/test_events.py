"""From an event to what is stored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.core.events import EVENT_ID, EVENT_KEY, prepare_event
from hub.core.model import Channel, Priority, Publication, Rung, Step, When

NOW = 1_800_000_000_000
SMALLEST = {"event_id": "evt-1", "event_type": "order.shipped", "recipient_id": "ada"}


def event(**fields: Any) -> wire.EventIn:
    return msgspec.convert({**SMALLEST, **fields}, wire.EventIn)


def told(**fields: Any) -> Publication:
    return prepare_event(event(**fields), tenant="default", now=NOW)


def test_the_smallest_event_is_an_item_in_the_inbox() -> None:
    made = told()
    assert (made.users, made.deliveries) == (("ada",), ())
    content = made.content
    assert (content.category, content.title, content.body) == ("order.shipped", "Order shipped", "")
    assert (content.priority, content.inbox, content.data, content.plan) == (Priority.NORMAL, True, None, ())
    assert (content.created_at, content.deliver_at, content.expires_at) == (NOW, None, None)


def test_every_channel_is_used_at_once_whatever_the_user_has_seen() -> None:
    made = told(channels=["sms", "in_app", "email", "sms"], priority="critical")
    assert made.users == ("ada",)
    assert made.content.priority is Priority.CRITICAL
    assert set(made.content.plan) == {Step(each, 0, Rung.NONE, When.ALWAYS) for each in (Channel.EMAIL, Channel.SMS)}
    assert [(each.user, each.due_at, each.unless) for each in made.deliveries] == [("ada", NOW, Rung.NONE)] * 2


def test_without_in_app_there_is_no_item() -> None:
    made = told(channels=["push"])
    assert (made.users, made.content.inbox) == ((), False)
    assert [(each.user, each.channel) for each in made.deliveries] == [("ada", Channel.PUSH)]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"title": "T", "subject": "S", "body": "B", "message": "M", "action_url": "/x"}, ("T", "B", "/x")),
        ({"subject": "S", "message": "M"}, ("S", "M", None)),
        ({"title": None, "body": None, "subject": "S"}, ("S", "", None)),
        ({"body": ""}, ("Order shipped", "", None)),
        ({}, ("Order shipped", "", None)),
    ],
)
def test_what_is_shown_is_found_in_the_data(data: dict[str, object], shown: tuple[str, str, str | None]) -> None:
    content = told(data=data).content
    assert (content.title, content.body, content.action_url) == shown
    assert msgspec.json.decode(content.data or b"") == data, "all of it goes along"


@pytest.mark.parametrize(
    ("event_type", "title"),
    [
        ("order.shipped", "Order shipped"),
        ("OrderShipped", "OrderShipped"),
        ("billing/invoice_over-due:now", "Billing invoice over due now"),
        ("x", "X"),
        ("a...", "A"),
    ],
)
def test_without_a_title_the_type_is_said_in_words(event_type: str, title: str) -> None:
    assert told(event_type=event_type).content.title == title


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"event_id": ""}, "$.event_id"),
        ({"event_id": "two words"}, "$.event_id"),
        ({"event_id": "x" * 256}, "$.event_id"),
        ({"idempotency_key": "é"}, "$.idempotency_key"),
        ({"idempotency_key": ""}, "$.idempotency_key"),
        ({"event_type": ""}, "$.event_type"),
        ({"event_type": "order shipped"}, "$.event_type"),
        ({"event_type": "x" * 129}, "$.event_type"),
        ({"recipient_id": ""}, "$.recipient_id"),
        ({"recipient_id": "a\0"}, "$.recipient_id"),
        ({"recipient_id": "x" * 256}, "$.recipient_id"),
        ({"channels": []}, "$.channels"),
        ({"channels": ["in_app", "pigeon"]}, "$.channels[1]"),
        ({"created_at": "yesterday"}, "$.created_at"),
        ({"created_at": "2027-01-15T08:00:00"}, "$.created_at"),
        ({"data": {"title": 7}}, "$.data.title"),
        ({"data": {"title": ""}}, "$.data.title"),
        ({"data": {"subject": "x" * 501}}, "$.data.subject"),
        ({"data": {"body": ["x"]}}, "$.data.body"),
        ({"data": {"message": "x" * 10_001}}, "$.data.message"),
        ({"data": {"action_url": "javascript:alert(1)"}}, "$.data.action_url"),
        ({"data": {"a": "\0"}}, "$.data"),
        ({"data": {"a": "x" * 40_000}}, "$.data"),
    ],
)
def test_what_does_not_fit_is_pointed_at(fields: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        told(**fields)
    assert caught.value.pointer == pointer


def test_both_of_its_names_are_kept_and_do_not_count_as_what_it_says() -> None:
    made = told(idempotency_key="k", data={"a": 1, "b": 2}, created_at="2027-01-15T08:00:00Z")
    assert [(each.operation, each.key) for each in made.idempotency] == [(EVENT_ID, "evt-1"), (EVENT_KEY, "k")]
    assert {each.response for each in made.idempotency} == {made.response}
    [same] = {each.body_hash for each in made.idempotency}
    alike = told(event_id="evt-2", data={"b": 2, "a": 1}, created_at="2027-01-15T08:00:00Z").idempotency
    assert [(each.key, each.body_hash) for each in alike] == [("evt-2", same)]
    for other in ({"data": {"a": 1}}, {"recipient_id": "grace"}, {"created_at": "2027-01-15T08:00:01Z"}):
        fields = {"data": {"a": 1, "b": 2}, "created_at": "2027-01-15T08:00:00Z", **other}
        assert told(**fields).idempotency[0].body_hash != same
