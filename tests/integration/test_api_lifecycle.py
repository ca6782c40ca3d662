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
