"""What the fallback side refuses, word for word: people find out from these answers what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hub.core.errors import PROBLEM_BASE
from tests.support.api import PUBLISHER, Api, open_api
from tests.support.schedules import NOTIFICATION

THIRTY_DAYS = 30 * 24 * 3600


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        opened.headers.update(PUBLISHER)
        yield opened


def plan(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"recipients": ["ada"], "title": "t", "fallback": list(steps)}


def scheduled(**timing: Any) -> dict[str, Any]:
    return {"notification": NOTIFICATION, **timing}


REFUSED = {
    "unknown step channel": (
        "/v1/notifications",
        plan({"channel": "email"}, {"channel": "pigeon"}),
        "$.fallback[1].channel",
        "is not a channel; known: push, webpush, email, sms, chat",
    ),
    "after beyond 30 days": (
        "/v1/notifications",
        plan({"channel": "email", "after": THIRTY_DAYS + 1}),
        "$.fallback[0].after",
        "must be at most 30 days",
    ),
    "after beyond 30 days in words": (
        "/v1/notifications",
        plan({"channel": "email", "after": "721h"}),
        "$.fallback[0].after",
        "must be at most 30 days",
    ),
    "empty plan": (
        "/v1/notifications",
        plan(),
        "$.fallback",
        "is empty: name a step, or leave it out where the inbox is enough",
    ),
    "a plan of which nothing is left, without an inbox": (
        "/v1/notifications",
        {**plan({"channel": "email"}), "inbox": False, "channels": ["sms"]},
        "$.inbox",
        "nothing would be sent: with `inbox: false`, users need a `fallback` plan",
    ),
    "empty plan of a schedule": (
        "/v1/schedules",
        {"every": "1h", "notification": plan()},
        "$.notification.fallback",
        "is empty: name a step, or leave it out where the inbox is enough",
    ),
    "cron that never fires": (
        "/v1/schedules",
        scheduled(cron="0 0 30 2 *"),
        "$.cron",
        "is no cron expression, or one that never fires: Bad day-of-month",
    ),
    "cron that does not fire in 50 years": (
        "/v1/schedules",
        scheduled(cron="* * */20 * 1L"),
        "$.cron",
        "matches no time in the next 50 years",
    ),
    "time zone that does not exist": (
        "/v1/schedules",
        scheduled(cron="0 9 * * *", timezone="Europe/Atlantis"),
        "$.timezone",
        "is not a time zone's name, such as Europe/Berlin (IANA) or UTC",
    ),
    "time zone out of a file system": (
        "/v1/schedules",
        scheduled(cron="0 9 * * *", timezone="../../etc/passwd"),
        "$.timezone",
        "is not a time zone's name, such as Europe/Berlin (IANA) or UTC",
    ),
    "end before start": (
        "/v1/schedules",
        scheduled(every="1h", start="2027-02-02T00:00:00Z", end="2027-02-01T00:00:00Z"),
        "$.end",
        "must come after `start`, and after now (it is 2027-01-15T08:00:00.000Z)",
    ),
    "more often than every second": ("/v1/schedules", scheduled(every=0.999), "$.every", "must be at least 1 s"),
    "replay of what is not dead": (
        "/v1/deliveries/replay",
        {"state": "sent"},
        "$.state",
        "Object contains unknown field `state`",
    ),
}


@pytest.mark.parametrize(("path", "body", "pointer", "detail"), REFUSED.values(), ids=REFUSED)
async def test_is_refused(client: httpx2.AsyncClient, path: str, body: object, pointer: str, detail: str) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": f"{PROBLEM_BASE}invalid-request",
        "title": "The request is not valid",
        "status": 422,
        "detail": detail,
        "pointer": pointer,
    }
    assert (await client.get("/v1/schedules")).json()["data"] == []
    assert (await client.get("/v1/deliveries")).json()["data"] == []


async def test_after_of_30_days_is_not(client: httpx2.AsyncClient) -> None:
    for after in (THIRTY_DAYS, "30d", "720h"):
        answer = await client.post("/v1/notifications", json=plan({"channel": "email", "after": after}))
        assert answer.status_code == 201, answer.text


async def test_what_is_not_dead_is_not_retried(client: httpx2.AsyncClient) -> None:
    published = await client.post("/v1/notifications", json=plan({"channel": "email", "after": "1h"}))
    [row] = (await client.get(f"/v1/deliveries?notification={published.json()['id']}")).json()["data"]
    for standing in ("it is `queued`, and not dead", "it is `cancelled`"):
        answer = await client.post(f"/v1/deliveries/{row['id']}/retry")
        assert answer.json() == {
            "type": f"{PROBLEM_BASE}state-conflict",
            "title": "Its state does not allow that",
            "status": 409,
            "detail": f"only what is `failed` or `skipped` can be retried; {standing}",
        }
        await client.post(f"/v1/deliveries/{row['id']}/cancel")
    assert (await client.post("/v1/deliveries/replay", json={})).json()["replayed"] == 0
    missing = await client.post(f"/v1/deliveries/{uuid4()}/retry")
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no such delivery")
