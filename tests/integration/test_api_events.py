"""`POST /v1/events`: canonical events over REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest

from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem

EVENT: dict[str, Any] = {
    "event_id": "evt-1",
    "event_type": "order.shipped",
    "recipient_id": "ada",
    "channels": ["in_app", "email"],
    "priority": "high",
    "data": {"title": "On its way", "body": "Thursday.", "order": 7},
    "idempotency_key": "order-7",
    "created_at": "2027-01-15T07:59:59Z",
}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with open_api(database_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def tell(
    client: httpx2.AsyncClient, fields: Mapping[str, object] | None = None, headers: Mapping[str, str] = PUBLISHER
) -> httpx2.Response:
    return await client.post("/v1/events", json={**EVENT, **(fields or {})}, headers=headers)


async def titles(client: httpx2.AsyncClient, api: Api, user: str = "ada") -> list[str]:
    page = (await client.get("/v1/inbox", headers=api.user(user))).json()
    return [item["title"] for item in page["data"]]


async def test_an_event_becomes_a_notification(client: httpx2.AsyncClient, api: Api) -> None:
    answer = await tell(client)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"id": answer.json()["id"], "recipients": 1, "deliveries": 1}
    shown = (await client.get(answer.headers["location"], headers=PUBLISHER)).json()
    assert (shown["category"], shown["priority"], shown["data"]) == ("order.shipped", "high", EVENT["data"])
    assert [each["user"] for each in shown["recipients"]] == ["ada"]
    [delivery] = shown["deliveries"]
    assert (delivery["channel"], delivery["unless"], delivery["state"]) == ("email", None, "queued")
    assert await titles(client, api) == ["On its way"]
    await client.post("/v1/inbox/read", json={"all": True}, headers=api.user())
    shown = (await client.get(answer.headers["location"], headers=PUBLISHER)).json()
    assert shown["deliveries"][0]["state"] == "queued", "sent all the same, as the event's author meant"


@pytest.mark.parametrize(
    "again",
    [{}, {"idempotency_key": "another"}, {"idempotency_key": None}, {"event_id": "another"}],
    ids=["the same", "by its id, under another key", "by its id alone", "by its key, under another id"],
)
async def test_told_twice_it_is_one_notification(
    client: httpx2.AsyncClient, api: Api, again: dict[str, object]
) -> None:
    first = await tell(client)
    for _ in range(2):
        second = await tell(client, again)
        assert (second.status_code, second.content) == (201, first.content)
        assert second.headers["idempotent-replayed"] == "true"
    third = await tell(client, {"event_id": "third", "idempotency_key": "third", **again})
    known = again.get("idempotency_key") or again.get("event_id")
    assert (third.content == first.content) == bool(known), "the names of the second time are names of the first"
    assert len(await titles(client, api)) == (1 if known else 2)


async def test_the_same_name_for_something_else_is_a_conflict_and_takes_no_name(
    client: httpx2.AsyncClient, api: Api
) -> None:
    await tell(client)
    other = {"data": {"title": "Something else"}}
    for fields in ({"event_id": "evt-1"}, {"idempotency_key": "free-1"}, {"event_id": "free-2"}):
        problem(await tell(client, {**fields, **other}), 409, "idempotency-conflict")
    assert await titles(client, api) == ["On its way"]
    answer = await tell(client, {"event_id": "free-2", "idempotency_key": "free-1", **other})
    assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (201, None)


async def test_names_of_two_events_name_the_one_with_that_id(client: httpx2.AsyncClient) -> None:
    first = await tell(client, {"event_id": "a", "idempotency_key": "a"})
    await tell(client, {"event_id": "b", "idempotency_key": "b"})
    assert (await tell(client, {"event_id": "a", "idempotency_key": "b"})).content == first.content


async def test_names_belong_to_a_tenant_and_to_events(client: httpx2.AsyncClient, api: Api) -> None:
    await tell(client)
    elsewhere = await tell(client, headers={"Authorization": f"Bearer {ACME_KEY}"})
    body = {"recipients": ["ada"], "title": "Published"}
    for key in ("evt-1", "order-7"):
        published = await client.post("/v1/notifications", json=body, headers=PUBLISHER | {"Idempotency-Key": key})
        assert (published.status_code, published.headers.get("idempotent-replayed")) == (201, None)
    assert (elsewhere.status_code, elsewhere.headers.get("idempotent-replayed")) == (201, None)
    assert len(await titles(client, api)) == 3


async def test_told_many_times_at_once_under_names_that_overlap(client: httpx2.AsyncClient, api: Api) -> None:
    """They come in one group, with others: each event is stored once, and everybody is answered."""
    names = [("a", "1"), ("a", "2"), ("b", "2"), ("b", "3"), ("c", None), ("c", "1"), ("d", "d"), ("d", "d")]
    told = [tell(client, {"event_id": name, "idempotency_key": key}) for name, key in names * 2]
    others = [
        tell(client, {"event_id": f"o{number}", "idempotency_key": None, "recipient_id": "grace"})
        for number in range(9)
    ]
    answers = await asyncio.gather(*told, *others)
    assert {answer.status_code for answer in answers} == {201}
    new = [answer for answer in answers if "idempotent-replayed" not in answer.headers]
    assert len({answer.content for answer in new}) == len(new)
    assert {answer.content for answer in answers} == {answer.content for answer in new}
    assert len(await titles(client, api)) + len(await titles(client, api, "grace")) == len(new)
    for name, key in names:
        assert (await tell(client, {"event_id": name, "idempotency_key": key})).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"event_id": None}, "$.event_id"),
        ({"event_id": 7}, "$.event_id"),
        ({"channels": "email"}, "$.channels"),
        ({"channels": ["pigeon"]}, "$.channels[0]"),
        ({"priority": "urgent"}, "$.priority"),
        ({"data": "text"}, "$.data"),
        ({"data": {"title": 7}}, "$.data.title"),
        ({"surprise": 1}, "$.surprise"),
    ],
)
async def test_what_does_not_fit_is_refused(
    client: httpx2.AsyncClient, api: Api, fields: dict[str, object], pointer: str
) -> None:
    problem(await tell(client, fields), 422, "invalid-request", pointer)
    problem(await tell(client, headers=PUBLISHER | {"Idempotency-Key": "k"}), 422, "invalid-request", "Idempotency-Key")
    assert await titles(client, api) == []
    for name in ("event_id", "event_type", "recipient_id"):
        body = {key: value for key, value in EVENT.items() if key != name}
        problem(await client.post("/v1/events", json=body, headers=PUBLISHER), 422, "invalid-request", f"$.{name}")


async def test_who_may_tell(client: httpx2.AsyncClient, api: Api) -> None:
    problem(await tell(client, headers={}), 401, "unauthenticated")
    problem(await tell(client, headers=api.user()), 403, "forbidden")
