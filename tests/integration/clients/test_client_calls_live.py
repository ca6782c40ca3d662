"""The Python clients against a hub that runs: every call on both drivers."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import AsyncIterator

import pytest

from hub.client import (
    AddressIn,
    AudienceIn,
    EventIn,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Notification,
    PublishIn,
    ScheduleIn,
    SchedulePatchIn,
    StateConflict,
    StepIn,
    Unauthenticated,
)
from hub.client.operating import queues
from hub.core.errors import NotBuilt
from hub.core.wire.queues import DeliveryPatchIn, ReplayIn
from tests.support.asgi_servers import API_KEY, ServedHub
from tests.support.clients import Client, inbox, publisher

_numbers = itertools.count()


@pytest.fixture
async def bellwire(hub: ServedHub, driver: str) -> AsyncIterator[Client]:
    async with publisher(driver, hub.url, API_KEY) as client:
        yield client


@pytest.fixture
def ada(hub: ServedHub) -> str:
    return hub.user()


@pytest.fixture
async def adas(hub: ServedHub, driver: str, ada: str) -> AsyncIterator[Client]:
    async with inbox(driver, hub.url, hub.token(ada)) as client:
        yield client


async def test_a_notification_from_publish_to_recall(bellwire: Client, adas: Client, ada: str) -> None:
    plan = [StepIn("email", "15m", unless="read")]
    done = await bellwire.call("publish", [ada], title="Shipped", data={"order": 7}, fallback=plan)
    assert (done.recipients, done.deliveries, done.replayed) == (1, 1, False)
    status = await bellwire.call("notification", done.id)
    assert (status.title, status.data, status.recipients[0].user) == ("Shipped", {"order": 7}, ada)
    [item] = (await adas.call("page")).data
    assert (item.id, item.data, item.actor) == (done.id, {"order": 7}, None)
    assert await bellwire.call("recall", done.id) is None
    assert (await adas.call("count")).unread_count == 0


async def test_a_key_of_ones_own_gets_the_first_answer(bellwire: Client, ada: str) -> None:
    key = f"order-{next(_numbers)}"
    first = await bellwire.call("publish", [ada], title="t", idempotency_key=key)
    again = await bellwire.call("publish", [ada], title="t", idempotency_key=key)
    assert (again.id, again.replayed) == (first.id, True)
    with pytest.raises(IdempotencyConflict):
        await bellwire.call("publish", [ada], title="other", idempotency_key=key)


async def test_without_one_two_publishes_are_two(bellwire: Client, adas: Client, ada: str) -> None:
    ids = {(await bellwire.call("publish", [ada], title="t")).id for _ in range(2)}
    assert {item.id for item in await adas.all("items")} == ids


async def test_many_in_several_calls_with_a_result_for_each(bellwire: Client, adas: Client, ada: str) -> None:
    wanted = [Notification(recipients=[ada], title=f"{n}") for n in range(1_050)]
    wanted[7] = Notification(recipients=[ada], title="")
    wanted[1_040] = Notification(recipients=[ada], title="keyed", idempotency_key=f"many-{next(_numbers)}")
    results = await bellwire.all("publish_many", wanted)
    assert [place for place, result in enumerate(results) if result.status != 201] == [7]
    assert results[7].problem.pointer == "$.notifications[7].title"
    assert (await adas.call("count")).unread_count == 1_049
    assert len(await adas.all("items", status="unread")) == 1_049
    [again] = await bellwire.all("publish_many", [wanted[1_040]])
    assert (again.id, again.replayed) == (results[1_040].id, True)
    assert await bellwire.all("publish_many", []) == []


async def test_events_and_rehearsals(bellwire: Client, adas: Client, ada: str) -> None:
    event = EventIn(event_id=f"e-{next(_numbers)}", event_type="order.shipped", recipient_id=ada, data={"title": "Yes"})
    first, again = [await bellwire.call("publish_event", event) for _ in range(2)]
    assert (first.id, first.replayed, again.replayed) == (again.id, False, True)
    rehearsal = await bellwire.call("rehearse", Notification(recipients=[ada], title="t", fallback=[StepIn("email")]))
    assert rehearsal.recipients[0].steps[0].decision in {"skip", "send"}
    assert (await adas.call("count")).unread_count == 1, "nothing of it was stored"


async def test_people_whose_ids_would_be_paths(bellwire: Client) -> None:
    for user in (f"team/7?{next(_numbers)}", "..", "%2e%2e", "ü #1"):
        contact = await bellwire.call("put_user", user, email="ada@example.com", name="Ada")
        assert (contact.user, contact.email) == (user, "ada@example.com")
        device = await bellwire.call("add_device", user, "token-of-a-phone-1234")
        assert [each.id for each in (await bellwire.call("devices", user)).data] == [device.id]
        await bellwire.call("remove_device", user, device.id)
        assert (await bellwire.call("user", user)).devices == []
        assert (await bellwire.call("presence", user)).connections == 0
        assert (await bellwire.call("export_user", user))["user"] == user
        assert (await bellwire.call("disconnect", user)).issued_before is None
        await bellwire.call("erase_user", user)
        with pytest.raises(NotFound):
            await bellwire.call("user", user)


async def test_topics(bellwire: Client, ada: str) -> None:
    topic, users = f"topic-{next(_numbers)}", {f"{ada}-{n}" for n in range(1_003)}
    assert (await bellwire.call("join_topic", topic, users)).changed == 1_003
    assert await bellwire.all("members", topic) == sorted(users), "page by page"
    assert (await bellwire.call("members_page", topic, limit=2)).has_more
    assert (await bellwire.call("topics_of", f"{ada}-7")).data == [topic]
    assert (await bellwire.call("publish", AudienceIn(topic=topic), title="t")).recipients is None
    assert (await bellwire.call("leave_topic", topic, users)).changed == 1_003


async def test_marks(bellwire: Client, adas: Client, ada: str) -> None:
    ids = [(await bellwire.call("publish", [ada], title=title, category="marks")).id for title in "abc"]
    assert (await adas.call("mark_delivered", ids)).unread_count == 3
    assert (await adas.call("mark_seen", all=True)).unseen_count == 0
    assert (await adas.call("mark_read", ids[:1])).changed == 1
    assert (await adas.call("mark_unread", ids[:1])).unread_count == 3
    through = (await adas.call("count")).cursor
    assert (await adas.call("mark_read", all=True, through=through)).unread_count == 0
    assert (await adas.call("archive", ids[1:])).changed == 2
    assert {item.id for item in await adas.all("items", archived=True)} == set(ids[1:])
    assert (await adas.call("unarchive", ids[1:])).changed == 2
    assert (await adas.call("snooze", ids[:1], _tomorrow())).changed == 1
    assert (await adas.call("item", ids[0])).snoozed_until is not None
    with pytest.raises(InvalidRequest):
        await adas.call("mark_read")


async def test_queues_and_deliveries(bellwire: Client) -> None:
    address = f"{next(_numbers)}@example.com"
    paused = await bellwire.call("pause_queue", "email")
    assert (paused.channel, paused.paused) == ("email", True)
    published = await bellwire.call("publish", [AddressIn(email=address)], title="t", inbox=False)
    [row] = await bellwire.all("deliveries", notification=published.id)
    assert (row.recipient, row.state) == (address, "queued")
    page = await bellwire.call("deliveries_page", channel="email", state="queued", limit=1)
    assert len(page.data) == 1
    changed = await bellwire.call("change_delivery", row.id, DeliveryPatchIn(priority="high"))
    assert changed.priority == "high"
    assert (await bellwire.call("act_on_delivery", row.id, "promote")).state == "queued"
    assert (await bellwire.call("act_on_delivery", row.id, "cancel")).state == "cancelled"
    with pytest.raises(StateConflict, match="cancelled"):
        await bellwire.call("act_on_delivery", row.id, "retry")
    assert (await bellwire.call("delivery", row.id)).trace
    assert not (await bellwire.call("empty_queue", "email")).more
    assert (await bellwire.call("replay", ReplayIn(dry_run=True))).dry_run
    assert (await bellwire.call("resume_queue", "email")).paused is False
    assert (await bellwire.call("queue", "email")).channel == "email"
    assert "email" in {queue.channel for queue in (await bellwire.call("queues")).data}


async def test_schedules(bellwire: Client, adas: Client, ada: str) -> None:
    daily = ScheduleIn(notification=PublishIn(recipients=[ada], title="Stand-up"), cron="0 9 * * *", name="daily")
    made = await bellwire.call("create_schedule", daily)
    assert (made.state, made.cron) == ("active", "0 9 * * *")
    assert made.id in {each.id for each in await bellwire.all("schedules")}
    assert len((await bellwire.call("next_runs", made.id, count=3)).data) == 3
    assert (await bellwire.call("pause_schedule", made.id)).state == "paused"
    assert (await bellwire.call("resume_schedule", made.id)).state == "active"
    assert (await bellwire.call("change_schedule", made.id, SchedulePatchIn(name="weekly"))).name == "weekly"
    ran = await bellwire.call("run_schedule", made.id)
    assert [item.id for item in await adas.all("items")] == [ran.id]
    status = await bellwire.call("schedule", made.id)
    assert (status.notification["title"], status.runs[0].by_hand) == ("Stand-up", True)
    await bellwire.call("delete_schedule", made.id)
    with pytest.raises(NotFound):
        await bellwire.call("schedule", made.id)


async def test_what_has_no_method_yet(bellwire: Client) -> None:
    assert (await bellwire.call("request", "GET", "/v1/queues"))["data"]
    with pytest.raises(NotFound):
        await bellwire.call("request", "POST", "/v1/of-tomorrow", json={"a": 1})
    assert await bellwire.call("request", "DELETE", "/v1/users/nobody") is None
    key = f"request-{next(_numbers)}"
    body = b'{"recipients": ["grace"], "title": "t"}'
    first, again = [
        await bellwire.call("request", "POST", "/v1/notifications", content=body, idempotency_key=key) for _ in range(2)
    ]
    assert first == again


async def test_refusals_are_raised_by_their_type(bellwire: Client, adas: Client, hub: ServedHub, driver: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await bellwire.call("publish", [], title="t")
    assert (refused.value.status, refused.value.pointer) == (422, "$.recipients")
    with pytest.raises(NotBuilt):
        await bellwire.call("publish", ["ada"], title="t", template="x")
    with pytest.raises(NotFound):
        await bellwire.call("notification", "not-a-uuid")
    with pytest.raises(Forbidden):
        await adas.call("send", queues())
    async with publisher(driver, hub.url, "not-the-key") as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.call("queues")
    with pytest.raises(NotFound):
        await bellwire.call("queue", "pigeon")
    with pytest.raises(InvalidRequest):
        await bellwire.call("publish", ["\x00"], title="t")


def _tomorrow() -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
