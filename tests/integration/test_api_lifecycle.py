"""The life of a notification over REST: when it appears, what takes it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def publish(client: httpx2.AsyncClient, **fields: Any) -> str:
    body = {"recipients": ["ada"], "title": "Hello", **fields}
    answer = await client.post("/v1/notifications", json=body, headers=PUBLISHER)
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


async def inbox(client: httpx2.AsyncClient, api: Api, user: str = "ada") -> list[str]:
    page = (await client.get("/v1/inbox", headers=api.user(user))).json()
    assert page["unread_count"] == len(page["data"])
    return [item["id"] for item in page["data"]]


class TestTimes:
    async def test_it_appears_then_and_vanishes_then(self, client: httpx2.AsyncClient, api: Api) -> None:
        later = {"deliver_at": "2027-01-15T08:01:00Z", "expires_at": "2027-01-15T08:02:00Z"}
        sent = await publish(client, **later, fallback=[{"channel": "email", "after": "5m"}])
        for seconds, there in ((59, []), (1, [sent]), (59, [sent]), (1, [])):
            api.clock.advance(seconds * 1_000)
            await api.hub.upkeep.apply_timers()
            assert await inbox(client, api) == there
        shown = (await client.get(f"/v1/notifications/{sent}", headers=PUBLISHER)).json()
        assert [each["state"] for each in shown["deliveries"]] == ["expired"]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"deliver_at": "2027-01-15T07:58:59Z"}, "$.deliver_at"),
            ({"deliver_at": "2028-02-15T08:00:00Z"}, "$.deliver_at"),
            ({"expires_at": "2027-01-15T08:00:00Z"}, "$.expires_at"),
            ({"expires_at": "2028-02-15T08:00:00Z"}, "$.expires_at"),
            ({"deliver_at": "2027-01-15T08:02:00Z", "expires_at": "2027-01-15T08:01:00Z"}, "$.expires_at"),
        ],
    )
    async def test_times_that_cannot_be(
        self, client: httpx2.AsyncClient, api: Api, fields: dict[str, str], pointer: str
    ) -> None:
        body = {"recipients": ["ada"], "title": "Hello", **fields}
        answer = await client.post("/v1/notifications", json=body, headers=PUBLISHER)
        problem(answer, 422, "invalid-request", pointer)
        assert await inbox(client, api) == []

    async def test_a_repeated_publish_whose_time_has_passed_gets_the_first_answer(
        self, client: httpx2.AsyncClient, api: Api
    ) -> None:
        """Whoever lost the answer asks again, however much later."""
        headers = {**PUBLISHER, "Idempotency-Key": "order-7"}
        body = {"recipients": ["ada"], "title": "Hello", "deliver_at": "2027-01-15T08:01:00Z"}
        first = await client.post("/v1/notifications", json=body, headers=headers)
        api.clock.advance(3_600_000)
        again = await client.post("/v1/notifications", json=body, headers=headers)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        for other in (body | {"title": "Another"}, body | {"recipients": []}):
            problem(await client.post("/v1/notifications", json=other, headers=headers), 422, "invalid-request")
        acme = headers | {"Authorization": f"Bearer {ACME_KEY}"}
        problem(await client.post("/v1/notifications", json=body, headers=acme), 422, "invalid-request")


class TestCollapse:
    async def test_the_newer_one_takes_the_place_of_the_older(self, client: httpx2.AsyncClient, api: Api) -> None:
        first = await publish(client, collapse_key="order-7", fallback=[{"channel": "email", "after": "5m"}])
        other = await publish(client)
        api.clock.advance(1_000)
        second = await publish(client, collapse_key="order-7", category="order.delayed")
        assert await inbox(client, api) == [second, other]
        shown = (await client.get(f"/v1/notifications/{first}", headers=PUBLISHER)).json()
        assert (shown["collapse_key"], shown["recalled_at"]) == ("order-7", None)
        assert [each["state"] for each in shown["recipients"]] == ["gone"]
        assert [each["state"] for each in shown["deliveries"]] == ["cancelled"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"collapse_key": ""},
            {"collapse_key": "  "},
            {"collapse_key": "x" * 256},
            {"collapse_key": "a\nb"},
            {"collapse_key": "a\0"},
            {"collapse_key": "k", "inbox": False, "fallback": [{"channel": "email"}]},
        ],
    )
    async def test_a_key_that_cannot_be(self, client: httpx2.AsyncClient, api: Api, fields: dict[str, object]) -> None:
        body = {"recipients": ["ada"], "title": "Hello", **fields}
        answer = await client.post("/v1/notifications", json=body, headers=PUBLISHER)
        problem(answer, 422, "invalid-request", "$.collapse_key")
        assert await inbox(client, api) == []


class TestRecall:
    async def test_takes_it_back_once_and_says_so_every_time(self, client: httpx2.AsyncClient, api: Api) -> None:
        kept = await publish(client)
        sent = await publish(client, recipients=["ada", "grace"], fallback=[{"channel": "email", "after": "5m"}])
        for _ in range(2):
            answer = await client.delete(f"/v1/notifications/{sent}", headers=PUBLISHER)
            assert (answer.status_code, answer.content) == (204, b"")
            api.clock.advance(1_000)
        assert await inbox(client, api) == [kept]
        assert await inbox(client, api, "grace") == []
        problem(await client.get(f"/v1/inbox/{sent}", headers=api.user()), 404, "not-found")
        shown = (await client.get(f"/v1/notifications/{sent}", headers=PUBLISHER)).json()
        assert shown["recalled_at"] == "2027-01-15T08:00:00.000Z"
        assert {each["state"] for each in shown["recipients"]} == {"gone"}
        assert {each["state"] for each in shown["deliveries"]} == {"cancelled"}

    async def test_what_the_caller_does_not_have(self, client: httpx2.AsyncClient, api: Api) -> None:
        sent = await publish(client)
        acme = {"Authorization": f"Bearer {ACME_KEY}"}
        for identifier, headers in ((sent, acme), (str(uuid4()), PUBLISHER), ("7", PUBLISHER), ("%00", PUBLISHER)):
            problem(await client.delete(f"/v1/notifications/{identifier}", headers=headers), 404, "not-found")
        problem(await client.delete(f"/v1/notifications/{sent}", headers=api.user()), 403, "forbidden")
        problem(await client.delete(f"/v1/notifications/{sent}"), 401, "unauthenticated")
        assert await inbox(client, api) == [sent]
