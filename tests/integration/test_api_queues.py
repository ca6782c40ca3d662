"""`/v1/queues` and `/v1/deliveries` over the real store: what operators see and do, and what they are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hub.core.model import Attention, Channel, DeliveryState, InboxKey
from hub.core.model.queues import QueueKey, RateKey, WorkerSign
from hub.core.views import rfc3339
from hub.ports import Claim, PresenceEntry
from hub.service import operations
from hub.store.deliveries import SqlDeliveryQueue
from hub.store.worker_reports import SqlWorkerReports
from tests.support.api import ACME_KEY, PUBLISHER, Api, open_api, problem
from tests.support.queue import EMAIL, LEASE, settled
from tests.support.rows import attempt

ACME = {"Authorization": f"Bearer {ACME_KEY}"}
HOUR = 3_600_000


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    async with open_api(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as opened:
        opened.headers.update(PUBLISHER)
        yield opened


@pytest.fixture
def queue(api: Api) -> SqlDeliveryQueue:
    return SqlDeliveryQueue(api.database)


async def publish(client: httpx2.AsyncClient, *users: str, **fields: Any) -> list[str]:
    """Publish with an e-mail step, and return the deliveries' ids."""
    body = {"recipients": users or ["ada"], "title": "t", "fallback": [{"channel": "email", "after": 60}]} | fields
    answer = await client.post("/v1/notifications", json=body)
    assert answer.status_code == 201, answer.text
    found = await client.get(f"/v1/deliveries?notification={answer.json()['id']}")
    return [delivery["id"] for delivery in found.json()["data"]]


async def claim(api: Api, queue: SqlDeliveryQueue) -> Claim:
    api.clock.advance(HOUR)
    [claimed] = await queue.claim(EMAIL, api.clock.now(), LEASE, 1)
    return claimed


async def die(api: Api, queue: SqlDeliveryQueue, reason: str = "The mailbox is full.") -> str:
    """Let the delivery that is due first fail for good."""
    claimed = await claim(api, queue)
    failing = replace(
        settled(claimed, DeliveryState.FAILED, reason),
        provider="smtp",
        provider_calls=1,
        attempts=(attempt(claimed.delivery.id, "a…@example.com", "permanent", reason),),
    )
    assert await queue.settle([failing], api.clock.now())
    return str(claimed.delivery.id)


async def state(client: httpx2.AsyncClient, delivery: str) -> str:
    return str((await client.get(f"/v1/deliveries/{delivery}")).json()["state"])


class TestQueues:
    async def test_there_is_one_for_each_channel(self, client: httpx2.AsyncClient, api: Api) -> None:
        await publish(client, "ada", "grace")
        data = {queue["channel"]: queue for queue in (await client.get("/v1/queues")).json()["data"]}
        assert list(data) == [channel.value for channel in Channel]
        assert (data["email"]["queued"], data["email"]["due"], data["email"]["lag_ms"]) == (2, 0, 0)
        api.clock.advance(61_000)
        email = (await client.get("/v1/queues/email")).json()
        assert (email["due"], email["lag_ms"], email["paused"], email["dead"]) == (2, 1000, False, 0)
        assert [lane["queued"] for lane in email["priorities"]] == [0, 0, 2, 0]
        assert (await client.get("/v1/queues/email", headers=ACME)).json()["queued"] == 0

    async def test_rates(self, client: httpx2.AsyncClient, api: Api) -> None:
        reports, now = SqlWorkerReports(api.database), api.clock.now()
        counts = {
            RateKey(QueueKey("default", Channel.EMAIL), now // 60_000 * 60_000 - ago * 60_000, "sent"): 1
            for ago in (0, 1, 4, 14)
        }
        await reports.report(WorkerSign(uuid4(), now, {}), counts, now)
        rates = (await client.get("/v1/queues/email")).json()["rates"]
        assert rates == [
            {"minutes": 1, "outcomes": {"sent": 2}},
            {"minutes": 5, "outcomes": {"sent": 3}},
            {"minutes": 15, "outcomes": {"sent": 4}},
        ]

    async def test_pause_and_resume(self, client: httpx2.AsyncClient, api: Api, queue: SqlDeliveryQueue) -> None:
        await publish(client)
        paused = await client.put("/v1/queues/email/pause")
        assert (paused.json()["paused"], paused.json()["paused_at"]) == (True, rfc3339(api.clock.now()))
        assert await queue.claim(EMAIL, api.clock.advance(HOUR), LEASE, 1) == []
        assert (await client.get("/v1/queues/email", headers=ACME)).json()["paused"] is False
        assert (await client.put("/v1/queues/email/resume")).json()["paused"] is False
        assert len(await queue.claim(EMAIL, api.clock.now(), LEASE, 1)) == 1

    async def test_empty_says_how_many_and_whether_there_are_more(
        self, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "CHUNK", 2)
        monkeypatch.setattr(operations, "MAX_EMPTIED", 4)
        made = await publish(client, "a", "b", "c", "d", "e")
        assert (await client.put("/v1/queues/email/empty")).json() == {"cancelled": 4, "more": True}
        assert (await client.put("/v1/queues/email/empty")).json() == {"cancelled": 1, "more": False}
        assert (await client.put("/v1/queues/email/empty")).json() == {"cancelled": 0, "more": False}
        assert {await state(client, each) for each in made} == {"cancelled"}

    async def test_steps_for_audiences_are_counted_paused_and_emptied(self, client: httpx2.AsyncClient) -> None:
        shared = {"recipients": {"broadcast": True}, "title": "t", "fallback": [{"channel": "email"}]}
        notification = (await client.post("/v1/notifications", json=shared)).json()["id"]
        assert (await client.get("/v1/queues/email")).json()["audiences"] == 1
        assert (await client.put("/v1/queues/email/empty")).json() == {"cancelled": 1, "more": False}
        [step] = (await client.get(f"/v1/notifications/{notification}")).json()["expansions"]
        assert (step["state"], step["reason"]) == ("cancelled", "The queue was emptied by an operator.")

    @pytest.mark.parametrize("path", ["fax", "fax/pause", "fax/resume", "fax/empty", "in_app"])
    async def test_a_queue_that_there_is_not(self, client: httpx2.AsyncClient, path: str) -> None:
        method = "PUT" if "/" in path else "GET"
        assert "email" in problem(await client.request(method, f"/v1/queues/{path}"), 404, "not-found")["detail"]

    @pytest.mark.parametrize("path", ["/v1/queues", "/v1/queues/email"])
    async def test_unknown_parameters(self, client: httpx2.AsyncClient, path: str) -> None:
        problem(await client.get(f"{path}?tenant=acme"), 422, "invalid-request", "tenant")

    async def test_users_have_no_queues(self, client: httpx2.AsyncClient, api: Api) -> None:
        for method, path in (("GET", "/v1/queues"), ("PUT", "/v1/queues/email/pause"), ("GET", "/v1/deliveries")):
            problem(await client.request(method, path, headers=api.user("ada")), 403, "forbidden")


class TestDeliveries:
    async def test_pages_go_on_to_the_end(self, client: httpx2.AsyncClient) -> None:
        made = [each for _ in range(3) for each in await publish(client, "ada", "grace")]
        found: list[str] = []
        query = "?limit=4&state=queued"
        for _ in range(2):
            page = (await client.get(f"/v1/deliveries{query}")).json()
            found += [delivery["id"] for delivery in page["data"]]
            query = f"?limit=4&state=queued&after={page['next']}"
        assert (page["has_more"], page["next"]) == (False, None)
        assert sorted(found) == sorted(made)
        assert (await client.get("/v1/deliveries", headers=ACME)).json()["data"] == []

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("state=dead", "state"),
            ("channel=fax", "channel"),
            ("user=", "user"),
            ("user=%00", "user"),
            ("notification=1", "notification"),
            ("created_after=yesterday", "created_after"),
            ("ended_before=2026-01-31", "ended_before"),
            ("reason=" + "x" * 201, "reason"),
            ("provider=%00", "provider"),
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("after=x", "after"),
            ("after=WyJhbGwiXQ", "after"),
            ("after=WyJhbGwiLDAsInh4Il0", "after"),
            ("tenant=acme", "tenant"),
            ("state=failed&state=sent", "state"),
        ],
    )
    async def test_bad_questions(self, client: httpx2.AsyncClient, query: str, pointer: str) -> None:
        problem(await client.get(f"/v1/deliveries?{query}"), 422, "invalid-request", pointer)

    async def test_one_tells_its_attempts_and_its_past(
        self, client: httpx2.AsyncClient, api: Api, queue: SqlDeliveryQueue
    ) -> None:
        [delivery] = await publish(client)
        assert await die(api, queue) == delivery
        api.clock.advance(1000)
        retried = (await client.post(f"/v1/deliveries/{delivery}/retry")).json()
        assert (retried["state"], retried["reason"], retried["attempt_count"]) == ("queued", None, 1)
        api.clock.advance(1000)
        shown = (await client.post(f"/v1/deliveries/{delivery}/cancel")).json()
        assert [call["outcome"] for call in shown["attempts"]] == ["permanent"]
        assert [(entry["event"], entry["state"]) for entry in shown["trace"]] == [
            ("created", "queued"),
            ("attempt", "sending"),
            ("ended", "failed"),
            ("retried", "queued"),
            ("ended", "cancelled"),
        ]
        assert "a…@example.com: permanent (The mailbox is full.)" in shown["trace"][1]["reason"]
        assert [entry["reason"] for entry in shown["trace"][2:]] == [
            "The mailbox is full.",
            None,
            "Cancelled by an operator.",
        ]

    async def test_promote_and_reschedule(self, client: httpx2.AsyncClient, api: Api, queue: SqlDeliveryQueue) -> None:
        [delivery] = await publish(client)
        now, later = api.clock.now(), rfc3339(api.clock.now() + HOUR)
        moved = await client.patch(f"/v1/deliveries/{delivery}", json={"due_at": later, "priority": "high"})
        assert (moved.json()["due_at"], moved.json()["priority"]) == (later, "high")
        promoted = await client.post(f"/v1/deliveries/{delivery}/promote")
        assert promoted.json()["due_at"] == rfc3339(now)
        past = await client.patch(f"/v1/deliveries/{delivery}", json={"due_at": rfc3339(now - 1), "priority": "normal"})
        assert past.json()["due_at"] == rfc3339(now)
        assert len(await queue.claim(EMAIL, now, LEASE, 1)) == 1

    async def test_what_is_being_sent_is_left_alone(
        self, client: httpx2.AsyncClient, api: Api, queue: SqlDeliveryQueue
    ) -> None:
        [delivery] = await publish(client)
        await claim(api, queue)
        later = rfc3339(api.clock.now() + HOUR)
        for method, path, body in (
            ("POST", "/cancel", None),
            ("POST", "/promote", None),
            ("POST", "/retry", None),
            ("PATCH", "", {"due_at": later}),
        ):
            refused = await client.request(method, f"/v1/deliveries/{delivery}{path}", json=body)
            assert "sending" in problem(refused, 409, "state-conflict")["detail"]

    async def test_only_what_is_dead_is_retried(self, client: httpx2.AsyncClient) -> None:
        [delivery] = await publish(client)
        told = problem(await client.post(f"/v1/deliveries/{delivery}/retry"), 409, "state-conflict")["detail"]
        assert "not dead" in told
        assert (await client.post(f"/v1/deliveries/{delivery}/cancel")).json()["state"] == "cancelled"
        assert (await client.post(f"/v1/deliveries/{delivery}/cancel")).status_code == 200, "repeating it is safe"
        for act in ("retry", "promote"):
            problem(await client.post(f"/v1/deliveries/{delivery}/{act}"), 409, "state-conflict")

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "$"),
            ({"due_at": "soon"}, "$.due_at"),
            ({"due_at": "2026-01-31T12:00:00Z"}, "$.due_at"),
            ({"due_at": "2029-01-31T12:00:00Z"}, "$.due_at"),
            ({"priority": "urgent"}, "$.priority"),
            ({"address": "b@example.com"}, "$.address"),
            ({"state": "sent"}, "$.state"),
        ],
    )
    async def test_bad_changes(self, client: httpx2.AsyncClient, body: object, pointer: str) -> None:
        [delivery] = await publish(client)
        problem(await client.patch(f"/v1/deliveries/{delivery}", json=body), 422, "invalid-request", pointer)

    async def test_an_address_can_be_corrected(self, client: httpx2.AsyncClient) -> None:
        [delivery] = await publish(client, recipients=[{"email": "wrong@example.com"}], inbox=False, fallback=None)
        path = f"/v1/deliveries/{delivery}"
        corrected = await client.patch(path, json={"address": "right@example.com"})
        assert corrected.json()["recipient"] == "right@example.com"
        problem(await client.patch(path, json={"address": "right"}), 422, "invalid-request", "$.address")

    @pytest.mark.parametrize("act", ["", "/retry", "/promote", "/cancel"])
    @pytest.mark.parametrize("headers", [PUBLISHER, ACME])
    async def test_what_there_is_not(self, client: httpx2.AsyncClient, act: str, headers: dict[str, str]) -> None:
        [delivery] = await publish(client)
        method = "POST" if act else "GET"
        for identifier in ("x", str(uuid4()), *([delivery] if headers is ACME else [])):
            answer = await client.request(method, f"/v1/deliveries/{identifier}{act}", headers=headers)
            problem(answer, 404, "not-found")


class TestReplay:
    async def test_by_filter_in_bounded_calls_that_can_be_gone_on_with(
        self, client: httpx2.AsyncClient, api: Api, queue: SqlDeliveryQueue
    ) -> None:
        await publish(client, *"abcde")
        dead = [await die(api, queue, "Full." if number < 4 else "Unknown.") for number in range(5)]
        api.clock.advance(1)
        body = {"channel": "email", "provider": "smtp", "reason": "full", "limit": 3}
        counted = await client.post("/v1/deliveries/replay", json=body | {"dry_run": True, "limit": 100})
        assert counted.json() == {"replayed": 4, "dry_run": True, "has_more": False, "next": None}
        first = (await client.post("/v1/deliveries/replay", json=body)).json()
        assert (first["replayed"], first["has_more"]) == (3, True)
        second = (await client.post("/v1/deliveries/replay", json=body | {"after": first["next"]})).json()
        assert (second["replayed"], second["has_more"]) == (1, False)
        assert [await state(client, each) for each in dead] == ["queued"] * 4 + ["failed"]
        everything = (await client.post("/v1/deliveries/replay")).json()
        assert (everything["replayed"], everything["has_more"]) == (1, False)
        assert (await client.post("/v1/deliveries/replay", headers=ACME)).json()["replayed"] == 0

    async def test_in_a_range_of_time(self, client: httpx2.AsyncClient, api: Api, queue: SqlDeliveryQueue) -> None:
        await publish(client, *"abc")
        ends = []
        for _ in range(3):
            await die(api, queue)
            ends.append(rfc3339(api.clock.now()))
        body = {"failed_after": ends[1], "failed_before": ends[2]}
        assert (await client.post("/v1/deliveries/replay", json=body)).json()["replayed"] == 1

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"channel": "fax"}, "$.channel"),
            ({"limit": 0}, "$.limit"),
            ({"limit": 10_001}, "$.limit"),
            ({"failed_after": "x"}, "$.failed_after"),
            ({"failed_before": "x"}, "$.failed_before"),
            ({"user": ""}, "$.user"),
            ({"notification": "x"}, "$.notification"),
            ({"reason": "\x00"}, "$.reason"),
            ({"provider": "x" * 201}, "$.provider"),
            ({"after": "x"}, "after"),
            ({"after": "WyJhIl0"}, "$.after"),
            ({"state": "sent"}, "$.state"),
        ],
    )
    async def test_bad_replays(self, client: httpx2.AsyncClient, body: object, pointer: str) -> None:
        problem(await client.post("/v1/deliveries/replay", json=body), 422, "invalid-request", pointer)


class TestDryRun:
    async def run(self, client: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
        body = {"recipients": ["ada"], "title": "t"} | fields
        answer = await client.post("/v1/notifications?dry_run=true", json=body)
        assert answer.status_code == 200, answer.text
        out: dict[str, Any] = answer.json()
        return out

    async def test_tells_what_would_happen_and_stores_nothing(self, client: httpx2.AsyncClient, api: Api) -> None:
        now = api.clock.now()
        sign = WorkerSign(uuid4(), now, {Channel.EMAIL: "smtp", Channel.PUSH: "fcm"})
        await SqlWorkerReports(api.database).report(sign, {}, now)
        await client.put("/v1/users/ada", json={"email": "ada@example.com"})
        plan = [
            {"channel": "push", "after": "1m"},
            {"channel": "email", "after": "5m", "unless": "read"},
            {"channel": "email", "after": "1h", "unless": None},
            {"channel": "sms", "after": "2h"},
        ]
        out = await self.run(client, recipients=["ada", "grace"], fallback=plan, expires_at=rfc3339(now + 90 * 60_000))
        ada, grace = out["recipients"]
        assert (ada["recipient"], ada["inbox"], ada["attention"]) == ("ada", True, "offline")
        assert [(step["decision"], step["due_at"], step["provider"]) for step in ada["steps"]] == [
            ("skip", rfc3339(now + 60_000), "fcm"),
            ("send", rfc3339(now + 60_000), "smtp"),
            ("send", rfc3339(now + HOUR), "smtp"),
            ("expire", rfc3339(now + 2 * HOUR), None),
        ]
        assert [step["reason"] for step in ada["steps"]] == [
            "The recipient has no device registered for push.",
            "Pulled forward, as the step before cannot be sent. Sent, unless the user has it read by then.",
            "Sent, whatever the user does.",
            "The notification expires before this step is due.",
        ]
        assert ada["steps"][1]["endpoints"] == ["a…@example.com"]
        assert [step["decision"] for step in grace["steps"]] == ["skip", "skip", "skip", "skip"]
        assert out["audience"] is None
        count = await client.get("/v1/inbox/count", headers=api.user("ada"))
        assert count.json()["unread_count"] == 0
        assert (await client.get("/v1/deliveries")).json()["data"] == []

    async def test_waits_for_who_is_looking(self, client: httpx2.AsyncClient, api: Api) -> None:
        sign = PresenceEntry(InboxKey("default", "ada"), "c", Attention.ACTIVE)
        await api.presence.refresh([sign], api.clock.now())
        await client.put("/v1/users/ada", json={"email": "ada@example.com"})
        out = await self.run(client, fallback=[{"channel": "email", "when": "offline"}])
        [step] = out["recipients"][0]["steps"]
        assert step["decision"] == "wait"
        assert "offline" in step["reason"]

    async def test_tells_of_an_audience_as_a_whole(self, client: httpx2.AsyncClient) -> None:
        out = await self.run(client, recipients={"topic": "news"}, fallback=[{"channel": "email", "after": 60}])
        assert out["recipients"] == []
        [step] = out["audience"]
        assert step["decision"] == "expand"
        assert "No worker has reported" in step["reason"]

    async def test_says_that_a_channel_has_no_provider(self, client: httpx2.AsyncClient, api: Api) -> None:
        sign = WorkerSign(uuid4(), api.clock.now(), {})
        await SqlWorkerReports(api.database).report(sign, {}, api.clock.now())
        plan = [{"channel": "email"}]
        [step] = (await self.run(client, recipients={"broadcast": True}, fallback=plan))["audience"]
        assert (step["decision"], step["provider"]) == ("skip", None)
        out = await self.run(client, recipients=[{"email": "a@b.example"}], inbox=False)
        assert out["recipients"][0]["attention"] is None
        assert out["recipients"][0]["steps"][0]["reason"] == "No provider is set up for the channel email."

    async def test_without_a_plan_there_is_the_inbox(self, client: httpx2.AsyncClient) -> None:
        out = await self.run(client)
        assert out["recipients"] == [{"recipient": "ada", "inbox": True, "attention": "offline", "steps": []}]

    async def test_bad_input_is_told_as_always(self, client: httpx2.AsyncClient) -> None:
        body = {"recipients": ["ada"], "title": "t", "fallback": [{"channel": "fax"}]}
        dry = await client.post("/v1/notifications?dry_run=true", json=body)
        problem(dry, 422, "invalid-request", "$.fallback[0].channel")
        odd = await client.post("/v1/notifications?dry_run=maybe", json=body)
        problem(odd, 422, "invalid-request", "dry_run")
        problem(await client.post("/v1/notifications?dry=true", json=body), 422, "invalid-request", "dry")

    async def test_is_not_what_an_idempotency_key_remembers(self, client: httpx2.AsyncClient) -> None:
        key = {"Idempotency-Key": "once"}
        body = {"recipients": ["ada"], "title": "t"}
        dry = await client.post("/v1/notifications?dry_run=true", json=body, headers=key)
        wet = await client.post("/v1/notifications?dry_run=false", json=body, headers=key)
        assert (dry.status_code, wet.status_code) == (200, 201)
        assert "idempotent-replayed" not in wet.headers


class TestDryRunOfMany:
    async def run(self, client: httpx2.AsyncClient, *items: object, **headers: str) -> httpx2.Response:
        return await client.post("/v1/notifications/batch?dry_run=true", json={"notifications": items}, headers=headers)

    async def test_tells_of_each_by_itself_and_stores_nothing(self, client: httpx2.AsyncClient, api: Api) -> None:
        plan = [{"channel": "email", "after": 60}]
        good = {"recipients": ["ada", "grace"], "title": "t", "fallback": plan, "idempotency_key": "once"}
        await client.put("/v1/users/grace", json={"email": "grace@example.com"})
        answer = await self.run(
            client,
            good,
            {"recipients": ["ada"], "title": "t", "fallback": [{"channel": "fax"}]},
            {"title": "for nobody"},
            {"recipients": ["ada"], "title": "t", "idempotency_key": "no spaces"},
            {"recipients": {"broadcast": True}, "title": "t", "fallback": plan},
        )
        assert answer.status_code == 200, answer.text
        told, channel, malformed, key, shared = answer.json()["results"]
        alone = await client.post(
            "/v1/notifications?dry_run=true", json={name: value for name, value in good.items() if name[0] != "i"}
        )
        assert told == {"status": 200, "rehearsal": alone.json()}
        decisions = [step["decision"] for each in told["rehearsal"]["recipients"] for step in each["steps"]]
        assert decisions == ["skip", "send"]
        assert (channel["status"], channel["problem"]["pointer"]) == (422, "$.notifications[1].fallback[0].channel")
        assert (malformed["status"], malformed["problem"]["pointer"]) == (422, "$.notifications[2].recipients")
        assert (key["status"], key["problem"]["pointer"]) == (422, "$.notifications[3].idempotency_key")
        assert [step["decision"] for step in shared["rehearsal"]["audience"]] == ["expand"]
        assert (await client.get("/v1/deliveries")).json()["data"] == []
        assert (await api.hub.inbox.count(InboxKey("default", "ada"))).unread_count == 0
        [wet] = (await client.post("/v1/notifications/batch", json={"notifications": [good]})).json()["results"]
        assert (wet["status"], "replayed" in wet) == (201, False)

    async def test_is_bounded_as_a_publish_is(self, client: httpx2.AsyncClient) -> None:
        items = [{"recipients": [f"user-{n}-{m}" for m in range(501)], "title": "t"} for n in range(2)]
        problem(await self.run(client, *items), 422, "invalid-request", "$.notifications")
        problem(await self.run(client), 422, "invalid-request", "$.notifications")
        refused = await self.run(client, *items[:1], **{"Idempotency-Key": "no spaces"})
        problem(refused, 422, "invalid-request", "Idempotency-Key")
        odd = await client.post("/v1/notifications/batch?dry_run=1", json={"notifications": items[:1]})
        problem(odd, 422, "invalid-request", "dry_run")

    async def test_of_an_event(self, client: httpx2.AsyncClient) -> None:
        event = {"event_id": "e-1", "event_type": "order.shipped", "recipient_id": "ada", "channels": ["email", "sms"]}
        dry = await client.post("/v1/events?dry_run=true", json=event)
        assert dry.status_code == 200, dry.text
        [ada] = dry.json()["recipients"]
        assert (ada["recipient"], ada["inbox"]) == ("ada", False)
        assert [(step["channel"], step["decision"]) for step in ada["steps"]] == [("email", "skip"), ("sms", "skip")]
        bad = await client.post("/v1/events?dry_run=true", json=event | {"channels": ["fax"]})
        problem(bad, 422, "invalid-request", "$.channels[0]")
        problem(await client.post("/v1/events?dry=true", json=event), 422, "invalid-request", "dry")
        wet = await client.post("/v1/events", json=event)
        assert (wet.status_code, "idempotent-replayed" in wet.headers) == (201, False)
