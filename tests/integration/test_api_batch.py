"""`POST /v1/notifications/batch`: each notification by itself, whatever is wrong with the others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Never

import httpx2
import pytest

from hub.core.errors import PROBLEM_BASE, DataError, StoreUnavailable
from hub.core.model import InboxKey, Publication
from tests.support.api import ACME_KEY, API_KEY, PUBLISHER, Api, open_api, problem
from tests.support.bad_publishes import GOOD, INVALID, MALFORMED, changed

PATH = "/v1/notifications/batch"
NOT_BUILT = [
    changed(template="welcome"),
]


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def publish(
    client: httpx2.AsyncClient, *items: object, headers: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    answer = await client.post(PATH, json={"notifications": items}, headers={**PUBLISHER, **(headers or {})})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"results"}
    results: list[dict[str, Any]] = answer.json()["results"]
    assert len(results) == len(items)
    return results


async def raw(client: httpx2.AsyncClient, body: bytes) -> httpx2.Response:
    return await client.post(PATH, content=body, headers=PUBLISHER)


async def unread(api: Api, user: str = "ada", tenant: str = "default") -> int:
    return (await api.hub.inbox.count(InboxKey(tenant, user))).unread_count


def refused(result: dict[str, Any], status: int, slug: str, pointer: str) -> None:
    assert set(result) == {"status", "problem"}
    told = result["problem"]
    assert (result["status"], told["status"], told["type"]) == (status, status, PROBLEM_BASE + slug)
    assert told["pointer"] == pointer
    assert told["title"]
    assert 0 < len(told["detail"]) <= 500


async def test_results_come_in_order_with_id_and_counts(client: httpx2.AsyncClient, api: Api) -> None:
    results = await publish(
        client,
        changed(title="first"),
        changed(recipients=["ada", "grace"], fallback=[{"channel": "email", "after": "5m"}]),
        changed(recipients=[{"email": "a@b.example"}], inbox=False),
    )
    assert [{name: result[name] for name in result if name != "id"} for result in results] == [
        {"status": 201, "recipients": 1, "deliveries": 0},
        {"status": 201, "recipients": 2, "deliveries": 2},
        {"status": 201, "recipients": 1, "deliveries": 1},
    ]
    shown = await client.get(f"/v1/notifications/{results[0]['id']}", headers=PUBLISHER)
    assert shown.json()["title"] == "first"
    page = (await client.get("/v1/inbox", headers=api.user("ada"))).json()
    assert {item["id"] for item in page["data"]} == {results[0]["id"], results[1]["id"]}
    assert (await unread(api), await unread(api, "grace")) == (2, 1)


async def test_whoever_is_bad_is_told_as_if_alone_and_harms_nobody(client: httpx2.AsyncClient, api: Api) -> None:
    items: list[object] = []
    for _, body, _ in INVALID:
        items += [body, changed(title=f"beside {len(items)}")]
    items += [*NOT_BUILT, GOOD]
    results = await publish(client, *items)
    for place, (name, body, pointer) in enumerate(INVALID):
        content = json.dumps(body).encode()
        alone = (await client.post("/v1/notifications", content=content, headers=PUBLISHER)).json()
        refused(results[2 * place], 422, "invalid-request", f"$.notifications[{2 * place}]{pointer.removeprefix('$')}")
        assert results[2 * place]["problem"]["detail"] == alone["detail"], name
        assert results[2 * place + 1]["status"] == 201
    first = 2 * len(INVALID)
    for place, result in enumerate(results[first:-1], first):
        assert (result["status"], result["problem"]["type"]) == (501, PROBLEM_BASE + "not-built")
        assert result["problem"]["pointer"].startswith(f"$.notifications[{place}].")
    assert results[-1]["status"] == 201
    assert await unread(api) == len(INVALID) + 1


ENDS = {
    name: body for name, body in MALFORMED.items() if name.startswith(("lone", "surrogate", "raw", "encoded", "bad"))
}
"""Bad inside of a string: the rest of the batch can be told apart."""


@pytest.mark.parametrize("body", ENDS.values(), ids=ENDS)
async def test_text_that_is_none_is_refused_alone_or_with_the_batch(
    client: httpx2.AsyncClient, api: Api, body: bytes
) -> None:
    good = json.dumps(GOOD).encode()
    answer = await raw(client, b'{"notifications":[' + good + b"," + body + b"," + good + b"]}")
    if answer.status_code == 200:
        first, bad, last = answer.json()["results"]
        refused(bad, 400, "malformed-body", "$.notifications[1]")
        assert (first["status"], last["status"], await unread(api)) == (201, 201, 2)
    else:
        problem(answer, 400, "malformed-body")
        assert await unread(api) == 0


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_json_is_refused_whole(client: httpx2.AsyncClient, api: Api, body: bytes) -> None:
    assert (await raw(client, body)).status_code in {400, 422}
    assert await unread(api) == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([GOOD], "$"),
        (GOOD, "$.recipients"),
        ({}, "$.notifications"),
        ({"notifications": GOOD}, "$.notifications"),
        ({"notifications": None}, "$.notifications"),
        ({"notifications": []}, "$.notifications"),
        ({"notifications": [GOOD] * 1_001}, "$.notifications"),
        ({"notifications": [GOOD], "idempotency_key": "x"}, "$.idempotency_key"),
        ({"notifications": [changed(recipients=[f"u{n}" for n in range(1_000)])] * 10 + [GOOD]}, "$.notifications"),
    ],
    ids=["array", "one", "empty", "no list", "null", "none", "1,001", "unknown field", "10,001 recipients"],
)
async def test_a_batch_that_is_none_is_refused_whole(
    client: httpx2.AsyncClient, api: Api, body: object, pointer: str
) -> None:
    problem(await client.post(PATH, json=body, headers=PUBLISHER), 422, "invalid-request", pointer)
    assert await unread(api) == 0


async def test_a_body_over_8_mebibytes_is_refused(client: httpx2.AsyncClient, api: Api) -> None:
    answer = await raw(client, b" " * (8 * 1024 * 1024 + 1))
    problem(answer, 413, "body-too-large")
    assert await unread(api) == 0


async def test_a_thousand_at_once(client: httpx2.AsyncClient, api: Api) -> None:
    results = await publish(client, *(changed(recipients=[f"user-{number % 50}"]) for number in range(1_000)))
    assert {result["status"] for result in results} == {201}
    assert len({result["id"] for result in results}) == 1_000
    assert [await unread(api, f"user-{number}") for number in range(50)] == [20] * 50


async def test_one_key_in_a_batch_is_one_notification(client: httpx2.AsyncClient, api: Api) -> None:
    keyed = GOOD | {"idempotency_key": "order-1"}
    first, again, other, elsewhere = await publish(client, keyed, keyed, keyed | {"title": "Another"}, GOOD)
    assert (first["status"], again["status"], elsewhere["status"]) == (201, 201, 201)
    assert (again["id"], again["replayed"], "replayed" in first) == (first["id"], True, False)
    refused(other, 409, "idempotency-conflict", "$.notifications[2]")
    assert await unread(api) == 2


async def test_a_key_means_the_same_in_a_batch_and_alone(client: httpx2.AsyncClient, api: Api) -> None:
    alone = await client.post("/v1/notifications", json=GOOD, headers={**PUBLISHER, "Idempotency-Key": "order-1"})
    [result] = await publish(client, GOOD | {"idempotency_key": "order-1"})
    assert (result["id"], result["replayed"]) == (alone.json()["id"], True)
    acme = {"Authorization": f"Bearer {ACME_KEY}"}
    [strange] = await publish(client, GOOD | {"idempotency_key": "order-1"}, headers=acme)
    assert "replayed" not in strange
    assert (await unread(api), await unread(api, tenant="acme")) == (1, 1)


async def test_the_calls_key_names_each_place(client: httpx2.AsyncClient, api: Api) -> None:
    """A repeat of the call gives what was stored again, and another chance to what was not."""
    key = {"Idempotency-Key": "batch-1"}
    items = [GOOD, changed(title=""), GOOD | {"idempotency_key": "own"}, changed(title="last")]
    before = await publish(client, *items, headers=key)
    assert [result["status"] for result in before] == [201, 422, 201, 201]
    items[1], items[3] = changed(title="corrected"), changed(title="another")
    after = await publish(client, *items, headers=key)
    assert [result["status"] for result in after] == [201, 201, 201, 409]
    assert [result.get("replayed", False) for result in after] == [True, False, True, False]
    assert [after[place]["id"] for place in (0, 2)] == [before[place]["id"] for place in (0, 2)]
    assert await unread(api) == 4
    [alone] = await publish(client, GOOD | {"idempotency_key": "batch-1"})
    assert "replayed" not in alone, "the key of a call is another than that of a notification"


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "é", "\x00", 7, ["a"]])
async def test_a_bad_key_is_its_notifications_problem(client: httpx2.AsyncClient, api: Api, key: object) -> None:
    bad, good = await publish(client, GOOD | {"idempotency_key": key}, GOOD)
    pointer = bad["problem"]["pointer"]
    assert pointer == "$.notifications[0].idempotency_key"
    assert (bad["status"], good["status"], await unread(api)) == (422, 201, 1)


async def test_a_bad_key_of_the_call_is_refused_whole(client: httpx2.AsyncClient, api: Api) -> None:
    headers = {**PUBLISHER, "Idempotency-Key": "two words"}
    answer = await client.post(PATH, json={"notifications": [GOOD]}, headers=headers)
    problem(answer, 422, "invalid-request", "Idempotency-Key")
    twice = [*PUBLISHER.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await client.post(PATH, json={"notifications": [GOOD]}, headers=twice)
    problem(answer, 422, "invalid-request", "Idempotency-Key")
    assert await unread(api) == 0


async def test_only_publishers_are_let_in_and_before_the_body_is_read(client: httpx2.AsyncClient, api: Api) -> None:
    problem(await client.post(PATH, content=b"\xff"), 401, "unauthenticated")
    problem(await client.post(PATH, content=b"\xff", headers=api.user("ada")), 403, "forbidden")


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (DataError("hunter2 cannot be stored"), 422, "invalid-request"),
        (StoreUnavailable("hunter2@db.example refused"), 503, "unavailable"),
        (RuntimeError("hunter2"), 500, "internal-error"),
    ],
)
async def test_what_goes_wrong_with_one_inside_is_its_own(  # noqa: PLR0917 - fixtures and parameters
    client: httpx2.AsyncClient,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    slug: str,
) -> None:
    publish_all = api.hub.notifications._store.publish_all

    async def fail_one(publications: list[Publication], now: int) -> list[object]:
        return [error, *await publish_all(publications[1:], now)]

    monkeypatch.setattr(api.hub.notifications._store, "publish_all", fail_one)
    bad, good = await publish(client, GOOD, GOOD)
    assert (bad["status"], bad["problem"]["type"]) == (status, PROBLEM_BASE + slug)
    assert "hunter2" not in json.dumps(bad)
    assert (good["status"], await unread(api)) == (201, 1)


async def test_an_outage_is_everybodys(client: httpx2.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> Never:
        raise StoreUnavailable("away")

    monkeypatch.setattr(api.database, "commit", fail)
    bad, invalid, other = await publish(client, GOOD, changed(title=""), GOOD)
    assert [each["status"] for each in (bad, invalid, other)] == [503, 422, 503]
    assert API_KEY not in json.dumps(bad)
