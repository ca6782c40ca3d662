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
from tests.support.bad_publishes import GOOD, INVALID, MALFORMED, changed

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


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_json_is_refused(client: httpx2.AsyncClient, api: Api, body: bytes) -> None:
    problem(await publish(client, body), 400, "malformed-body")
    await nothing_is_stored(client, api)


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


async def test_what_is_not_built_says_so(client: httpx2.AsyncClient, api: Api) -> None:
    problem(await publish(client, changed(template="welcome")), 501, "not-built")
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
