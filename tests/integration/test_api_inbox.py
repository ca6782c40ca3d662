from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hub.core.errors import Unauthenticated
from hub.core.model import InboxKey
from hub.core.views import rfc3339
from tests.support.api import HOUR, PUBLISHER, Api, open_api, problem

ACTIONS = ["delivered", "seen", "read", "unread", "archive", "unarchive", "snooze"]


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        opened.headers.update(api.user("ada"))
        yield opened


async def publish(client: httpx2.AsyncClient, api: Api, count: int = 1, **fields: object) -> list[str]:
    """Publish to ada, a millisecond apart; returns the ids, oldest first."""
    ids = []
    for number in range(count):
        api.clock.advance(1)
        body = {"recipients": ["ada"], "title": f"Number {number}", **fields}
        answer = await client.post("/v1/notifications", json=body, headers=PUBLISHER)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids


async def listed(client: httpx2.AsyncClient, query: str = "") -> list[str]:
    answer = await client.get(f"/v1/inbox{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]]


async def mark(client: httpx2.AsyncClient, action: str, **body: object) -> dict[str, Any]:
    answer = await client.post(f"/v1/inbox/{action}", json=body)
    assert answer.status_code == 200, answer.text
    out: dict[str, Any] = answer.json()
    return out


async def test_an_empty_inbox(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/inbox")
    page = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (page["data"], page["has_more"], page["next"], page["unread_count"], page["unseen_count"]) == (
        [],
        False,
        None,
        0,
        0,
    )
    count = (await client.get("/v1/inbox/count")).json()
    assert count == {"unread_count": 0, "unseen_count": 0, "cursor": page["cursor"]}


async def test_pages_hang_together_without_gap_or_twin(client: httpx2.AsyncClient, api: Api) -> None:
    ids = await publish(client, api, 7)
    seen: list[str] = []
    query = "?limit=3"
    for has_more in (True, True, False):
        page = (await client.get(f"/v1/inbox{query}")).json()
        assert page["has_more"] is has_more
        assert page["unread_count"] == 7
        seen += [item["id"] for item in page["data"]]
        query = f"?limit=3&after={page['next']}"
    assert page["next"] is None
    assert seen == ids[::-1]


async def test_filters(client: httpx2.AsyncClient, api: Api) -> None:
    read, seen, archived, snoozed, plain = await publish(client, api, 5)
    [other] = await publish(client, api, category="order.shipped")
    await mark(client, "read", ids=[read])
    await mark(client, "seen", ids=[seen])
    await mark(client, "archive", ids=[archived])
    await mark(client, "snooze", ids=[snoozed], until=rfc3339(api.clock.now() + HOUR))
    assert await listed(client) == [other, plain, seen, read]
    assert await listed(client, "?status=all&archived=false&snoozed=false") == [other, plain, seen, read]
    assert await listed(client, "?status=unread") == [other, plain, seen]
    assert await listed(client, "?status=read") == [read]
    assert await listed(client, "?status=unseen") == [other, plain]
    assert await listed(client, "?category=order.shipped") == [other]
    assert await listed(client, "?category=unheard.of") == []
    assert await listed(client, "?archived=true") == [archived]
    assert await listed(client, "?snoozed=true") == [snoozed]
    count = (await client.get("/v1/inbox/count")).json()
    assert (count["unread_count"], count["unseen_count"]) == (3, 2)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=1.5", "limit"),
        ("?limit=", "limit"),
        ("?limit=%D9%A3", "limit"),
        ("?limit=" + "9" * 5_000, "limit"),
        ("?limit=5&limit=6", "limit"),
        ("?status=new", "status"),
        ("?status=", "status"),
        ("?status=UNREAD", "status"),
        ("?archived=yes", "archived"),
        ("?archived=1", "archived"),
        ("?archived", "archived"),
        ("?snoozed=True", "snoozed"),
        ("?category=", "category"),
        ("?category=a%00b", "category"),
        ("?category=" + "x" * 129, "category"),
        ("?after=", "after"),
        ("?after=garbage", "after"),
        ("?after=%FF%FE", "after"),
        ("?after=MTAwLjc", "after"),
        ("?page=2", "page"),
        ("?Status=read", "Status"),
        ("?token=abc", "token"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(client: httpx2.AsyncClient, query: str, pointer: str) -> None:
    problem(await client.get(f"/v1/inbox{query}"), 422, "invalid-request", pointer)


async def test_the_badge_takes_no_parameters(client: httpx2.AsyncClient) -> None:
    problem(await client.get("/v1/inbox/count?status=unread"), 422, "invalid-request", "status")


async def test_marks_answer_with_the_badge_and_cursor(client: httpx2.AsyncClient, api: Api) -> None:
    first, second, third = await publish(client, api, 3)
    out = await mark(client, "read", ids=[first, first, str(uuid4())])
    assert (out["changed"], out["unread_count"], out["unseen_count"]) == (1, 2, 2)
    assert (await client.get("/v1/inbox/count")).json()["cursor"] == out["cursor"]
    assert (await mark(client, "read", ids=[first]))["changed"] == 0
    assert (await mark(client, "unread", ids=[first]))["unread_count"] == 3
    assert (await mark(client, "seen", all=True))["unseen_count"] == 0
    assert (await mark(client, "archive", ids=[second]))["unread_count"] == 2
    assert await listed(client) == [third, first]
    assert (await mark(client, "unarchive", ids=[second]))["changed"] == 1
    assert await listed(client) == [third, second, first]
    assert (await mark(client, "delivered", ids=[third]))["cursor"].count(".") == 2


async def test_all_up_to_a_cursor_leaves_what_came_later(client: httpx2.AsyncClient, api: Api) -> None:
    await publish(client, api, 2)
    cursor = (await client.get("/v1/inbox")).json()["cursor"]
    [late] = await publish(client, api)
    out = await mark(client, "read", all=True, through=cursor)
    assert (out["changed"], out["unread_count"]) == (2, 1)
    assert await listed(client, "?status=unread") == [late]


async def test_a_cursor_of_another_epoch_selects_nothing(client: httpx2.AsyncClient, api: Api) -> None:
    await publish(client, api)
    out = await mark(client, "read", all=True, through="0123456789ab.9.0")
    assert (out["changed"], out["unread_count"]) == (0, 1)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "$.ids"),
        ({"ids": []}, "$.ids"),
        ({"ids": ["x"], "all": True}, "$.ids"),
        ({"ids": ["7"]}, "$.ids[0]"),
        ({"ids": [7]}, "$.ids[0]"),
        ({"ids": ["\x00"]}, "$.ids[0]"),
        ({"ids": str(uuid4())}, "$.ids"),
        ({"ids": [str(uuid4())] * 1_001}, "$.ids"),
        ({"ids": [str(uuid4())], "through": "0123456789ab.9.0"}, "$.through"),
        ({"all": "true"}, "$.all"),
        ({"all": True, "through": "garbage"}, None),
        ({"all": True, "through": "0123456789ab.9.0 "}, None),
        ({"all": True, "until": "tomorrow"}, "$.until"),
        ({"all": True, "until": "2020-01-01T00:00:00Z"}, "$.until"),
        ({"all": True, "id": 1}, "$.id"),
        ([], "$"),
    ],
)
async def test_a_mark_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, api: Api, action: str, body: object, pointer: str | None
) -> None:
    await publish(client, api)
    before = (await client.get("/v1/inbox")).json()
    problem(await client.post(f"/v1/inbox/{action}", json=body), 422, "invalid-request", pointer)
    assert (await client.get("/v1/inbox")).json() == before


async def test_snooze_needs_a_time_and_nothing_else_has_one(client: httpx2.AsyncClient, api: Api) -> None:
    [item] = await publish(client, api)
    until = rfc3339(api.clock.now() + HOUR)
    problem(await client.post("/v1/inbox/snooze", json={"ids": [item]}), 422, "invalid-request", "$.until")
    answer = await client.post("/v1/inbox/read", json={"ids": [item], "until": until})
    problem(answer, 422, "invalid-request", "$.until")
    assert (await mark(client, "snooze", ids=[item], until=until))["unread_count"] == 0


async def test_a_body_of_64_kib_is_enough(client: httpx2.AsyncClient) -> None:
    await mark(client, "read", ids=[str(uuid4()) for _ in range(1_000)])
    answer = await client.post("/v1/inbox/read", content=b" " * 65_537)
    problem(answer, 413, "body-too-large")
    problem(await client.post("/v1/inbox/read", content=b"{"), 400, "malformed-body")
    answer = await client.post("/v1/inbox/read", content=b"{}", headers={"Content-Type": "text/plain"})
    problem(answer, 415, "unsupported-media-type")


async def test_one_item_is_shown_and_changed(client: httpx2.AsyncClient, api: Api) -> None:
    [item] = await publish(client, api)
    shown = (await client.get(f"/v1/inbox/{item}")).json()
    assert (shown["id"], shown["read_at"]) == (item, None)
    patched = await client.patch(f"/v1/inbox/{item}", json={"read": True, "archived": True})
    assert patched.status_code == 200
    assert patched.json()["read_at"] == patched.json()["archived_at"] == rfc3339(api.clock.now())
    assert (await client.get(f"/v1/inbox/{item}")).json() == patched.json()
    assert (await client.patch(f"/v1/inbox/{item}", json={"archived": False})).json()["archived_at"] is None
    problem(await client.patch(f"/v1/inbox/{uuid4()}", json={"read": True}), 404, "not-found")
    problem(await client.get(f"/v1/inbox/{uuid4()}"), 404, "not-found")
    problem(await client.get("/v1/inbox/7"), 404, "not-found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"read": "true"},
        {"seen": False},
        {"archived": None},
        {"title": "mine"},
        {"snoozed_until": "later"},
        {"snoozed_until": 7},
        {"read": True, "snoozed_until": "later"},
        {"read": True, "snoozed_until": "2020-01-01T00:00:00Z"},
    ],
)
async def test_a_patch_that_makes_no_sense_changes_nothing(
    client: httpx2.AsyncClient, api: Api, body: dict[str, object]
) -> None:
    [item] = await publish(client, api)
    before = (await client.get(f"/v1/inbox/{item}")).json()
    problem(await client.patch(f"/v1/inbox/{item}", json=body), 422, "invalid-request")
    assert (await client.get(f"/v1/inbox/{item}")).json() == before


async def test_nobody_reaches_another_inbox(client: httpx2.AsyncClient, api: Api) -> None:
    [item] = await publish(client, api)
    for other in (api.user("grace"), api.user("ada", "acme")):
        problem(await client.get(f"/v1/inbox/{item}", headers=other), 404, "not-found")
        problem(await client.patch(f"/v1/inbox/{item}", json={"read": True}, headers=other), 404, "not-found")
        marked = await client.post("/v1/inbox/read", json={"ids": [item]}, headers=other)
        assert marked.json()["changed"] == 0
        assert (await client.get("/v1/inbox", headers=other)).json()["data"] == []
    assert (await client.get(f"/v1/inbox/{item}")).json()["read_at"] is None


SOME_ID = "0190a3c4-0000-7000-8000-000000000000"
CALLS = [
    ("GET", "/v1/inbox"),
    ("GET", "/v1/inbox/count"),
    ("GET", f"/v1/inbox/{SOME_ID}"),
    ("PATCH", f"/v1/inbox/{SOME_ID}"),
    *(("POST", f"/v1/inbox/{action}") for action in ACTIONS),
    ("POST", "/v1/tickets"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_every_call_needs_the_users_token(api: Api, method: str, path: str) -> None:
    good = api.user("ada")["Authorization"]
    expired = f"Bearer {api.keyring.issue(InboxKey('default', 'ada'), api.clock.now() - 2 * HOUR, HOUR)}"
    unsigned = good.rpartition(".")[0] + "."
    async with api.client() as client:
        problem(await client.request(method, path), 401, "unauthenticated")
        for value in (expired, unsigned, "Bearer nobody", "Bearer a.b.c", good.replace("Bearer", "Basic")):
            answer = await client.request(method, path, headers={"Authorization": value}, json={})
            body = problem(answer, 401, "unauthenticated")
            assert value.split()[-1] not in answer.text
            assert body["detail"]
        answer = await client.request(method, path, headers=PUBLISHER, json={})
        assert "user's token" in problem(answer, 403, "forbidden")["detail"]


async def test_a_ticket_lets_its_user_in_once(client: httpx2.AsyncClient, api: Api) -> None:
    answer = await client.post("/v1/tickets")
    assert answer.status_code == 201
    out = answer.json()
    assert out["expires_at"] == rfc3339(api.clock.now() + 30_000)
    token = client.headers["authorization"].removeprefix("Bearer ")
    assert await api.hub.access.redeem_ticket(out["ticket"]) == api.keyring.user(token, api.clock.now())
    with pytest.raises(Unauthenticated):
        await api.hub.access.redeem_ticket(out["ticket"])


async def test_marks_are_posted(client: httpx2.AsyncClient) -> None:
    for action in ACTIONS:
        problem(await client.get(f"/v1/inbox/{action}"), 404, "not-found")
    problem(await client.post("/v1/inbox/burn", json={"all": True}), 405, "method-not-allowed")
    problem(await client.delete("/v1/inbox"), 405, "method-not-allowed")


async def test_a_snooze_can_be_ended_early(client: httpx2.AsyncClient, api: Api) -> None:
    (item,) = await publish(client, api)
    until = rfc3339(api.clock.now() + HOUR)
    assert (await client.patch(f"/v1/inbox/{item}", json={"snoozed_until": until})).json()["snoozed_until"] == until
    assert (await client.patch(f"/v1/inbox/{item}", json={"snoozed_until": None})).json()["snoozed_until"] is None
    assert (await client.get("/v1/inbox/count")).json()["unread_count"] == 1
