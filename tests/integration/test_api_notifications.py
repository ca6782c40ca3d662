from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from starlette.types import Message

from hub.core.errors import DataError, StoreUnavailable, Unavailable
from hub.core.model import InboxKey
from tests.support.api import ACME_KEY, API_KEY, PUBLISHER, Api, open_api, problem

GOOD: dict[str, Any] = {"recipients": ["ada"], "title": "Hello"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def nothing_is_stored(client: httpx2.AsyncClient, api: Api) -> None:
    """Check that no inbox has moved, and that the server still works."""
    count = await client.get("/v1/inbox/count", headers=api.user("ada"))
    assert count.json()["cursor"].split(".")[1] == "0"
    assert (count.json()["unread_count"], count.json()["unseen_count"]) == (0, 0)
    assert (await client.post("/v1/notifications", json=GOOD, headers=PUBLISHER)).status_code == 201


async def publish(client: httpx2.AsyncClient, body: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post("/v1/notifications", content=content, headers={**PUBLISHER, **JSON, **(headers or {})})


def changed(**fields: object) -> dict[str, Any]:
    return {**GOOD, **fields}


MALFORMED = {
    "empty": b"",
    "blank": b" \n",
    "cut short": b'{"recipients":["ada"],"title":"Hel',
    "not json": b"title=Hello",
    "trailing": b'{"recipients":["ada"],"title":"x"} {}',
    "single quotes": b"{'title':'x'}",
    "trailing comma": b'{"recipients":["ada"],"title":"x",}',
    "NaN": b'{"recipients":["ada"],"title":"x","data":{"a":NaN}}',
    "Infinity": b'{"recipients":["ada"],"title":"x","data":{"a":-Infinity}}',
    "bad UTF-8": b'{"recipients":["ada"],"title":"\xff"}',
    "UTF-16": '{"recipients":["ada"],"title":"x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"recipients":["ada"],"title":"x"}',
    "encoded surrogate": b'{"recipients":["ada"],"title":"\xed\xa0\x80"}',
    "lone high surrogate": b'{"recipients":["ada"],"title":"\\ud800"}',
    "lone low surrogate": b'{"recipients":["ada"],"title":"x","data":{"a":"\\udc00"}}',
    "surrogate in a key": b'{"recipients":["ada"],"title":"x","data":{"\\ud800":1}}',
    "surrogate in a recipient": b'{"recipients":["\\ud800"],"title":"x"}',
    "raw NUL": b'{"recipients":["ada"],"title":"\x00"}',
    "raw newline": b'{"recipients":["ada"],"title":"a\nb"}',
    "bottomless": b'{"recipients":["ada"],"title":"x","data":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_json_is_refused(client: httpx2.AsyncClient, api: Api, body: bytes) -> None:
    problem(await publish(client, body), 400, "malformed-body")
    await nothing_is_stored(client, api)


INVALID: list[tuple[str, object, str]] = [
    ("an array", [GOOD], "$"),
    ("null", None, "$"),
    ("text", "hello", "$"),
    ("no recipients", {"title": "x"}, "$.recipients"),
    ("no title", {"recipients": ["ada"]}, "$.title"),
    ("unknown field", changed(titel="x"), "$.titel"),
    ("unknown field in a step", changed(fallback=[{"channel": "email", "delay": 3}]), "$.fallback[0].delay"),
    ("unknown field in an address", changed(recipients=[{"mail": "a@b.c"}]), "$.recipients[0].mail"),
    ("title a number", changed(title=7), "$.title"),
    ("title null", changed(title=None), "$.title"),
    ("title empty", changed(title=""), "$.title"),
    ("title blank", changed(title="  "), "$.title"),
    ("title too long", changed(title="x" * 501), "$.title"),
    ("title with NUL", changed(title="a\x00b"), "$.title"),
    ("body too long", changed(body="x" * 10_001), "$.body"),
    ("body with NUL", changed(body="\x00"), "$.body"),
    ("data too long", changed(data={"a": "x" * 32_768}), "$.data"),
    ("data with NUL", changed(data={"a": ["\x00"]}), "$.data"),
    ("data with NUL in a key", changed(data={"a": {"\x00": 1}}), "$.data"),
    ("data an array", changed(data=[1]), "$.data"),
    ("data text", changed(data="x"), "$.data"),
    ("actor with NUL", changed(actor={"name": "\x00"}), "$.actor"),
    ("actor too long", changed(actor={"name": "x" * 32_768}), "$.actor"),
    ("recipients empty", changed(recipients=[]), "$.recipients"),
    ("1,001 recipients", changed(recipients=[f"u{number}" for number in range(1_001)]), "$.recipients"),
    ("recipient a number", changed(recipients=["ada", 7]), "$.recipients[1]"),
    ("recipient empty", changed(recipients=["ada", ""]), "$.recipients[1]"),
    ("recipient with NUL", changed(recipients=["a\x00"]), "$.recipients[0]"),
    ("recipient too long", changed(recipients=["x" * 256]), "$.recipients[0]"),
    ("recipients text", changed(recipients="ada"), "$.recipients"),
    ("address with an inbox", changed(recipients=[{"email": "a@b.example"}]), "$.inbox"),
    ("address of nobody", changed(recipients=[{}], inbox=False), "$.recipients[0]"),
    ("address that is none", changed(recipients=[{"email": "ada"}], inbox=False), "$.recipients[0].email"),
    (
        "header in an address",
        changed(recipients=[{"email": "a@b.c\nBcc: x"}], inbox=False),
        "$.recipients[0].email",
    ),
    ("phone that is none", changed(recipients=[{"phone": "555"}], inbox=False), "$.recipients[0].phone"),
    ("no inbox and no plan", changed(inbox=False), "$.inbox"),
    ("empty audience", changed(recipients={}), "$.recipients"),
    ("two audiences", changed(recipients={"topic": "t", "broadcast": True}), "$.recipients"),
    ("category with spaces", changed(category="order shipped"), "$.category"),
    ("category empty", changed(category=""), "$.category"),
    ("category too long", changed(category="x" * 129), "$.category"),
    ("priority unknown", changed(priority="urgent"), "$.priority"),
    ("priority a number", changed(priority=0), "$.priority"),
    ("unknown channel", changed(fallback=[{"channel": "pigeon"}]), "$.fallback[0].channel"),
    ("unknown channel to limit to", changed(channels=["email", "pigeon"]), "$.channels[1]"),
    ("in_app as a step", changed(fallback=[{"channel": "in_app"}]), "$.fallback[0].channel"),
    ("negative after", changed(fallback=[{"channel": "email", "after": -1}]), "$.fallback[0].after"),
    ("negative fraction", changed(fallback=[{"channel": "email", "after": -0.5}]), "$.fallback[0].after"),
    ("negative duration", changed(fallback=[{"channel": "email", "after": "-5m"}]), "$.fallback[0].after"),
    ("unknown duration", changed(fallback=[{"channel": "email", "after": "soon"}]), "$.fallback[0].after"),
    ("after of years", changed(fallback=[{"channel": "email", "after": 10**9}]), "$.fallback[0].after"),
    ("huge after", changed(fallback=[{"channel": "email", "after": 10**30}]), "$.fallback[0].after"),
    ("after true", changed(fallback=[{"channel": "email", "after": True}]), "$.fallback[0].after"),
    ("unknown rung", changed(fallback=[{"channel": "email", "unless": "opened"}]), "$.fallback[0].unless"),
    ("unknown when", changed(fallback=[{"channel": "email", "when": "asleep"}]), "$.fallback[0].when"),
    ("11 steps", changed(fallback=[{"channel": "email"}] * 11), "$.fallback"),
    ("script", changed(action_url="javascript:alert(1)"), "$.action_url"),
    ("script in capitals", changed(action_url="JaVaScRiPt:alert(1)"), "$.action_url"),
    ("script after a space", changed(action_url=" javascript:alert(1)"), "$.action_url"),
    ("script with a tab", changed(action_url="java\tscript:alert(1)"), "$.action_url"),
    ("data url", changed(action_url="data:text/html,x"), "$.action_url"),
    ("backslash", changed(action_url="/\\evil.com"), "$.action_url"),
    ("two slashes", changed(action_url="//evil.com"), "$.action_url"),
    ("user in a url", changed(action_url="https://app@evil.com/"), "$.action_url"),
    ("url too long", changed(action_url="/" + "x" * 2048), "$.action_url"),
    ("deliver_at without zone", changed(deliver_at="2027-01-15T09:00:00"), "$.deliver_at"),
    ("deliver_at a number", changed(deliver_at=1_800_000_000), "$.deliver_at"),
    ("deliver_at years ahead", changed(deliver_at="2127-01-15T09:00:00Z"), "$.deliver_at"),
    ("expires before it begins", changed(expires_at="2027-01-15T07:00:00Z"), "$.expires_at"),
    ("inbox as text", changed(inbox="false"), "$.inbox"),
]


@pytest.mark.parametrize(("body", "pointer"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID])
async def test_what_does_not_fit_is_refused_and_pointed_at(
    client: httpx2.AsyncClient, api: Api, body: object, pointer: str
) -> None:
    problem(await publish(client, body), 422, "invalid-request", pointer)
    await nothing_is_stored(client, api)


async def test_a_number_that_no_machine_holds_is_refused(client: httpx2.AsyncClient, api: Api) -> None:
    problem(await publish(client, b'{"recipients":["ada"],"title":"x","data":{"a":1e999}}'), 422, "invalid-request")
    digits = b"9" * 5_000
    problem(
        await publish(client, b'{"recipients":["ada"],"title":"x","data":{"a":%s}}' % digits), 422, "invalid-request"
    )
    await nothing_is_stored(client, api)


@pytest.mark.parametrize(
    "body",
    [
        changed(recipients={"topic": "news"}),
        changed(recipients={"broadcast": True}),
        changed(template="welcome"),
    ],
)
async def test_what_is_not_built_says_so(client: httpx2.AsyncClient, api: Api, body: object) -> None:
    problem(await publish(client, body), 501, "not-built")
    await nothing_is_stored(client, api)


async def test_a_body_over_a_mebibyte_is_refused(client: httpx2.AsyncClient, api: Api) -> None:
    large = json.dumps(changed(body="x" * 1024 * 1024)).encode()
    answer = await publish(client, large)
    problem(answer, 413, "body-too-large")
    assert answer.headers["connection"] == "close"

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65_536

    problem(await client.post("/v1/notifications", content=unannounced(), headers=PUBLISHER), 413, "body-too-large")
    await nothing_is_stored(client, api)


async def test_the_largest_allowed_publish_is_accepted(client: httpx2.AsyncClient) -> None:
    body = changed(
        recipients=[f"user-{number:04}-{'x' * 200}" for number in range(1_000)],
        title="☃" * 500,
        body="x" * 10_000,
        data={"a": "x" * 32_000},
        action_url="/" + "x" * 2047,
    )
    answer = await publish(client, json.dumps(body, ensure_ascii=False).encode())
    assert answer.status_code == 201, answer.text
    assert answer.json()["recipients"] == 1_000


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "",
    ],
)
async def test_a_body_that_says_it_is_not_json_is_refused(
    client: httpx2.AsyncClient, api: Api, content_type: str
) -> None:
    problem(await publish(client, GOOD, {"Content-Type": content_type}), 415, "unsupported-media-type")
    await nothing_is_stored(client, api)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", "APPLICATION/JSON", "application/x+json", None]
)
async def test_json_may_be_called_what_it_is_or_nothing(client: httpx2.AsyncClient, content_type: str | None) -> None:
    headers = PUBLISHER if content_type is None else {**PUBLISHER, "Content-Type": content_type}
    answer = await client.post("/v1/notifications", content=json.dumps(GOOD).encode(), headers=headers)
    assert answer.status_code == 201, answer.text


def credentials() -> dict[str, list[tuple[str, str]]]:
    def header(value: str) -> list[tuple[str, str]]:
        return [("Authorization", value)]

    return {
        "none": [],
        "empty": header(""),
        "scheme only": header("Bearer"),
        "scheme and space": header("Bearer "),
        "unknown key": header("Bearer nobody"),
        "part of the key": header(f"Bearer {API_KEY[:-1]}"),
        "key and more": header(f"Bearer {API_KEY}x"),
        "no scheme": header(API_KEY),
        "basic": header(f"Basic {API_KEY}"),
        "twice": header(f"Bearer {API_KEY}") * 2,
        "bad token": header("Bearer a.b.c"),
        "long": header("Bearer " + "x" * 20_000),
    }


@pytest.mark.parametrize("headers", credentials().values(), ids=credentials())
async def test_a_bad_api_key_is_refused_before_the_body_is_read(
    client: httpx2.AsyncClient, api: Api, headers: list[tuple[str, str]]
) -> None:
    for path, method in (
        ("/v1/notifications", "POST"),
        (f"/v1/notifications/{uuid4()}", "GET"),
        ("/v1/users/ada", "PUT"),
    ):
        answer = await client.request(method, path, content=b"\xff", headers=headers)
        body = problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert API_KEY not in body["detail"]
    await nothing_is_stored(client, api)


async def test_a_users_token_is_shown_where_the_api_key_belongs(client: httpx2.AsyncClient, api: Api) -> None:
    answer = await client.post("/v1/notifications", json=GOOD, headers=api.user("ada"))
    assert "API key" in problem(answer, 403, "forbidden")["detail"]
    expired = api.user("ada")
    api.clock.advance(2 * 3_600_000)
    answer = await client.post("/v1/notifications", json=GOOD, headers=expired)
    assert "expired" in problem(answer, 401, "unauthenticated")["detail"]


async def test_publishing_stores_and_tells_where(client: httpx2.AsyncClient, api: Api) -> None:
    body = changed(
        recipients=["ada", "grace", "ada"],
        data={"order": 7, "big": 10**18, "fraction": 0.1, "nested": [None, True, {"☃": "é\\u0000"}]},
        actor={"name": "Grace"},
        fallback=[{"channel": "email", "after": "5m"}],
    )
    answer = await publish(client, body)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in answer.headers
    out = answer.json()
    assert out == {"id": out["id"], "recipients": 2, "deliveries": 2}
    assert answer.headers["location"] == f"/v1/notifications/{out['id']}"

    shown = (await client.get(answer.headers["location"], headers=PUBLISHER)).json()
    assert shown["data"] == body["data"]
    assert shown["actor"] == body["actor"]
    assert sorted(recipient["user"] for recipient in shown["recipients"]) == ["ada", "grace"]
    assert {delivery["state"] for delivery in shown["deliveries"]} == {"queued"}
    for user in ("ada", "grace"):
        page = (await client.get("/v1/inbox", headers=api.user(user))).json()
        assert [item["id"] for item in page["data"]] == [out["id"]]
        assert page["unread_count"] == 1
        assert page["data"][0]["data"] == body["data"]


async def test_another_tenant_sees_nothing_of_it(client: httpx2.AsyncClient, api: Api) -> None:
    path = (await publish(client, GOOD)).headers["location"]
    acme = {"Authorization": f"Bearer {ACME_KEY}"}
    problem(await client.get(path, headers=acme), 404, "not-found")
    page = (await client.get("/v1/inbox", headers=api.user("ada", "acme"))).json()
    assert page["data"] == []
    assert (await client.get(f"/v1/inbox/{path.split('/')[-1]}", headers=api.user("ada", "acme"))).status_code == 404


@pytest.mark.parametrize("id_", ["7", "x", "%00", "..", "00000000-0000-0000-0000-000000000000", "%ED%A0%80"])
async def test_an_unknown_notification_is_not_found(client: httpx2.AsyncClient, id_: str) -> None:
    problem(await client.get(f"/v1/notifications/{id_}", headers=PUBLISHER), 404, "not-found")


async def test_the_same_idempotency_key_gives_the_first_answer(client: httpx2.AsyncClient, api: Api) -> None:
    key = {"Idempotency-Key": "order-7"}
    first = await publish(client, GOOD, key)
    again = await publish(client, b'{"title" : "Hello", "recipients":["\\u0061da"]}', key)
    assert again.status_code == first.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert (await api.hub.inbox.count(InboxKey("default", "ada"))).unread_count == 1

    answer = await publish(client, changed(title="Another"), key)
    problem(answer, 409, "idempotency-conflict")
    acme = {"Authorization": f"Bearer {ACME_KEY}"}
    elsewhere = await publish(client, changed(title="Another"), {**key, **acme})
    assert elsewhere.status_code == 201
    assert "idempotent-replayed" not in elsewhere.headers
    assert (await api.hub.inbox.count(InboxKey("default", "ada"))).unread_count == 1


async def test_a_refused_publish_does_not_use_its_key_up(client: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "order-8"}
    problem(await publish(client, changed(title=""), key), 422, "invalid-request")
    answer = await publish(client, GOOD, key)
    assert answer.status_code == 201
    assert "idempotent-replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "\t", "é"])
async def test_a_bad_idempotency_key_is_refused(client: httpx2.AsyncClient, api: Api, key: str) -> None:
    headers = {b"Authorization": f"Bearer {API_KEY}".encode(), b"Idempotency-Key": key.encode("latin-1")}
    answer = await client.post("/v1/notifications", json=GOOD, headers=headers)
    problem(answer, 422, "invalid-request", "Idempotency-Key")
    await nothing_is_stored(client, api)


async def test_two_idempotency_keys_are_refused(client: httpx2.AsyncClient) -> None:
    headers = [*PUBLISHER.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await client.post("/v1/notifications", json=GOOD, headers=headers)
    problem(answer, 422, "invalid-request", "Idempotency-Key")


async def test_a_message_that_quotes_the_caller_stays_short(client: httpx2.AsyncClient) -> None:
    body = problem(await publish(client, changed(**{"x" * 500_000: 1})), 422, "invalid-request")
    assert len(json.dumps(body)) < 1_000


async def test_unknown_paths_and_methods_are_problems(client: httpx2.AsyncClient) -> None:
    problem(await client.get("/v2/notifications"), 404, "not-found")
    problem(await client.get("/v1/notifications/a/b"), 404, "not-found")
    answer = await client.delete("/v1/notifications")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("the secret is hunter2"), (500, "internal-error", None)),
        (StoreUnavailable("hunter2@db.example refused"), (503, "unavailable", "2")),
        (DataError("hunter2 cannot be stored"), (422, "invalid-request", None)),
        (Unavailable("the queue is full", retry_after=7), (503, "unavailable", "7")),
    ],
)
async def test_what_goes_wrong_inside_is_a_problem_without_details(
    client: httpx2.AsyncClient,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    expected: tuple[int, str, str | None],
) -> None:
    status, slug, retry_after = expected

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(api.hub.notifications, "publish", fail)
    answer = await publish(client, GOOD)
    problem(answer, status, slug)
    assert "hunter2" not in answer.text
    assert type(error).__name__ not in answer.text
    assert answer.headers.get("retry-after") == retry_after


async def test_a_caller_that_goes_away_stores_nothing(client: httpx2.AsyncClient, api: Api) -> None:
    sent: list[Message] = []
    received: list[Message] = [
        {"type": "http.request", "body": b'{"recipients":["ada"],', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/notifications",
        "headers": [(b"authorization", f"Bearer {API_KEY}".encode())],
        "query_string": b"",
    }
    await api.app(scope, receive, send)
    assert sent[0]["status"] == 400
    await nothing_is_stored(client, api)
