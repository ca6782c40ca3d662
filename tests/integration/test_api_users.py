from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest

from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem

ACME = {"Authorization": f"Bearer {ACME_KEY}"}
TOKEN = "bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1"


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        yield opened


async def test_a_contact_is_put_replaced_and_shown(client: httpx2.AsyncClient) -> None:
    first = await client.put("/v1/users/ada", json={"email": "ada@example.com", "name": "Ada"}, headers=PUBLISHER)
    assert first.status_code == 201
    again = await client.put("/v1/users/ada", json={"phone": "+15551234567"}, headers=PUBLISHER)
    assert again.status_code == 200
    shown = await client.get("/v1/users/ada", headers=PUBLISHER)
    assert shown.json() == again.json()
    assert shown.json() == {
        "user": "ada",
        "email": None,
        "phone": "+15551234567",
        "name": None,
        "locale": None,
        "timezone": None,
        "devices": [],
    }
    assert shown.headers["cache-control"] == "no-store"
    problem(await client.get("/v1/users/ada", headers=ACME), 404, "not-found")
    problem(await client.get("/v1/users/grace", headers=PUBLISHER), 404, "not-found")


@pytest.mark.parametrize(
    ("contact", "pointer"),
    [
        ({"email": "ada"}, "$.email"),
        ({"email": "ada@example.com\r\nBcc: x@example.com"}, "$.email"),
        ({"email": "a@b.example\x00"}, "$.email"),
        ({"email": ""}, "$.email"),
        ({"email": 7}, "$.email"),
        ({"phone": "5551234567"}, "$.phone"),
        ({"phone": "+1555123456789012"}, "$.phone"),
        ({"name": "a\x00"}, "$.name"),
        ({"name": "x" * 256}, "$.name"),
        ({"locale": "x" * 36}, "$.locale"),
        ({"timezone": "x" * 65}, "$.timezone"),
        ({"mail": "ada@example.com"}, "$.mail"),
        ([], "$"),
    ],
)
async def test_a_contact_that_cannot_be_reached_is_refused(
    client: httpx2.AsyncClient, contact: object, pointer: str
) -> None:
    answer = await client.put("/v1/users/ada", json=contact, headers=PUBLISHER)
    problem(answer, 422, "invalid-request", pointer)
    problem(await client.get("/v1/users/ada", headers=PUBLISHER), 404, "not-found")


@pytest.mark.parametrize(
    "user", ["team/7", "a b", "100%", "auth0|5f7c", "Ånna ☃", "?", "#", "a%2Fb", "ada/devices", "x" * 255]
)
async def test_any_id_can_stand_in_a_path(client: httpx2.AsyncClient, api: Api, user: str) -> None:
    path = f"/v1/users/{quote(user, safe='')}"
    assert (await client.put(path, json={"name": "x"}, headers=PUBLISHER)).json()["user"] == user
    assert (await client.get(path, headers=PUBLISHER)).json()["user"] == user
    device = await client.post(f"{path}/devices", json={"token": TOKEN}, headers=api.user(user))
    assert device.status_code == 201, device.text
    assert (await client.get(f"{path}/presence", headers=PUBLISHER)).status_code == 200
    assert (await client.delete(f"{path}/devices/{device.json()['id']}", headers=PUBLISHER)).status_code == 204


@pytest.mark.parametrize("user", ["%00", "a%00b", "%0A", "%20", "x" * 256])
@pytest.mark.parametrize("tail", ["", "/devices", "/presence"])
async def test_an_id_that_cannot_be_one_is_refused(client: httpx2.AsyncClient, user: str, tail: str) -> None:
    problem(await client.get(f"/v1/users/{user}{tail}", headers=PUBLISHER), 422, "invalid-request", "user")


async def test_an_id_that_is_not_text_is_nowhere(client: httpx2.AsyncClient) -> None:
    for user in ("%FF%FE", "%ED%A0%80"):
        problem(await client.put(f"/v1/users/{user}", json={}, headers=PUBLISHER), 404, "not-found")
    problem(await client.get("/v1/users/", headers=PUBLISHER), 404, "not-found")


async def test_devices_come_and_go(client: httpx2.AsyncClient, api: Api) -> None:
    path = "/v1/users/ada/devices"
    assert (await client.get(path, headers=PUBLISHER)).json() == {"data": []}
    added = await client.post(path, json={"token": TOKEN, "name": "Phone"}, headers=PUBLISHER)
    assert added.status_code == 201
    device = added.json()
    assert TOKEN not in added.text
    assert device["name"] == "Phone"
    again = await client.post(path, json={"token": TOKEN}, headers=api.user("ada"))
    assert again.json()["id"] == device["id"]
    listed = (await client.get(path, headers=api.user("ada"))).json()
    assert [one["id"] for one in listed["data"]] == [device["id"]]
    problem(await client.delete(f"{path}/{uuid4()}", headers=PUBLISHER), 404, "not-found")
    problem(await client.delete(f"{path}/7", headers=PUBLISHER), 404, "not-found")
    problem(await client.delete(f"{path}/{device['id']}", headers=ACME), 404, "not-found")
    gone = await client.delete(f"{path}/{device['id']}", headers=api.user("ada"))
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await client.delete(f"{path}/{device['id']}", headers=PUBLISHER), 404, "not-found")


async def test_a_token_that_comes_with_another_user_moves(client: httpx2.AsyncClient, api: Api) -> None:
    await client.post("/v1/users/ada/devices", json={"token": TOKEN}, headers=api.user("ada"))
    await client.post("/v1/users/grace/devices", json={"token": TOKEN}, headers=api.user("grace"))
    assert (await client.get("/v1/users/ada/devices", headers=PUBLISHER)).json()["data"] == []
    assert len((await client.get("/v1/users/grace/devices", headers=PUBLISHER)).json()["data"]) == 1


async def test_users_reach_their_own_devices_only(client: httpx2.AsyncClient, api: Api) -> None:
    device = (await client.post("/v1/users/ada/devices", json={"token": TOKEN}, headers=PUBLISHER)).json()
    grace = api.user("grace")
    for method, path, body in (
        ("POST", "/v1/users/ada/devices", {"token": TOKEN}),
        ("GET", "/v1/users/ada/devices", None),
        ("DELETE", f"/v1/users/ada/devices/{device['id']}", None),
    ):
        problem(await client.request(method, path, json=body, headers=grace), 403, "forbidden")
    problem(await client.delete(f"/v1/users/grace/devices/{device['id']}", headers=grace), 404, "not-found")
    assert len((await client.get("/v1/users/ada/devices", headers=PUBLISHER)).json()["data"]) == 1
    acme_ada = api.user("ada", "acme")
    assert (await client.get("/v1/users/ada/devices", headers=acme_ada)).json()["data"] == []


async def test_contacts_and_presence_are_the_publishers(client: httpx2.AsyncClient, api: Api) -> None:
    ada = api.user("ada")
    problem(await client.put("/v1/users/ada", json={"email": "evil@example.com"}, headers=ada), 403, "forbidden")
    problem(await client.get("/v1/users/ada", headers=ada), 403, "forbidden")
    problem(await client.get("/v1/users/ada/presence", headers=ada), 403, "forbidden")
    problem(await client.get("/v1/users/ada/presence"), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("device", "pointer"),
    [
        ({}, "$.token"),
        ({"token": ""}, "$.token"),
        ({"token": "a\x00b"}, "$.token"),
        ({"token": "x" * 5_000}, "$.token"),
        ({"token": 7}, "$.token"),
        ({"token": "x", "kind": "apns"}, "$.kind"),
        ({"token": "x", "name": "\x00"}, "$.name"),
        ({"token": "x", "user": "grace"}, "$.user"),
    ],
)
async def test_a_device_that_cannot_be_one_is_refused(
    client: httpx2.AsyncClient, device: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/users/ada/devices", json=device, headers=PUBLISHER)
    problem(answer, 422, "invalid-request", pointer)
    assert (await client.get("/v1/users/ada/devices", headers=PUBLISHER)).json() == {"data": []}


async def test_presence_of_somebody_who_never_came(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/users/ada/presence", headers=PUBLISHER)
    assert answer.json() == {"attention": "offline", "connections": 0, "last_seen_at": None}
