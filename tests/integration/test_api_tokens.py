from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx2
import pytest

from hub.core.model import InboxKey
from hub.ports import EVERYBODY
from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem

ACME = {"Authorization": f"Bearer {ACME_KEY}"}
ADA = InboxKey("default", "ada")
DISCONNECT, REVOKE = "/v1/users/ada/disconnect", "/v1/tokens/revoke"


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


@pytest.mark.parametrize("body", [None, {}, {"revoke": False}])
async def test_disconnecting_revokes_nothing_by_itself(api: Api, client: httpx2.AsyncClient, body: object) -> None:
    headers = api.user()
    api.clock.advance(10_000)
    answer = await client.post(DISCONNECT, json=body, headers=PUBLISHER)
    assert (answer.status_code, answer.json()) == (202, {"issued_before": None})
    assert answer.headers["cache-control"] == "no-store"
    assert (await client.get("/v1/inbox/count", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [(DISCONNECT, {"revoke": True}, 202), (REVOKE, {"user": "ada"}, 200), (REVOKE, {"all": True}, 200)],
)
async def test_tokens_issued_until_now_are_refused(
    api: Api, client: httpx2.AsyncClient, path: str, body: object, status: int
) -> None:
    ada, grace, acme = api.user(), api.user("grace"), api.user("ada", "acme")
    api.clock.advance(250)
    answer = await client.post(path, json=body, headers=PUBLISHER)
    assert (answer.status_code, answer.json()) == (status, {"issued_before": "2027-01-15T08:00:00.250Z"})
    again = await client.post(path, json=body, headers=PUBLISHER)
    assert (again.status_code, again.json()) == (status, answer.json())
    for call in ("/v1/inbox", "/v1/inbox/count", "/v1/users/ada/devices"):
        refused = problem(await client.get(call, headers=ada), 401, "unauthenticated")
        assert "revoked" in refused["detail"]
    problem(await client.post("/v1/tickets", headers=ada), 401, "unauthenticated")
    problem(await client.get("/v1/notifications/x", headers=ada), 401, "unauthenticated")
    everybody = body == {"all": True}
    assert (await client.get("/v1/inbox", headers=grace)).status_code == (401 if everybody else 200)
    assert (await client.get("/v1/inbox", headers=acme)).status_code == 200
    assert (await client.get("/v1/users/ada/devices", headers=PUBLISHER)).status_code == 200
    api.clock.advance(749)
    problem(await client.get("/v1/inbox", headers=api.user()), 401, "unauthenticated")
    api.clock.advance(1)
    assert (await client.get("/v1/inbox", headers=api.user())).status_code == 200


async def test_any_user_id_can_be_named(api: Api, client: httpx2.AsyncClient) -> None:
    user = "team/7 ü?"
    headers = api.user(user)
    api.clock.advance(1)
    path = f"/v1/users/{quote(user, safe='')}/disconnect"
    assert (await client.post(path, json={"revoke": True}, headers=PUBLISHER)).status_code == 202
    problem(await client.get("/v1/inbox", headers=headers), 401, "unauthenticated")
    assert (await client.get("/v1/inbox", headers=api.user("team"))).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (DISCONNECT, {"revoke": "yes"}, "$.revoke"),
        (DISCONNECT, {"revoke": None}, "$.revoke"),
        (DISCONNECT, {"user": "ada"}, "$.user"),
        (DISCONNECT, [], "$"),
        ("/v1/users/a%00b/disconnect", {}, None),
        (REVOKE, {}, "$"),
        (REVOKE, {"user": "ada", "all": True}, "$"),
        (REVOKE, {"all": False}, "$.all"),
        (REVOKE, {"all": 1}, "$.all"),
        (REVOKE, {"user": None}, "$.user"),
        (REVOKE, {"user": ""}, "$.user"),
        (REVOKE, {"user": "a\x00b"}, "$.user"),
        (REVOKE, {"user": "x" * 256}, "$.user"),
        (REVOKE, {"user": ["ada"]}, "$.user"),
        (REVOKE, {"users": ["ada"]}, "$.users"),
    ],
)
async def test_bad_bodies_revoke_nothing(
    api: Api, client: httpx2.AsyncClient, path: str, body: object, pointer: str | None
) -> None:
    problem(await client.post(path, json=body, headers=PUBLISHER), 422, "invalid-request", pointer)
    assert not api.hub.revoked.covers(ADA, None)
    assert not api.hub.revoked.covers(InboxKey("default", EVERYBODY), None)


@pytest.mark.parametrize("path", [DISCONNECT, REVOKE])
async def test_what_is_not_json_is_refused(client: httpx2.AsyncClient, path: str) -> None:
    text = {**PUBLISHER, "Content-Type": "text/plain"}
    problem(await client.post(path, content=b"{}", headers=text), 415, "unsupported-media-type")
    problem(await client.post(path, content=b"{", headers=PUBLISHER), 400, "malformed-body")
    problem(await client.post(path, content=b" ", headers=PUBLISHER), 400, "malformed-body")
    problem(await client.post(path, content=b" " * 70_000, headers=PUBLISHER), 413, "body-too-large")


@pytest.mark.parametrize("path", [DISCONNECT, REVOKE])
async def test_only_publishers_may(api: Api, client: httpx2.AsyncClient, path: str) -> None:
    problem(await client.post(path, json={"all": True}), 401, "unauthenticated")
    problem(await client.post(path, json={"all": True}, headers=api.user()), 403, "forbidden")
    await client.post(path, json={"user": "ada"} if path == REVOKE else {"revoke": True}, headers=ACME)
    assert not api.hub.revoked.covers(ADA, None)
