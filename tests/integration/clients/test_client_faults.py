"""The Python clients when calls break on the way: what is published is published once."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from hub.client import (
    AsyncBellwire,
    Bellwire,
    NotFound,
    Notification,
    Patience,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from hub.core.errors import PROBLEM_BASE, ConfigurationError
from tests.support.asgi_servers import API_KEY, ServedHub
from tests.support.clients import QUICK, Async, Blocking, Client, inbox, publisher
from tests.support.http_fake import HttpFake, closed_port
from tests.support.proxy import Proxy, Weather, proxy_to

PUBLISHED = {"id": "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a90", "recipients": 1, "deliveries": 0}


class Swallow(Weather):
    """Lets the hub answer, and breaks the connection at the first byte of it; so many times."""

    def __init__(self, times: int) -> None:
        super().__init__(random.Random(0))
        self.left = times

    def bytes_to_live(self) -> int | None:
        self.left -= 1
        return 1 if self.left >= 0 else None


@asynccontextmanager
async def through(proxy: Proxy, driver: str, patience: Patience = QUICK) -> AsyncIterator[Client]:
    async with publisher(driver, f"http://127.0.0.1:{proxy.port}", API_KEY, patience) as client:
        yield client


async def _titles(hub: ServedHub, user: str) -> list[str]:
    async with inbox("asyncio", hub.url, hub.token(user)) as client:
        return [item.title for item in await client.all("items")]


async def test_an_answer_that_got_lost_is_given_again(hub: ServedHub, driver: str) -> None:
    user = hub.user()
    async with proxy_to(hub.port, Swallow(3)) as proxy, through(proxy, driver) as client:
        published = await client.call("publish", [user], title="once")
    assert published.replayed
    assert await _titles(hub, user) == ["once"]


async def test_a_batch_whose_answer_got_lost(hub: ServedHub, driver: str) -> None:
    user = hub.user()
    wanted = [Notification(recipients=[user], title=f"{n:04}") for n in range(1_003)]
    async with proxy_to(hub.port, Swallow(1)) as proxy, through(proxy, driver) as client:
        results = await client.all("publish_many", wanted)
    assert [result.replayed for result in results] == [True] * 1_000 + [False] * 3
    assert sorted(await _titles(hub, user)) == [each.title for each in wanted]


async def test_bad_weather(hub: ServedHub, driver: str) -> None:
    """Half of all connections break at any byte; every notification is there once."""
    user, weather = hub.user(), Weather(random.Random(7))
    weather.cut = 0.5
    patient = Patience(attempts=40, first_wait=0.001, longest_wait=0.01)
    async with proxy_to(hub.port, weather) as proxy:
        for number in range(12):
            async with through(proxy, driver, patient) as client:  # connections anew: more weather
                await client.call("publish", [user], title=f"{number}")
    assert sorted(await _titles(hub, user), key=int) == [str(number) for number in range(12)]


async def test_what_must_not_be_doubled_is_told_instead(hub: ServedHub, driver: str) -> None:
    async with proxy_to(hub.port, Swallow(1)) as proxy, through(proxy, driver) as client:
        with pytest.raises(Unreachable) as lost:
            await client.call("empty_queue", "push")
        assert lost.value.sent
        assert (await client.call("empty_queue", "push")).cancelled == 0


async def test_nobody_there(driver: str) -> None:
    with closed_port() as port:
        async with publisher(driver, f"http://127.0.0.1:{port}", API_KEY) as client:
            with pytest.raises(Unreachable, match="6 attempts") as lost:
                await client.call("publish", ["ada"], title="t")
    assert not lost.value.sent


async def test_somebody_who_says_nothing(driver: str) -> None:
    fake = HttpFake()
    fake.silent.add("/v1/deliveries/replay")
    with fake.running():
        async with publisher(driver, fake.url, API_KEY, Patience(attempts=3, timeout=0.05)) as client:
            with pytest.raises(Unreachable, match="ReadTimeout") as lost:
                await client.call("request", "POST", "/v1/deliveries/replay", json={})
    assert lost.value.sent
    assert len(fake.requests) == 1


class Script:
    """Answers as it is told, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def scripted(driver: str, script: Script, patience: Patience = QUICK) -> AsyncIterator[Client]:
    transport = httpx2.MockTransport(script)
    client: Client = (
        Blocking(Bellwire("http://hub.example", API_KEY, patience=patience, transport=transport))
        if driver == "blocking"
        else Async(AsyncBellwire("http://hub.example", API_KEY, patience=patience, transport=transport))
    )
    yield client
    await client.close()


def _busy(status: int = 429, after: str = "0") -> httpx2.Response:
    return httpx2.Response(status, headers={"Retry-After": after}, text="slow down")


async def test_who_is_asked_to_wait_waits_and_repeats_the_very_same(driver: str) -> None:
    script = Script(_busy(), httpx2.ReadError("broken"), _busy(503), _busy(502), httpx2.Response(201, json=PUBLISHED))
    async with scripted(driver, script) as client:
        assert (await client.call("publish", ["ada"], title="t")).id == PUBLISHED["id"]
    assert len(script.asked) == 5
    assert len({request.headers["Idempotency-Key"] for request in script.asked}) == 1
    assert len({request.content for request in script.asked}) == 1
    assert script.asked[0].headers["Authorization"] == f"Bearer {API_KEY}"


async def test_nobody_waits_for_an_hour(driver: str) -> None:
    problem = {"type": PROBLEM_BASE + "unavailable", "title": "t", "status": 503, "detail": "full"}
    script = Script(httpx2.Response(503, headers={"Retry-After": "3600"}, json=problem))
    async with scripted(driver, script) as client:
        with pytest.raises(Unavailable) as refused:
            await client.call("publish", ["ada"], title="t")
    assert refused.value.retry_after == 3600


async def test_results_without_room_are_repeated_with_their_call(driver: str) -> None:
    stored = {"status": 201, "id": PUBLISHED["id"], "recipients": 1, "deliveries": 0}
    full = {"status": 503, "problem": {"type": PROBLEM_BASE + "unavailable", "title": "t", "status": 503}}
    script = Script(
        httpx2.Response(200, json={"results": [stored, full]}),
        httpx2.Response(200, json={"results": [stored | {"replayed": True}, stored]}),
    )
    async with scripted(driver, script) as client:
        results = await client.all("publish_many", [Notification(recipients=["ada"], title="t")] * 2)
    assert [result.status for result in results] == [201, 201]
    assert script.asked[0].content == script.asked[1].content


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx2.Response(301, headers={"Location": "http://elsewhere.example/"}),
        lambda: httpx2.Response(200, text="<html>Welcome to nginx"),
        lambda: httpx2.Response(404, text="<html>Not found"),
        lambda: httpx2.Response(201, json={"id": 7}),
        lambda: httpx2.Response(201, content=b"\x1f\x8b", headers={"X": "y"}),
    ],
    ids=["redirect", "a page", "no page", "another shape", "rubbish"],
)
async def test_somebody_else_answers(driver: str, answer: Callable[[], httpx2.Response]) -> None:
    script = Script(answer())
    async with scripted(driver, script) as client:
        with pytest.raises(UnexpectedAnswer) as told:
            await client.call("publish", ["ada"], title="t")
    assert API_KEY not in str(told.value)
    assert len(script.asked) == 1


async def test_what_comes_before_a_broken_call_was_given() -> None:
    stored = {"status": 201, "id": PUBLISHED["id"], "recipients": 1, "deliveries": 0}
    gone = {"type": PROBLEM_BASE + "not-found", "title": "t", "status": 404}
    script = Script(httpx2.Response(200, json={"results": [stored] * 1_000}), httpx2.Response(404, json=gone))
    async with AsyncBellwire("http://hub.example", API_KEY, transport=httpx2.MockTransport(script)) as bellwire:
        results = bellwire.publish_many([Notification(recipients=["ada"], title="t")] * 1_001)
        given = [await anext(results) for _ in range(1_000)]
        with pytest.raises(NotFound):
            await anext(results)
    assert len(given) == 1_000


def test_a_wrong_setup_is_told_at_once() -> None:
    for arguments in (("ftp://x", "key"), ("http://x", ""), ("http://x", "two words")):
        with pytest.raises(ConfigurationError):
            Bellwire(*arguments)
        with pytest.raises(ConfigurationError):
            AsyncBellwire(*arguments)
