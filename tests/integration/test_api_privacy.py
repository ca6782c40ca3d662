"""`GET /v1/users/{id}/export` and `DELETE /v1/users/{id}` over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest

from hub.core.errors import StoreUnavailable
from hub.core.model import InboxKey, PersonalNotification, TopicKey
from hub.core.wire import LiveChange, SharedChange
from hub.service import DISCONNECT_EVENT
from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem

ACME = {"Authorization": f"Bearer {ACME_KEY}"}


class Ear:
    """Hears what nodes are told."""

    def __init__(self) -> None:
        self.heard: list[tuple[InboxKey, str]] = []

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        self.heard.append((key, change.event))

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        pass

    def on_gap(self) -> None:
        pass

    def on_due(self, due_at: int) -> None:
        pass


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def settle_in(client: httpx2.AsyncClient, user: str = "ada", count: int = 1) -> None:
    await client.put(f"/v1/users/{user}", json={"email": "ada@example.com"}, headers=PUBLISHER)
    await client.post(f"/v1/users/{user}/devices", json={"token": "a-secret-token"}, headers=PUBLISHER)
    step = {"channel": "email", "after": "5m"}
    notifications = [{"recipients": [user], "title": f"Number {number}", "fallback": [step]} for number in range(count)]
    await client.post("/v1/notifications/batch", json={"notifications": notifications}, headers=PUBLISHER)


async def test_everything_is_handed_over_as_one_file(client: httpx2.AsyncClient, api: Api) -> None:
    await settle_in(client, count=250)
    await client.post("/v1/inbox/read", json={"all": True}, headers=api.user())
    answer = await client.get("/v1/users/ada/export", headers=PUBLISHER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    whole = answer.json()
    assert (whole["user"], whole["contact"]["email"]) == ("ada", "ada@example.com")
    assert [device["token_hint"] for device in whole["devices"]] == ["…oken"]
    assert "a-secret-token" not in answer.text
    assert whole["inbox"]["unread_count"] == 0
    titles = [each["title"] for each in whole["notifications"]]
    assert sorted(titles) == sorted(f"Number {number}" for number in range(250))
    assert {each["item"]["read_at"] for each in whole["notifications"]} == {"2027-01-15T08:00:00.000Z"}
    assert {each["deliveries"][0]["state"] for each in whole["notifications"]} == {"cancelled"}


async def test_it_is_read_as_it_is_written(
    client: httpx2.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is, no more than a page of it is in memory; what breaks off is seen to have broken off."""
    await settle_in(client, count=250)
    read = api.hub.privacy._data.notifications
    pages: list[int] = []

    async def watched(key: InboxKey, after: UUID | None, limit: int) -> Sequence[PersonalNotification]:
        if len(pages) == 2:
            raise StoreUnavailable("away")
        page = await read(key, after, limit)
        pages.append(len(page))
        return page

    monkeypatch.setattr(api.hub.privacy._data, "notifications", watched)
    pieces = await api.hub.privacy.export(InboxKey("default", "ada"))
    assert pages == []
    text = b"".join([await anext(pieces) for _ in range(4)])
    with pytest.raises(StoreUnavailable):
        await anext(pieces)
    assert pages == [100, 100]
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        msgspec.json.decode(text)


async def test_a_user_without_anything_is_not_found(client: httpx2.AsyncClient, api: Api) -> None:
    problem(await client.get("/v1/users/nobody/export", headers=PUBLISHER), 404, "not-found")
    await settle_in(client)
    problem(await client.get("/v1/users/ada/export", headers=ACME), 404, "not-found")
    problem(await client.get("/v1/users/%00/export", headers=PUBLISHER), 422, "invalid-request", "user")
    for headers, status, slug in (({}, 401, "unauthenticated"), (api.user(), 403, "forbidden")):
        problem(await client.get("/v1/users/ada/export", headers=headers), status, slug)
        problem(await client.delete("/v1/users/ada", headers=headers), status, slug)


async def test_erased_is_erased_and_may_be_asked_for_again(client: httpx2.AsyncClient, api: Api) -> None:
    await settle_in(client, count=3)
    await settle_in(client, "team/7")
    cursor = (await client.get("/v1/inbox/count", headers=api.user())).json()["cursor"]
    ear = Ear()
    await api.hub.access._bus.start(ear)
    await api.hub.access._bus.subscribe([InboxKey("default", "ada")])
    assert (await client.delete("/v1/users/ada", headers=ACME)).status_code == 204
    assert (await client.get("/v1/inbox/count", headers=api.user())).json()["unread_count"] == 3
    for _ in range(2):
        answer = await client.delete("/v1/users/ada", headers=PUBLISHER)
        assert (answer.status_code, answer.content) == (204, b"")
    assert ear.heard == [(InboxKey("default", "ada"), DISCONNECT_EVENT)] * 2
    for path in ("/v1/users/ada", "/v1/users/ada/export"):
        problem(await client.get(path, headers=PUBLISHER), 404, "not-found")
    anew = (await client.get("/v1/inbox/count", headers=api.user())).json()
    assert (anew["unread_count"], anew["cursor"].split(".")[1]) == (0, "0")
    assert anew["cursor"].split(".")[0] != cursor.split(".")[0]
    assert (await client.delete("/v1/users/team%2F7", headers=PUBLISHER)).status_code == 204
    problem(await client.get("/v1/users/team%2F7", headers=PUBLISHER), 404, "not-found")


async def test_tokens_stay_refused(client: httpx2.AsyncClient, api: Api) -> None:
    """Erasing must not make good again what was taken away."""
    await settle_in(client)
    token = api.user()
    api.clock.advance(5_000)
    await client.post("/v1/users/ada/disconnect", json={"revoke": True}, headers=PUBLISHER)
    await client.delete("/v1/users/ada", headers=PUBLISHER)
    problem(await client.get("/v1/inbox", headers=token), 401, "unauthenticated")
    whole: dict[str, Any] = (await client.get("/v1/users/ada/export", headers=PUBLISHER)).json()
    assert whole["tokens_refused_before"] is not None
    assert (whole["contact"], whole["devices"], whole["inbox"], whole["notifications"]) == (None, [], None, [])


async def test_nodes_that_cannot_be_told_are_said_to(
    client: httpx2.AsyncClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settle_in(client)

    async def lost(*_: object) -> bool:
        return False

    with monkeypatch.context() as broken:
        broken.setattr(api.hub.access._bus, "publish", lost)
        problem(await client.delete("/v1/users/ada", headers=PUBLISHER), 503, "unavailable")
    assert (await client.delete("/v1/users/ada", headers=PUBLISHER)).status_code == 204
