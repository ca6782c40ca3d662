"""Calls as values: what is sent, and what stays out."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec
import pytest

from hub.api.notifications import MAX_BATCH_BODY
from hub.client import AsyncBellwire, AsyncInbox, Bellwire, Inbox, Notification, operating, people, publishing
from hub.client.calls import Call, path
from hub.client.http import address, bearer, headers_of
from hub.client.publishing import MAX_BATCH_BYTES, batches, publish, publish_notification
from hub.core import wire
from hub.core.errors import ConfigurationError, InvalidRequest
from hub.core.publication import fingerprint

ADA = Notification(recipients=["ada"], title="t")


def test_what_is_left_out_is_not_sent() -> None:
    assert publish(["ada"], title="t").body == b'{"recipients":["ada"],"title":"t"}'


def test_every_publish_has_a_key_and_keeps_it() -> None:
    first, second = publish(["ada"], title="t"), publish(["ada"], title="t")
    assert first.key != second.key
    assert headers_of(first, "Bearer x")["Idempotency-Key"] == first.key
    assert publish(["ada"], title="t", idempotency_key="order-7").key == "order-7"


def test_a_key_travels_beside_the_notification_and_in_a_batch_inside() -> None:
    keyed = msgspec.structs.replace(ADA, idempotency_key="order-7")
    alone = publish_notification(keyed)
    assert (alone.key, json.loads(alone.body or b"")) == ("order-7", {"recipients": ["ada"], "title": "t"})
    [body] = batches([keyed])
    assert json.loads(body)["notifications"][0]["idempotency_key"] == "order-7"


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x\r\nX-Evil: 1", "x" * 256])
def test_a_key_that_cannot_be_one_is_refused_here(key: str) -> None:
    with pytest.raises(InvalidRequest):
        publish(["ada"], title="t", idempotency_key=key)


def test_one_user_is_a_list_too() -> None:
    with pytest.raises(TypeError, match=r"\['ada'\]"):
        publish("ada", title="t")


@pytest.mark.parametrize("bad", [object(), {1: "one", (2,): "two"}, {"x": b"\xff", "y": object}, {"s": "\ud800"}])
def test_what_cannot_be_json_is_refused_here(bad: object) -> None:
    with pytest.raises(InvalidRequest):
        publish(["ada"], title="t", data={"bad": bad})


def test_publish_takes_all_that_a_notification_has() -> None:
    fields = set(Notification.__struct_fields__)
    assert set(inspect.signature(publish).parameters) == fields
    assert fields == {*wire.PublishIn.__struct_fields__, "idempotency_key"}
    defaults = {name: each.default for name, each in inspect.signature(publish).parameters.items()}
    assert all(getattr(ADA, name) == defaults[name] for name in fields - {"recipients", "title"})


def test_a_notification_is_to_the_hub_what_was_meant() -> None:
    sent = msgspec.json.decode(publish_notification(ADA).body or b"", type=wire.PublishIn)
    assert fingerprint(sent) == fingerprint(wire.PublishIn(recipients=["ada"], title="t"))


@pytest.mark.parametrize(
    ("user", "segment"),
    [
        ("ada", "ada"),
        ("team/7", "team%2F7"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a.b", "a.b"),
        ("a?b#c d", "a%3Fb%23c%20d"),
        ("%2e", "%252e"),
        ("ü", "%C3%BC"),
    ],
)
def test_an_id_stays_one_segment(user: str, segment: str) -> None:
    assert people.erase_user(user).path == f"/v1/users/{segment}"


@pytest.mark.parametrize(
    "call", [people.erase_user, publishing.recall, operating.delivery, operating.delete_schedule, operating.pause_queue]
)
def test_an_empty_id_would_be_another_path(call: Callable[[str], Call[object]]) -> None:
    with pytest.raises(InvalidRequest, match="must not be empty"):
        call("")


def test_a_path_of_fixed_parts() -> None:
    assert path("notifications", "batch") == "/v1/notifications/batch"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("https://example.com/notifications/", "https://example.com/notifications"),
        ("HTTPS://example.com", "https://example.com"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    assert address(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ws://x",
        "http://",
        "http://x:99999",
        "http://x?y",
        "http://x#y",
        "http://me:pw@x",
        "http://[",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL") as refused:
        address(url)
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "é-secret"])
def test_what_is_no_credential_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        bearer(key, "the API key")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "repeatable"),
    [
        (operating.request("GET", "/v1/x"), True),
        (operating.request("POST", "/v1/x"), False),
        (operating.request("POST", "/v1/x", idempotency_key="k"), True),
        (operating.request("PUT", "/v1/x", repeatable=True), True),
    ],
)
def test_what_is_repeated_of_calls_that_nobody_knows(call: Call[object], *, repeatable: bool) -> None:
    assert call.repeatable is repeatable


class TestBatches:
    def test_by_number(self) -> None:
        assert [_size(body) for body in batches([ADA] * 2_001)] == [1_000, 1_000, 1]

    def test_by_recipients(self) -> None:
        crowd = Notification(recipients=[f"user-{n}" for n in range(1_000)], title="t")
        everybody = Notification(recipients=wire.AudienceIn(broadcast=True), title="t")
        assert [_size(body) for body in batches([crowd] * 10 + [everybody, ADA])] == [11, 1]

    def test_by_bytes_to_the_last_one(self) -> None:
        """Bodies are as large as is allowed, and no larger."""
        one = len(msgspec.json.encode(ADA))
        room = len(b'{"notifications":[]}') + 3 * one + 2
        full, rest = batches([ADA] * 4, most_bytes=room)
        assert (_size(full), len(full), _size(rest)) == (3, room, 1)
        assert [_size(body) for body in batches([ADA] * 4, most_bytes=room - 1)] == [2, 2]

    def test_what_no_call_could_carry_is_refused_after_those_before_it(self) -> None:
        made = batches([ADA, ADA, Notification(recipients=["ada"], title="t" * 200)], most=1, most_bytes=150)
        assert [_size(next(made))] == [1]
        with pytest.raises(InvalidRequest) as refused:
            list(made)
        assert refused.value.pointer == "$.notifications[2]"

    def test_of_nothing_is_no_call(self) -> None:
        assert list(batches([])) == []

    def test_they_are_made_as_they_are_asked_for(self) -> None:
        def endless() -> Iterator[Notification]:
            while True:
                yield ADA

        assert _size(next(batches(endless()))) == 1_000

    def test_the_hubs_bounds(self) -> None:
        assert MAX_BATCH_BYTES == MAX_BATCH_BODY


def _size(body: bytes) -> int:
    return len(json.loads(body)["notifications"])


@pytest.mark.parametrize(("blocking", "other"), [(Bellwire, AsyncBellwire), (Inbox, AsyncInbox)])
def test_both_drivers_have_the_same_calls(blocking: type, other: type) -> None:
    for name, method in vars(blocking).items():
        if not name.startswith("_"):
            twin = getattr(other, name)
            assert (twin.__doc__, twin.__name__) == (method.__doc__, method.__name__)
            assert method.__doc__
            assert inspect.signature(twin).parameters == inspect.signature(method).parameters
    assert {name for name in vars(other) if not name.startswith("_")} - set(vars(blocking)) <= {"listen"}


def test_methods_say_what_they_return() -> None:
    assert inspect.signature(Bellwire.publish).return_annotation == "Published"
    assert inspect.signature(Bellwire.members).return_annotation == "Iterator[str]"
    assert inspect.signature(AsyncBellwire.members).return_annotation == "AsyncIterator[str]"


def test_importing_the_client_loads_nothing_of_the_server() -> None:
    ask = "import sys, hub.client; print(*{name.partition('.')[0] for name in sys.modules}, *sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split())
    assert {"hub.client", "httpx2", "msgspec", "websockets"} <= loaded
    assert not loaded & {"sqlalchemy", "starlette", "uvicorn", "redis", "pydantic", "typer", "rich", "structlog", "jwt"}
    assert not [
        name
        for name in loaded
        if name.startswith(("hub.", "fallback")) and name.split(".")[1] not in {"client", "core"}
    ]
