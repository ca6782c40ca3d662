from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

from hub.core.model import Channel
from hub.core.views import rfc3339
from hub.ports import Expanded, ExpansionKey
from hub.service.topics import MAX_MEMBERS
from hub.store.expansions import SqlExpansions
from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem

MEMBERS = "/v1/topics/news/members"
ACME = {"Authorization": f"Bearer {ACME_KEY}"}


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        opened.headers.update(PUBLISHER)
        yield opened


async def join(client: httpx2.AsyncClient, *users: str, topic: str = "news") -> int:
    answer = await client.put(f"/v1/topics/{topic}/members", json={"users": users})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["changed"])


async def leave(client: httpx2.AsyncClient, *users: str, topic: str = "news") -> int:
    answer = await client.request("DELETE", f"/v1/topics/{topic}/members", json={"users": users})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["changed"])


async def publish(client: httpx2.AsyncClient, recipients: object, **fields: object) -> dict[str, Any]:
    answer = await client.post("/v1/notifications", json={"recipients": recipients, "title": "t", **fields})
    assert answer.status_code == 201, answer.text
    out: dict[str, Any] = answer.json()
    return out


async def inbox(client: httpx2.AsyncClient, api: Api, user: str) -> list[str]:
    """The ids of a user's items, newest first; the badge has to agree."""
    page = (await client.get("/v1/inbox", headers=api.user(user))).json()
    assert page["unread_count"] == sum(item["read_at"] is None for item in page["data"])
    return [item["id"] for item in page["data"]]


async def test_joining_and_leaving_tell_how_many_changed(client: httpx2.AsyncClient) -> None:
    assert await join(client, "ada", "grace", "ada") == 2
    assert await join(client, "grace", "lin") == 1
    assert await leave(client, "ada", "nobody") == 1
    assert await leave(client, "ada") == 0
    assert (await client.get(MEMBERS)).json() == {"data": ["grace", "lin"], "has_more": False, "next": None}


async def test_a_collapse_key_is_an_audiences_own(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada", "grace")
    first = await publish(client, {"topic": "news"}, collapse_key="match-7", fallback=[{"channel": "email"}])
    to_all = await publish(client, {"broadcast": True}, collapse_key="match-7")
    own = await publish(client, ["ada"], collapse_key="match-7")
    read = await client.post("/v1/inbox/read", json={"ids": [first["id"]]}, headers=api.user("grace"))
    assert read.json()["changed"] == 1
    api.clock.advance(1_000)
    second = await publish(client, {"topic": "news"}, collapse_key="match-7", category="other")
    assert set(await inbox(client, api, "ada")) == {second["id"], own["id"], to_all["id"]}
    assert await inbox(client, api, "grace") == [second["id"], to_all["id"]], "also for who had read the older one"
    shown = (await client.get(f"/v1/notifications/{first['id']}")).json()
    assert (shown["collapse_key"], shown["recalled_at"], shown["shared"]["state"]) == ("match-7", None, "gone")
    assert [each["state"] for each in shown["expansions"]] == ["cancelled"]


async def test_members_are_listed_in_pages(client: httpx2.AsyncClient) -> None:
    await join(client, "b", "a", "é", "Z", "c")
    seen: list[str] = []
    query = "?limit=2"
    while True:
        page = (await client.get(f"{MEMBERS}{query}")).json()
        seen += page["data"]
        if not page["has_more"]:
            assert page["next"] is None
            break
        query = f"?limit=2&after={page['next']}"
    assert seen == ["Z", "a", "b", "c", "é"], "bytewise"


async def test_a_users_topics_are_told_to_the_publisher_and_to_the_user(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada")
    await join(client, "ada", topic="team%2F7")
    await join(client, "grace", topic="other")
    path = "/v1/users/ada/topics"
    assert (await client.get(path)).json() == {"data": ["news", "team/7"]}
    assert (await client.get(path, headers=api.user("ada"))).json() == {"data": ["news", "team/7"]}
    problem(await client.get(path, headers=api.user("grace")), 403, "forbidden")
    assert (await client.get("/v1/users/nobody/topics")).json() == {"data": []}


async def test_members_get_what_is_published_while_they_are_members(client: httpx2.AsyncClient, api: Api) -> None:
    await publish(client, {"topic": "news"})
    await join(client, "ada")
    first = (await publish(client, {"topic": "news"}))["id"]
    api.clock.advance(1)
    await join(client, "grace")
    second = (await publish(client, {"topic": "news"}))["id"]
    api.clock.advance(1)
    await leave(client, "ada")
    third = (await publish(client, {"topic": "news"}))["id"]
    assert await inbox(client, api, "ada") == [second, first]
    assert await inbox(client, api, "grace") == [third, second]
    assert await inbox(client, api, "lin") == []


async def test_a_broadcast_is_for_everybody_there_is(client: httpx2.AsyncClient, api: Api) -> None:
    assert await inbox(client, api, "ada") == []
    answer = await publish(client, {"broadcast": True}, fallback=[{"channel": "email", "after": "1h"}])
    assert (answer["recipients"], answer["deliveries"]) == (None, 0)
    assert await inbox(client, api, "ada") == [answer["id"]]
    assert await inbox(client, api, "came-later") == []
    assert (await client.get("/v1/inbox", headers=api.user("ada", "acme"))).json()["data"] == []


async def test_one_users_marks_are_not_anothers(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada", "grace")
    identifier = (await publish(client, {"topic": "news"}))["id"]
    ada = api.user("ada")
    done = await client.post("/v1/inbox/read", json={"ids": [identifier]}, headers=ada)
    assert (done.json()["changed"], done.json()["unread_count"]) == (1, 0)
    assert (await client.get(f"/v1/inbox/{identifier}", headers=ada)).json()["read_at"] is not None
    assert (await client.get(f"/v1/inbox/{identifier}", headers=api.user("grace"))).json()["read_at"] is None
    problem(await client.get(f"/v1/inbox/{identifier}", headers=api.user("lin")), 404, "not-found")
    await client.post("/v1/inbox/archive", json={"all": True}, headers=ada)
    assert await inbox(client, api, "ada") == []
    assert await inbox(client, api, "grace") == [identifier]


async def test_the_same_idempotency_key_is_one_notification(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada")
    for _ in range(2):
        body = {"recipients": {"topic": "news"}, "title": "t"}
        answer = await client.post("/v1/notifications", json=body, headers={"Idempotency-Key": "once"})
        assert answer.status_code == 201
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert await inbox(client, api, "ada") == [answer.json()["id"]]
    body["recipients"] = {"broadcast": True}
    answer = await client.post("/v1/notifications", json=body, headers={"Idempotency-Key": "once"})
    problem(answer, 409, "idempotency-conflict")


async def test_what_became_of_it_is_told_once_for_the_whole_audience(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada")
    appears = api.clock.now() + 60_000
    identifier = (await publish(client, {"topic": "news"}, deliver_at=rfc3339(appears)))["id"]
    path = f"/v1/notifications/{identifier}"
    shown = (await client.get(path)).json()
    assert shown["shared"] == {"topic": "news", "state": "pending", "appeared_at": None}
    assert (shown["recipients"], shown["deliveries"]) == ([], [])
    assert await inbox(client, api, "ada") == []
    api.clock.advance(60_000)
    await api.hub.upkeep.apply_timers()
    shown = (await client.get(path)).json()["shared"]
    assert (shown["state"], shown["appeared_at"]) == ("live", rfc3339(appears))
    assert await inbox(client, api, "ada") == [identifier]
    everybody = (await publish(client, {"broadcast": True}))["id"]
    assert (await client.get(f"/v1/notifications/{everybody}")).json()["shared"]["topic"] is None
    own = (await publish(client, ["ada"]))["id"]
    assert (await client.get(f"/v1/notifications/{own}")).json()["shared"] is None


async def test_the_progress_of_its_plan_is_told_by_step(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada", "grace")
    await client.put("/v1/users/ada", json={"email": "ada@example.com"})
    plan = [{"channel": "email", "unless": "read"}, {"channel": "sms", "after": "1h"}]
    identifier = (await publish(client, {"topic": "news"}, fallback=plan))["id"]
    expansions = SqlExpansions(api.database)
    first = ExpansionKey("default", UUID(identifier), 0)
    assert await expansions.expand(first, api.clock.now(), frozenset(Channel), 10) == Expanded(1, ended=True)

    shown = (await client.get(f"/v1/notifications/{identifier}")).json()

    assert (shown["recipients"], shown["deliveries"]) == ([], [])
    now = rfc3339(api.clock.now())
    step = {"when": "always", "due_at": now, "reason": None}
    done = {"state": "done", "members": 2, "deliveries": 1, "reached": 0, "unreachable": 1}
    waiting = {"state": "waiting", "members": 0, "deliveries": 0, "reached": 0, "unreachable": 0}
    assert shown["expansions"] == [
        {"step": 0, "channel": "email", "unless": "read", **step, **done},
        {"step": 1, "channel": "sms", "unless": "seen", **step, **waiting},
    ]
    await client.delete(f"/v1/notifications/{identifier}")
    shown = (await client.get(f"/v1/notifications/{identifier}")).json()
    assert [each["state"] for each in shown["expansions"]] == ["done", "cancelled"]


async def test_tenants_have_topics_of_their_own(client: httpx2.AsyncClient, api: Api) -> None:
    await join(client, "ada")
    assert (await client.get(MEMBERS, headers=ACME)).json()["data"] == []
    assert (await client.get("/v1/users/ada/topics", headers=ACME)).json()["data"] == []
    await client.post("/v1/notifications", json={"recipients": {"topic": "news"}, "title": "t"}, headers=ACME)
    assert await inbox(client, api, "ada") == []


async def test_ten_thousand_join_and_leave_in_one_call(client: httpx2.AsyncClient) -> None:
    users = [f"user-{number}" for number in range(MAX_MEMBERS)]
    assert await join(client, *users) == MAX_MEMBERS
    assert await leave(client, *users) == MAX_MEMBERS


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "$.users"),
        ({"users": []}, "$.users"),
        ({"users": "ada"}, "$.users"),
        ({"users": ["ada", 7]}, "$.users[1]"),
        ({"users": ["ada", ""]}, "$.users[1]"),
        ({"users": ["a\x00"]}, "$.users[0]"),
        ({"users": ["x" * 256]}, "$.users[0]"),
        ({"users": ["ada"], "role": "admin"}, "$.role"),
        ({"users": [f"user-{number}" for number in range(MAX_MEMBERS + 1)]}, "$.users"),
    ],
)
async def test_lists_that_do_not_fit_change_nothing(
    client: httpx2.AsyncClient, method: str, body: dict[str, Any], pointer: str
) -> None:
    await join(client, "grace")
    problem(await client.request(method, MEMBERS, json=body), 422, "invalid-request", pointer)
    assert (await client.get(MEMBERS)).json()["data"] == ["grace"]


@pytest.mark.parametrize("name", ["%20", "a%09b", "a%00", "x" * 256])
async def test_names_out_of_form_are_refused(client: httpx2.AsyncClient, name: str) -> None:
    for method in ("PUT", "DELETE"):
        answer = await client.request(method, f"/v1/topics/{name}/members", json={"users": ["ada"]})
        problem(answer, 422, "invalid-request", "topic")
    problem(await client.get(f"/v1/topics/{name}/members"), 422, "invalid-request", "topic")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("after=a%00", "after"), ("page=2", "page")],
)
async def test_pages_out_of_form_are_refused(client: httpx2.AsyncClient, query: str, pointer: str) -> None:
    problem(await client.get(f"{MEMBERS}?{query}"), 422, "invalid-request", pointer)


async def test_members_are_the_publishers(client: httpx2.AsyncClient, api: Api) -> None:
    ada = api.user("ada")
    for method in ("PUT", "DELETE"):
        answer = await client.request(method, MEMBERS, json={"users": ["ada"]}, headers=ada)
        problem(answer, 403, "forbidden")
    problem(await client.get(MEMBERS, headers=ada), 403, "forbidden")
    problem(await client.get(MEMBERS, headers={"Authorization": "Bearer x"}), 401, "unauthenticated")
