from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hub.core.views import rfc3339
from hub.settings import Settings
from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem
from tests.support.clock import START
from tests.support.schedules import DAY, HOUR, MINUTE, NOTIFICATION

ACME = {"Authorization": f"Bearer {ACME_KEY}"}
AT = rfc3339(START + DAY)


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        opened.headers.update(PUBLISHER)
        yield opened


async def create(client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/schedules", json={"notification": NOTIFICATION, **fields})
    assert answer.status_code == 201, answer.text
    out: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/schedules/{out['id']}"
    return out


async def show(client: httpx2.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"/v1/schedules/{made['id']}")
    assert answer.status_code == 200, answer.text
    out: dict[str, Any] = answer.json()
    return out


async def do(
    client: httpx2.AsyncClient, method: str, made: dict[str, Any], what: str = "", **body: Any
) -> dict[str, Any]:
    answer = await client.request(method, f"/v1/schedules/{made['id']}{what}", json=body or None)
    assert answer.is_success, answer.text
    out: dict[str, Any] = answer.json()
    return out


async def titles(client: httpx2.AsyncClient, api: Api, user: str = "ada") -> list[str]:
    page = (await client.get("/v1/inbox", headers=api.user(user))).json()
    return [item["title"] for item in page["data"]]


async def test_a_schedule_is_shown_as_it_was_asked_for(client: httpx2.AsyncClient) -> None:
    asked = {"cron": "0  9 * *  MON-FRI", "timezone": "Europe/Berlin", "missed": "all", "name": "Stand-up"}
    made = await create(client, **asked)
    assert made == {
        "id": made["id"],
        "name": "Stand-up",
        "state": "active",
        "at": None,
        "every": None,
        "cron": "0 9 * * MON-FRI",
        "timezone": "Europe/Berlin",
        "start": None,
        "end": None,
        "missed": "all",
        "next_at": "2027-01-18T08:00:00.000Z",
        "paused_at": None,
        "ended_at": None,
        "created_at": rfc3339(START),
        "updated_at": rfc3339(START),
    }
    shown = await show(client, made)
    assert shown.pop("runs") == []
    published = shown.pop("notification")
    assert {name: published[name] for name in NOTIFICATION} == NOTIFICATION
    assert shown == made


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"every": "90s"}, {"every": 90, "start": rfc3339(START), "next_at": rfc3339(START + 90_000)}),
        ({"every": 1.5, "start": AT}, {"every": 1.5, "start": AT, "next_at": AT}),
        (
            {"every": "1d", "start": rfc3339(START - 3 * DAY + HOUR), "end": AT},
            {"every": 86_400, "next_at": rfc3339(START + HOUR), "end": AT},
        ),
        ({"at": AT}, {"at": AT, "next_at": AT, "start": None}),
        ({"cron": "* * * * *"}, {"timezone": "UTC", "next_at": rfc3339(START + MINUTE)}),
    ],
)
async def test_timings(client: httpx2.AsyncClient, asked: dict[str, Any], shown: dict[str, Any]) -> None:
    made = await create(client, **asked)
    assert {name: made[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("asked", "pointer", "says"),
    [
        ({}, "$", "exactly one of"),
        ({"at": AT, "every": 60}, "$", "exactly one of"),
        ({"cron": "* * * * *", "every": 60}, "$", "exactly one of"),
        ({"at": rfc3339(START)}, "$.at", "has passed"),
        ({"at": "tomorrow"}, "$.at", "2026-01-31T12:00:00Z"),
        ({"at": "2060-01-01T00:00:00Z"}, "$.at", "ten years"),
        ({"at": AT, "start": AT}, "$.start", "`at` says it all"),
        ({"at": AT, "end": AT}, "$.end", "`at` says it all"),
        ({"at": AT, "timezone": "UTC"}, "$.timezone", "`at` says it all"),
        ({"every": 0.9}, "$.every", "at least 1 s"),
        ({"every": 0}, "$.every", "at least 1 s"),
        ({"every": -60}, "$.every", "negative"),
        ({"every": "367d"}, "$.every", "366 days"),
        ({"every": 1e300}, "$.every", "366 days"),
        ({"every": "often"}, "$.every", "15m"),
        ({"every": ""}, "$.every", "at least 1 s"),
        ({"every": True}, "$.every", "bool"),
        ({"every": 60, "timezone": "UTC"}, "$.timezone", "belongs to `cron`"),
        ({"every": "1h", "start": AT, "end": AT}, "$.end", "after `start`"),
        ({"every": "1h", "end": rfc3339(START)}, "$.end", "after now"),
        ({"every": "1h", "end": rfc3339(START + MINUTE)}, "$.end", "before the first run"),
        ({"every": "1h", "start": "2060-01-01T00:00:00Z"}, "$.start", "ten years"),
        ({"cron": "0 0 30 2 *"}, "$.cron", "never fires"),
        ({"cron": "* * */20 * 1L"}, "$.cron", "50 years"),
        ({"cron": "0 9 * *"}, "$.cron", "0 9 * * MON-FRI"),
        ({"cron": "@daily"}, "$.cron", "five fields"),
        ({"cron": "0 9 * * *", "timezone": "Mars/Olympus"}, "$.timezone", "Europe/Berlin"),
        ({"cron": "0 9 * * *", "missed": "some"}, "$.missed", "some"),
        ({"every": 60, "name": "x" * 256}, "$.name", "255"),
        ({"every": 60, "name": "\x00"}, "$.name", "NUL"),
        ({"every": 60, "colour": "red"}, "$.colour", "unknown field"),
        ({"every": 60, "notification": {"title": "t"}}, "$.notification.recipients", "missing"),
    ],
)
async def test_what_cannot_be(client: httpx2.AsyncClient, asked: dict[str, Any], pointer: str, says: str) -> None:
    answer = await client.post("/v1/schedules", json={"notification": NOTIFICATION, **asked})
    assert says in problem(answer, 422, "invalid-request", pointer)["detail"]
    if "name" not in asked and "notification" not in asked and "missed" not in asked:
        again = await client.post("/v1/schedules/preview", json=asked)
        assert problem(again, 422, "invalid-request", pointer)["detail"] == answer.json()["detail"]
    assert (await client.get("/v1/schedules")).json()["data"] == []


@pytest.mark.parametrize(
    ("changed", "status", "slug", "pointer"),
    [
        ({"title": ""}, 422, "invalid-request", "$.notification.title"),
        ({"recipients": []}, 422, "invalid-request", "$.notification.recipients"),
        ({"recipients": [""]}, 422, "invalid-request", "$.notification.recipients[0]"),
        ({"action_url": "/\\evil.com"}, 422, "invalid-request", "$.notification.action_url"),
        ({"fallback": [{"channel": "pigeon"}]}, 422, "invalid-request", "$.notification.fallback[0].channel"),
        ({"template": "t"}, 501, "not-built", "$.notification.template"),
        ({"deliver_at": AT}, 422, "invalid-request", "$.notification.deliver_at"),
        ({"expires_at": rfc3339(START + 9 * DAY)}, 422, "invalid-request", "$.notification.expires_at"),
    ],
)
async def test_what_could_not_be_published(
    client: httpx2.AsyncClient, changed: dict[str, Any], status: int, slug: str, pointer: str
) -> None:
    """The same errors as of a publish, and some that only a schedule has."""
    body = {"every": "1h", "notification": NOTIFICATION | changed}
    problem(await client.post("/v1/schedules", json=body), status, slug, pointer)
    made = await create(client, every="1h")
    patched = await client.patch(f"/v1/schedules/{made['id']}", json={"notification": NOTIFICATION | changed})
    problem(patched, status, slug, pointer)
    assert (await show(client, made))["updated_at"] == made["updated_at"]


async def test_one_that_expires_has_one_moment(client: httpx2.AsyncClient) -> None:
    """`expires_at` counts from that moment: it has to come later, by up to a year."""
    await create(client, at=AT, notification=NOTIFICATION | {"expires_at": rfc3339(START + 2 * DAY)})
    for expires_at in (rfc3339(START + HOUR), rfc3339(START + 500 * DAY)):
        body = {"at": AT, "notification": NOTIFICATION | {"expires_at": expires_at}}
        problem(await client.post("/v1/schedules", json=body), 422, "invalid-request", "$.notification.expires_at")


async def test_the_same_key_makes_one(client: httpx2.AsyncClient, api: Api) -> None:
    body = {"every": "1h", "notification": NOTIFICATION}
    key = {"Idempotency-Key": "digest"}
    first, again = [await client.post("/v1/schedules", json=body, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == again.headers["location"]
    problem(await client.post("/v1/schedules", json=body | {"every": "2h"}, headers=key), 409, "idempotency-conflict")
    soon = {"at": rfc3339(START + MINUTE), "notification": NOTIFICATION}
    first = await client.post("/v1/schedules", json=soon, headers={"Idempotency-Key": "soon"})
    api.clock.advance(HOUR)
    again = await client.post("/v1/schedules", json=soon, headers={"Idempotency-Key": "soon"})
    assert (again.status_code, again.json()) == (201, first.json()), "its time has passed since"
    problem(await client.post("/v1/schedules", json=soon, headers=key), 422, "invalid-request", "$.at")
    published = await client.post("/v1/notifications", json=NOTIFICATION, headers=key)
    assert published.status_code == 201, "publishes have keys of their own"
    assert len((await client.get("/v1/schedules")).json()["data"]) == 2


async def test_pages(client: httpx2.AsyncClient, api: Api) -> None:
    made = []
    for _ in range(5):
        made.append(await create(client, every="1h"))
        api.clock.advance(1)
    seen, query = [], "?limit=2"
    while True:
        page = (await client.get(f"/v1/schedules{query}")).json()
        seen += page["data"]
        if not page["has_more"]:
            break
        query = f"?limit=2&after={page['next']}"
    assert seen == made
    assert page["next"] is None
    for bad, pointer in (("after=x", "after"), ("limit=0", "limit"), ("limit=101", "limit"), ("x=1", "x")):
        problem(await client.get(f"/v1/schedules?{bad}"), 422, "invalid-request", pointer)
    assert (await client.get("/v1/schedules", headers=ACME)).json()["data"] == []


async def test_the_limit(sqlite_url: str) -> None:
    async with open_api(sqlite_url, Settings(schedules_per_tenant=2)) as api, api.client() as client:
        client.headers.update(PUBLISHER)
        first = await create(client, at=AT)
        await create(client, every="1h")
        body = {"every": "1h", "notification": NOTIFICATION}
        detail = problem(await client.post("/v1/schedules", json=body), 422, "invalid-request")["detail"]
        assert "BELLWIRE_SCHEDULES_PER_TENANT" in detail
        assert (await client.delete(f"/v1/schedules/{first['id']}")).status_code == 204
        await create(client, every="1h")


async def test_next_times(client: httpx2.AsyncClient, api: Api) -> None:
    timing = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "start": "2027-03-27T00:00:00Z"}
    times = (await client.post("/v1/schedules/preview?count=3", json=timing)).json()["data"]
    assert times == [
        {"at": "2027-03-27T01:30:00.000Z", "local": "2027-03-27T02:30:00+01:00"},
        {"at": "2027-03-28T01:00:00.000Z", "local": "2027-03-28T03:00:00+02:00"},
        {"at": "2027-03-29T00:30:00.000Z", "local": "2027-03-29T02:30:00+02:00"},
    ]
    assert (await client.get("/v1/schedules")).json()["data"] == [], "a preview stores nothing"
    made = await create(client, **timing)
    assert (await do(client, "GET", made, "/next?count=3"))["data"] == times
    assert (await do(client, "GET", made, "/next?count=1"))["data"] == times[:1]
    assert len((await do(client, "GET", made, "/next"))["data"]) == 10
    await do(client, "PUT", made, "/pause")
    assert (await do(client, "GET", made, "/next"))["data"] == []
    for bad in ("count=0", "count=101", "count=x"):
        problem(await client.get(f"/v1/schedules/{made['id']}/next?{bad}"), 422, "invalid-request", "count")
    once = await create(client, at=AT)
    assert [each["at"] for each in (await do(client, "GET", once, "/next"))["data"]] == [AT]


async def test_it_runs(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, every="1h", end=rfc3339(START + 2 * HOUR))
    assert (await api.hub.schedules.fire_due(9)).done == 0
    for number in (1, 2):
        api.clock.advance(HOUR)
        assert (await api.hub.schedules.fire_due(9)).done == 1
        assert (await api.hub.schedules.fire_due(9)).done == 0
        shown = await show(client, made)
        assert len(shown["runs"]) == number
        run = shown["runs"][0]
        assert run["due_at"] == run["at"] == rfc3339(START + number * HOUR)
        assert (run["outcome"], run["by_hand"], run["through"], run["reason"]) == ("fired", False, None, None)
        sent = (await client.get(f"/v1/notifications/{run['notification']}")).json()
        assert [each["user"] for each in sent["recipients"]] == ["ada", "grace"]
    assert (shown["state"], shown["next_at"], shown["ended_at"]) == ("ended", None, rfc3339(START + 2 * HOUR))
    assert await titles(client, api) == ["Stand-up"] * 2


@pytest.mark.parametrize(("missed", "made"), [("once", 1), ("all", 5), ("skip", 0)])
async def test_after_downtime_it_catches_up_as_chosen(
    client: httpx2.AsyncClient, api: Api, missed: str, made: int
) -> None:
    schedule = await create(client, every="1h", missed=missed)
    api.clock.advance(5 * HOUR + 10 * MINUTE)  # nobody has looked since
    while (await api.hub.schedules.fire_due(9)).done:
        pass
    assert len(await titles(client, api)) == made
    shown = await show(client, schedule)
    assert shown["next_at"] == rfc3339(START + 6 * HOUR)
    fired = [run["due_at"] for run in shown["runs"] if run["outcome"] == "fired"]
    assert fired == [rfc3339(START + hour * HOUR) for hour in range(5, 5 - made, -1)]
    skipped = [(run["due_at"], run["through"]) for run in shown["runs"] if run["outcome"] == "skipped"]
    last = {"once": 4, "skip": 5}.get(missed)
    assert skipped == ([] if last is None else [(rfc3339(START + HOUR), rfc3339(START + last * HOUR))])


async def test_paused_it_does_not(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, every="1h")
    paused = await do(client, "PUT", made, "/pause")
    assert (paused["state"], paused["next_at"], paused["paused_at"]) == ("paused", None, rfc3339(START))
    api.clock.advance(3 * HOUR + 1)
    assert await do(client, "PUT", made, "/pause") == paused, "repeating it changes nothing"
    assert (await api.hub.schedules.fire_due(9)).done == 0
    resumed = await do(client, "PUT", made, "/resume")
    assert (resumed["state"], resumed["next_at"]) == ("active", rfc3339(START + 4 * HOUR))
    assert await do(client, "PUT", made, "/resume") == resumed
    assert (await api.hub.schedules.fire_due(9)).done == 0, "what was due meanwhile is not made up for"
    [entry] = (await show(client, made))["runs"]
    assert (entry["due_at"], entry["through"], entry["outcome"]) == (
        rfc3339(START + HOUR),
        rfc3339(START + 3 * HOUR + 1),
        "skipped",
    )
    assert "paused" in entry["reason"]
    api.clock.advance(HOUR)
    assert (await api.hub.schedules.fire_due(9)).done == 1


async def test_what_is_over_cannot_be_resumed(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, at=AT)
    await do(client, "PUT", made, "/pause")
    api.clock.advance(2 * DAY)
    answer = await client.put(f"/v1/schedules/{made['id']}/resume")
    assert "run it by hand" in problem(answer, 422, "invalid-request")["detail"]
    await do(client, "PATCH", made, at=rfc3339(START + 3 * DAY))
    assert (await do(client, "PUT", made, "/resume"))["next_at"] == rfc3339(START + 3 * DAY)


async def test_by_hand(client: httpx2.AsyncClient, api: Api) -> None:
    """In any state, and beside its own times."""
    made = await create(client, at=AT)
    run = f"/v1/schedules/{made['id']}/run"
    key = {"Idempotency-Key": "now"}
    first, again = [await client.post(run, headers=key) for _ in range(2)]
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == f"/v1/notifications/{first.json()['id']}"
    other = await create(client, at=AT)
    problem(await client.post(f"/v1/schedules/{other['id']}/run", headers=key), 409, "idempotency-conflict")
    await do(client, "PUT", made, "/pause")
    assert (await client.post(run)).status_code == 201
    await do(client, "PUT", made, "/resume")
    api.clock.advance(DAY)
    assert (await api.hub.schedules.fire_due(9)).done == 2
    assert (await client.post(run)).status_code == 201
    shown = await show(client, made)
    assert shown["state"] == "ended"
    assert [each["by_hand"] for each in shown["runs"]] == [True, False, True, True]
    assert len(await titles(client, api)) == 5


async def test_what_is_refused_at_its_time_is_told_and_does_not_stop_it(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, at=AT, notification=NOTIFICATION | {"expires_at": rfc3339(START + DAY + HOUR)})
    fine = await create(client, every="1d")
    api.clock.advance(2 * DAY)
    assert (await api.hub.schedules.fire_due(9)).done == 2
    assert (await api.hub.schedules.fire_due(9)).done == 0, "it is not tried again and again"
    shown = await show(client, made)
    [entry] = shown["runs"]
    assert shown["state"] == "ended"
    assert (entry["outcome"], entry["notification"]) == ("failed", None)
    assert entry["reason"].startswith("$.expires_at must come after")
    assert (await show(client, fine))["runs"][0]["outcome"] == "fired"
    answer = await client.post(f"/v1/schedules/{made['id']}/run")
    problem(answer, 422, "invalid-request", "$.notification.expires_at")


async def test_patching(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, every="1h", name="Hourly")
    api.clock.advance(MINUTE)
    patched = await do(client, "PATCH", made, name=None, missed="all", notification=NOTIFICATION | {"title": "New"})
    changed = {"name": None, "missed": "all", "updated_at": rfc3339(START + MINUTE)}
    assert patched == made | changed, "its times stay"
    patched = await do(client, "PATCH", made, end=rfc3339(START + HOUR))
    assert patched["next_at"] == made["next_at"]
    patched = await do(client, "PATCH", made, end=None, start=rfc3339(START + 2 * HOUR))
    assert patched["next_at"] == rfc3339(START + 2 * HOUR)
    patched = await do(client, "PATCH", made, cron="0 12 * * *", timezone="America/New_York")
    assert (patched["every"], patched["start"], patched["next_at"]) == (None, None, "2027-01-15T17:00:00.000Z")
    patched = await do(client, "PATCH", made, timezone="Asia/Tokyo")
    assert patched["next_at"] == "2027-01-16T03:00:00.000Z"
    api.clock.advance(DAY)
    assert (await api.hub.schedules.fire_due(9)).done == 1
    assert await titles(client, api) == ["New"]
    assert await client.patch(f"/v1/schedules/{made['id']}", json={}) is not None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"at": AT, "every": 60}, "$"),
        ({"end": rfc3339(START)}, "$.end"),
        ({"timezone": "UTC"}, "$.timezone"),
        ({"cron": "0 0 30 2 *"}, "$.cron"),
        ({"at": None}, "$.at"),
        ({"missed": None}, "$.missed"),
        ({"paused": True}, "$.paused"),
    ],
)
async def test_what_cannot_be_patched(client: httpx2.AsyncClient, body: dict[str, Any], pointer: str) -> None:
    made = await create(client, every="1h")
    problem(await client.patch(f"/v1/schedules/{made['id']}", json=body), 422, "invalid-request", pointer)
    assert (await show(client, made))["next_at"] == made["next_at"]


async def test_a_run_that_is_due_survives_a_patch_of_other_things(client: httpx2.AsyncClient, api: Api) -> None:
    """A patch between the due time and the run must not lose it, unless it says the timing anew."""
    kept, anew = await create(client, every="1h"), await create(client, every="1h")
    api.clock.advance(HOUR + 5)
    assert (await do(client, "PATCH", kept, end=AT, name="kept"))["next_at"] == rfc3339(START + HOUR)
    assert (await do(client, "PATCH", anew, every="2h"))["next_at"] == rfc3339(START + 3 * HOUR + 5)
    assert (await api.hub.schedules.fire_due(9)).done == 1
    assert (await show(client, kept))["runs"][0]["outcome"] == "fired"
    [entry] = (await show(client, anew))["runs"]
    assert (entry["outcome"], entry["due_at"]) == ("skipped", rfc3339(START + HOUR))
    assert "before the schedule was changed" in entry["reason"]


async def test_one_that_has_ended_can_be_revived(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, every="1h", end=rfc3339(START + HOUR))
    api.clock.advance(5 * HOUR)
    assert (await api.hub.schedules.fire_due(9)).done == 1
    assert (await show(client, made))["state"] == "ended"
    revived = await do(client, "PATCH", made, end=None)
    assert (revived["state"], revived["ended_at"], revived["next_at"]) == ("active", None, rfc3339(START + 6 * HOUR))


async def test_no_such_schedule(client: httpx2.AsyncClient) -> None:
    made = await create(client, every="1h")
    calls = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/next"), ("PUT", "/pause"), ("PUT", "/resume")]
    for method, what in [*calls, ("POST", "/run")]:
        body = {"name": "x"} if method == "PATCH" else None
        for identifier, headers in ((made["id"], ACME), (str(uuid4()), {}), ("nonsense", {})):
            url = f"/v1/schedules/{identifier}{what}"
            problem(await client.request(method, url, json=body, headers=headers), 404, "not-found")
    assert (await show(client, made))["state"] == "active"
    assert (await client.delete(f"/v1/schedules/{made['id']}")).status_code == 204
    problem(await client.delete(f"/v1/schedules/{made['id']}"), 404, "not-found")


async def test_users_have_no_schedules(client: httpx2.AsyncClient, api: Api) -> None:
    problem(await client.get("/v1/schedules", headers=api.user()), 403, "forbidden")


async def test_an_export_tells_of_schedules_and_of_nobody_else(client: httpx2.AsyncClient, api: Api) -> None:
    made = await create(client, every="1h", name="Stand-up of the team")
    answer = await client.get("/v1/users/ada/export")
    [told] = answer.json()["schedules"]
    assert (told["id"], told["name"], told["title"]) == (made["id"], "Stand-up of the team", "Stand-up")
    assert "grace" not in answer.text
    assert (await client.delete("/v1/users/ada")).status_code == 204
    problem(await client.get("/v1/users/ada/export"), 404, "not-found")
    assert (await show(client, made))["notification"]["recipients"] == ["grace"]
    assert (await client.delete("/v1/users/grace")).status_code == 204
    problem(await client.get(f"/v1/schedules/{made['id']}"), 404, "not-found")
