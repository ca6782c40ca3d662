from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hub.core.model import InboxKey
from hub.settings import Settings
from tests.support.api import HOUR, PUBLISHER, Api, open_api, problem

JSON = {"Content-Type": "application/json"}
CALLS = [
    ("GET", "/"),
    ("GET", "/static/demo.html"),
    ("POST", "/demo/session"),
    ("POST", "/demo/notifications"),
    ("GET", "/demo/mail"),
    ("GET", "/demo/notifications/00000000-0000-0000-0000-000000000000"),
]
GOOD = {"recipients": ["ada", "grace"], "title": "Hello"}


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def call(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str] | list[tuple[str, str]]
) -> httpx2.Response:
    items = list(headers.items()) if isinstance(headers, dict) else headers
    content = b'{"recipients":["ada"],"title":"Hello"}' if method == "POST" else None
    return await client.request(method, path, headers=[*JSON.items(), *items], content=content)


async def is_hidden(client: httpx2.AsyncClient, headers: dict[str, str] | list[tuple[str, str]]) -> None:
    """Check that the demo looks like any path that does not exist, whatever the method."""
    unknown = problem(await client.get("/never/heard/of"), 404, "not-found")
    for method, path in CALLS:
        assert problem(await call(client, method, path, headers), 404, "not-found") == unknown
    for path in ("/", "/demo/session", "/demo/notifications", "/demo/mail"):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            problem(await call(client, method, path, headers), 404, "not-found")


async def sign_in(client: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await client.post("/demo/session", json={})
    assert answer.status_code == 200, answer.text
    return {user["user"]: user for user in answer.json()["users"]}


async def test_a_session_gives_tokens_that_work_for_an_hour(client: httpx2.AsyncClient, api: Api) -> None:
    users = await sign_in(client)
    assert {user: (one["name"], one["email"]) for user, one in users.items()} == {
        "ada": ("Ada Lovelace", "ada@example.com"),
        "grace": ("Grace Hopper", "grace@example.com"),
    }
    for user, one in users.items():
        headers = {"Authorization": f"Bearer {one['token']}"}
        assert (await client.get("/v1/inbox", headers=headers)).status_code == 200
        assert (await client.get(f"/v1/users/{user}", headers=PUBLISHER)).json()["email"] == one["email"]
    api.clock.advance(HOUR - 1_000)
    assert (await client.get("/v1/inbox", headers=headers)).status_code == 200
    api.clock.advance(10_000)
    problem(await client.get("/v1/inbox", headers=headers), 401, "unauthenticated")
    assert await sign_in(client) != users


async def test_a_contact_that_somebody_put_is_left_alone(client: httpx2.AsyncClient) -> None:
    await client.put("/v1/users/ada", json={"email": "me@example.com", "phone": "+15551234567"}, headers=PUBLISHER)
    await sign_in(client)
    contact = (await client.get("/v1/users/ada", headers=PUBLISHER)).json()
    assert (contact["email"], contact["phone"]) == ("me@example.com", "+15551234567")


async def test_publishing_and_what_became_of_it(client: httpx2.AsyncClient, api: Api) -> None:
    body = {**GOOD, "fallback": [{"channel": "email", "after": 10}]}
    answer = await client.post("/demo/notifications", json=body)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/demo/notifications/{answer.json()['id']}"
    shown = (await client.get(answer.headers["location"])).json()
    assert [delivery["state"] for delivery in shown["deliveries"]] == ["queued", "queued"]
    assert (await api.hub.inbox.count(InboxKey("default", "ada"))).unread_count == 1


@pytest.mark.parametrize(
    "recipients",
    [
        ["someone"],
        ["ada", "someone"],
        [{"email": "victim@example.com"}],
        ["ada", {"phone": "+15551234567"}],
        {"topic": "news"},
        {"broadcast": True},
    ],
)
@pytest.mark.parametrize("inbox", [True, False])
async def test_the_demo_reaches_nobody_else(client: httpx2.AsyncClient, recipients: object, inbox: bool) -> None:  # noqa: FBT001 - a parameter
    body = {"recipients": recipients, "title": "Hello", "inbox": inbox}
    problem(await client.post("/demo/notifications", json=body), 422, "invalid-request", "$.recipients")


async def test_other_peoples_notifications_are_not_shown(client: httpx2.AsyncClient) -> None:
    for body in (
        {"recipients": ["ada", "someone"], "title": "Private"},
        {"recipients": [{"email": "someone@example.com"}], "title": "Private", "inbox": False},
        {"recipients": {"topic": "someones"}, "title": "Private"},
        {"recipients": {"broadcast": True}, "title": "Private"},
    ):
        published = (await client.post("/v1/notifications", json=body, headers=PUBLISHER)).json()
        problem(await client.get(f"/demo/notifications/{published['id']}"), 404, "not-found")
    problem(await client.get("/demo/notifications/7"), 404, "not-found")


def deliver(api: Api, to: str, subject: str) -> None:
    api.mailbox.add(channel="email", to=to, subject=subject, text="t", html="<p>t</p>", sent_at=api.clock.now())


async def test_mail_is_listed_from_where_the_page_left_off(client: httpx2.AsyncClient, api: Api) -> None:
    assert (await client.get("/demo/mail?since=0")).json() == {"messages": []}
    deliver(api, "ada@example.com", "first")
    deliver(api, "someone@example.com", "second")
    messages = (await client.get("/demo/mail")).json()["messages"]
    assert messages[0] == {
        "seq": 1,
        "channel": "email",
        "to": "ada@example.com",
        "subject": "first",
        "text": "t",
        "html": "<p>t</p>",
        "sent_at": "2027-01-15T08:00:00.000Z",
    }
    assert [one["subject"] for one in messages] == ["first", "second"]
    assert [one["seq"] for one in (await client.get("/demo/mail?since=1")).json()["messages"]] == [2]
    assert (await client.get("/demo/mail?since=2")).json()["messages"] == []
    # The mailbox began anew with the server: what the page has is ahead of it.
    assert [one["seq"] for one in (await client.get("/demo/mail?since=9")).json()["messages"]] == [1, 2]
    for query in ("?since=-1", "?since=x", "?since=", "?from=1", "?since=1&since=2"):
        problem(await client.get(f"/demo/mail{query}"), 422, "invalid-request")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8000"]
)
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
async def test_this_machines_own_browser_is_let_in(api: Api, host: str, address: str) -> None:
    async with api.client(address=(address, 50_000)) as client:
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host.lower()}"}):
            assert (await call(client, "POST", "/demo/session", headers)).status_code == 200
            assert (await call(client, "GET", "/demo/mail", headers)).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",  # resolves to 127.0.0.1: DNS rebinding
        "evil.example:8000",
        "localhost.evil.example",
        "localhost:8000.evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:8000:8000",
        "localhost:",
        "localhost:port",
        "localhost:800000",
        "[::1]evil",
        "::1",
        "0.0.0.0:8000",
        "192.168.1.5:8000",
        "0x7f.1",
        "",
        " ",
    ],
)
async def test_a_foreign_host_finds_nothing(client: httpx2.AsyncClient, host: str) -> None:
    await is_hidden(client, {"Host": host})


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:8000",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:9000",
        "https://127.0.0.1:8000",
        "http://localhost:8000",
        "http://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:8000/",
    ],
)
async def test_a_foreign_origin_finds_nothing(client: httpx2.AsyncClient, origin: str) -> None:
    await is_hidden(client, {"Host": "127.0.0.1:8000", "Origin": origin})


@pytest.mark.parametrize(
    "address", ["192.168.1.5", "10.0.0.1", "::ffff:192.168.1.5", "fe80::1", "2001:db8::1", "unix", ""]
)
async def test_another_machine_finds_nothing(api: Api, address: str) -> None:
    async with api.client(address=(address, 50_000)) as client:
        await is_hidden(client, {"Host": "127.0.0.1:8000"})


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"])
async def test_whoever_comes_through_a_proxy_finds_nothing(client: httpx2.AsyncClient, header: str) -> None:
    await is_hidden(client, {"Host": "127.0.0.1:8000", header: "127.0.0.1"})


async def test_headers_given_twice_are_not_believed(client: httpx2.AsyncClient) -> None:
    own = "http://127.0.0.1:8000"
    await is_hidden(client, [("Host", "127.0.0.1:8000"), ("Host", "evil.example")])
    await is_hidden(client, [("Host", "127.0.0.1:8000"), ("Origin", own), ("Origin", "https://evil.example")])


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
@pytest.mark.parametrize("path", ["/demo/session", "/demo/notifications"])
async def test_what_a_form_can_send_is_refused(client: httpx2.AsyncClient, path: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await client.post(path, content=b'{"recipients":["ada"],"title":"x"}', headers=headers)
    problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "settings",
    [
        Settings(demo=False),
        Settings(env="production"),
        Settings(redis_url="redis://127.0.0.1:6379"),
        Settings(database_url="postgresql://127.0.0.1/x"),
    ],
    ids=["off", "production", "redis", "postgres"],
)
async def test_outside_development_there_is_no_demo(sqlite_url: str, settings: Settings) -> None:
    async with open_api(sqlite_url, settings) as api, api.client() as client:
        await is_hidden(client, {})


async def test_an_open_demo_is_for_everybody_of_the_same_origin(sqlite_url: str) -> None:
    settings = Settings(demo=True, env="production", data_dir=Path("unused"))
    async with open_api(sqlite_url, settings) as api, api.client(address=("203.0.113.9", 50_000)) as client:
        through_tls = {"Host": "demo.example", "Origin": "https://demo.example", "X-Forwarded-For": "203.0.113.9"}
        assert (await call(client, "POST", "/demo/session", through_tls)).status_code == 200
        assert (await call(client, "POST", "/demo/session", {"Host": "demo.example"})).status_code == 200
        for origin in ("https://evil.example", "null", "https://demo.example.evil.example", "demo.example"):
            await is_hidden(client, {"Host": "demo.example", "Origin": origin})
        deliver(api, "someone@example.com", "private")
        deliver(api, "ada@example.com", "for all")
        messages = (await call(client, "GET", "/demo/mail", {"Host": "demo.example"})).json()["messages"]
        assert [one["subject"] for one in messages] == ["for all"]
