"""From a request to what is stored."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hub.core import wire
from hub.core.errors import InvalidRequest, NotBuilt
from hub.core.model import BROADCAST, Channel, Priority, Publication, Rung, Step, When
from hub.core.publication import idempotency_key, prepare
from hub.core.views import rfc3339

NOW = 1_800_000_000_000


def publish(key: str | None = None, **fields: Any) -> Publication:
    request = msgspec.convert({"recipients": ["ada"], "title": "Hello", **fields}, wire.PublishIn)
    return prepare(request, tenant="default", now=NOW, key=idempotency_key(key, "Idempotency-Key"))


def test_the_smallest_request() -> None:
    made = publish()
    assert made.users == ("ada",)
    assert made.deliveries == ()
    assert made.content.category == "general"
    assert made.content.priority is Priority.NORMAL
    assert msgspec.json.decode(made.response) == {"id": str(made.content.id), "recipients": 1, "deliveries": 0}


def test_a_user_named_twice_is_notified_once() -> None:
    assert publish(recipients=["ada", "grace", "ada"]).users == ("ada", "grace")


def test_every_step_is_a_delivery_from_the_start() -> None:
    made = publish(
        recipients=["ada", "grace"],
        fallback=[
            {"channel": "push", "after": 30},
            {"channel": "email", "after": "15m", "unless": "read", "when": "offline"},
        ],
    )
    assert made.content.plan == (
        Step(Channel.PUSH, 30_000, Rung.SEEN, When.ALWAYS),
        Step(Channel.EMAIL, 900_000, Rung.READ, When.OFFLINE),
    )
    assert [(d.user, d.step, d.channel, d.due_at - NOW) for d in made.deliveries] == [
        ("ada", 0, Channel.PUSH, 30_000),
        ("ada", 1, Channel.EMAIL, 900_000),
        ("grace", 0, Channel.PUSH, 30_000),
        ("grace", 1, Channel.EMAIL, 900_000),
    ]


def test_after_counts_from_the_time_when_it_appears() -> None:
    made = publish(deliver_at=rfc3339(NOW + 60_000), fallback=[{"channel": "email", "after": 10}])
    assert made.content.deliver_at == NOW + 60_000
    assert made.deliveries[0].due_at == NOW + 70_000


@pytest.mark.parametrize("ago", [0, 1, 60_000])
def test_a_deliver_at_that_has_just_passed_means_now(ago: int) -> None:
    content = publish(deliver_at=rfc3339(NOW - ago), expires_at=rfc3339(NOW + 1)).content
    assert (content.deliver_at, content.appears_at) == (None, NOW)


def test_a_deliver_at_long_past_is_a_mistake() -> None:
    with pytest.raises(InvalidRequest, match="has passed") as caught:
        publish(deliver_at=rfc3339(NOW - 60_001))
    assert caught.value.pointer == "$.deliver_at"
    assert rfc3339(NOW) in caught.value.detail


def test_channels_limit_the_plan() -> None:
    plan = [{"channel": "push"}, {"channel": "email"}]
    assert [d.channel for d in publish(fallback=plan, channels=["in_app", "email"]).deliveries] == [Channel.EMAIL]
    assert publish(fallback=plan, channels=["in_app"]).deliveries == ()


def test_an_address_gets_its_channel_at_once_and_nothing_cancels_it() -> None:
    made = publish(recipients=[{"email": "a@b.c"}, {"phone": "+15551234567"}], inbox=False)
    assert made.users == ()
    assert [(d.address, d.channel, d.due_at, d.unless) for d in made.deliveries] == [
        ("a@b.c", Channel.EMAIL, NOW, Rung.NONE),
        ("+15551234567", Channel.SMS, NOW, Rung.NONE),
    ]


def test_users_without_inbox_go_by_the_plan_and_nothing_cancels_it() -> None:
    made = publish(inbox=False, fallback=[{"channel": "sms"}])
    assert made.users == ()
    assert [(d.user, d.unless) for d in made.deliveries] == [("ada", Rung.NONE)]


@pytest.mark.parametrize(
    ("after", "milliseconds"),
    [(0, 0), (1.5, 1500), ("500ms", 500), ("90s", 90_000), ("1.5h", 5_400_000), ("2d", 172_800_000)],
)
def test_durations(after: float | str, milliseconds: int) -> None:
    made = publish(fallback=[{"channel": "email", "after": after}])
    assert made.deliveries[0].due_at - NOW == milliseconds


def step(**fields: Any) -> list[dict[str, Any]]:
    return [{"channel": "email", **fields}]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"recipients": []}, "$.recipients"),
        ({"recipients": [f"user-{n}" for n in range(1001)]}, "$.recipients"),
        ({"recipients": ["ada", ""]}, "$.recipients[1]"),
        ({"recipients": ["a\x00"]}, "$.recipients[0]"),
        ({"recipients": [{"email": "a@b.c"}]}, "$.inbox"),
        ({"recipients": [{"email": "nobody"}], "inbox": False}, "$.recipients[0].email"),
        ({"recipients": [{"phone": "123"}], "inbox": False}, "$.recipients[0].phone"),
        ({"recipients": [{}], "inbox": False}, "$.recipients[0]"),
        ({"recipients": [{"email": "a@b.c", "phone": "+15551234567"}], "inbox": False}, "$.recipients[0]"),
        ({"recipients": [{"email": "a@b.c"}], "inbox": False, "fallback": [{"channel": "push"}]}, "$.fallback"),
        ({"recipients": {}}, "$.recipients"),
        ({"recipients": {"topic": "t", "broadcast": True}}, "$.recipients"),
        ({"recipients": {"broadcast": False}}, "$.recipients"),
        ({"recipients": {"topic": ""}}, "$.recipients.topic"),
        ({"recipients": {"topic": "a\tb"}}, "$.recipients.topic"),
        ({"recipients": {"topic": "x" * 256}}, "$.recipients.topic"),
        ({"recipients": {"topic": "t"}, "inbox": False, "fallback": step()}, "$.inbox"),
        ({"inbox": False}, "$.inbox"),
        ({"title": ""}, "$.title"),
        ({"title": " "}, "$.title"),
        ({"title": "x" * 501}, "$.title"),
        ({"title": "\ud800"}, "$.title"),
        ({"body": "x" * 10_001}, "$.body"),
        ({"body": "\x00"}, "$.body"),
        ({"data": {"x": "y" * 33_000}}, "$.data"),
        ({"actor": {"name": "\x00"}}, "$.actor"),
        ({"category": "no spaces"}, "$.category"),
        ({"action_url": "javascript:alert(1)"}, "$.action_url"),
        ({"action_url": "/\\evil.com"}, "$.action_url"),
        ({"fallback": step(channel="pigeon")}, "$.fallback[0].channel"),
        ({"fallback": step(channel="in_app")}, "$.fallback[0].channel"),
        ({"fallback": step(after=-1)}, "$.fallback[0].after"),
        ({"fallback": step(after="-1s")}, "$.fallback[0].after"),
        ({"fallback": step(after="soon")}, "$.fallback[0].after"),
        ({"fallback": step(after=1e300)}, "$.fallback[0].after"),
        ({"fallback": step(after="31d")}, "$.fallback[0].after"),
        ({"fallback": step() * 11}, "$.fallback"),
        ({"channels": ["pigeon"]}, "$.channels[0]"),
        ({"deliver_at": "tomorrow"}, "$.deliver_at"),
        ({"deliver_at": "2027-01-01"}, "$.deliver_at"),
        ({"deliver_at": "2027-01-01T00:00:00"}, "$.deliver_at"),
        ({"deliver_at": "2999-01-01T00:00:00Z"}, "$.deliver_at"),
        ({"deliver_at": "0001-01-01T00:00:00+14:00"}, "$.deliver_at"),
        ({"expires_at": rfc3339(NOW)}, "$.expires_at"),
        ({"expires_at": rfc3339(NOW - 1)}, "$.expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "$.expires_at"),
        ({"deliver_at": rfc3339(NOW - 1), "expires_at": rfc3339(NOW)}, "$.expires_at"),
        ({"deliver_at": rfc3339(NOW + 9_000), "expires_at": rfc3339(NOW + 9_000)}, "$.expires_at"),
        ({"deliver_at": rfc3339(NOW + 9_000), "expires_at": rfc3339(NOW + 8_000)}, "$.expires_at"),
    ],
)
def test_bad_requests_name_the_place(fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        publish(**fields)
    assert caught.value.pointer == pointer


def test_what_is_not_built_says_so() -> None:
    with pytest.raises(NotBuilt):
        publish(template="welcome")


@pytest.mark.parametrize(
    ("recipients", "audience"),
    [({"topic": "releases"}, "releases"), ({"topic": "*", "broadcast": False}, "*"), ({"broadcast": True}, BROADCAST)],
)
def test_a_shared_audience_is_named_and_not_spelled_out(recipients: dict[str, Any], audience: str) -> None:
    stored = publish(recipients=recipients, fallback=step())
    assert (stored.audience, stored.users, stored.deliveries) == (audience, (), ())
    assert [planned.channel for planned in stored.content.plan] == [Channel.EMAIL]
    assert json.loads(stored.response) == {"id": str(stored.content.id), "recipients": None, "deliveries": 0}


def test_a_thousand_recipients_are_allowed() -> None:
    assert len(publish(recipients=[f"user-{n}" for n in range(1000)]).users) == 1000


def test_the_hash_is_of_the_meaning_not_of_the_spelling() -> None:
    [first] = publish("k", data={"a": 1, "b": 2}).idempotency
    [same] = publish("k", data={"b": 2, "a": 1}).idempotency
    [other] = publish("k", data={"a": 1, "b": 3}).idempotency
    assert first is not None
    assert same is not None
    assert other is not None
    assert first.body_hash == same.body_hash
    assert first.body_hash != other.body_hash


@pytest.mark.parametrize("key", ["", "a b", "a\n", "é", "x" * 256])
def test_idempotency_keys_of_another_shape_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        publish(key)
    assert caught.value.pointer == "Idempotency-Key"
