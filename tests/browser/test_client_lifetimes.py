"""What the client does when a token ends or is revoked, and when a hub has no room or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.test_client import until
from tests.support.listener import PATIENCE
from tests.support.scripted_hub import COUNTS, Link, ScriptedHub

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = """async ([rung, tokens]) => {
  Math.random = () => 0; // no jitter
  const { BellwireClient } = await import('/static/client.js');
  window.asked = 0;
  const token = () => {
    const next = tokens[Math.min(window.asked++, tokens.length - 1)];
    if (next === null) throw new Error('no token now');
    return next;
  };
  const client = new BellwireClient({ token, rung });
  window.client = client;
  window.failures = [];
  client.addEventListener('failure', ({ detail }) => window.failures.push(detail.code));
  client.start();
}"""

ITEM = {
    "id": "i", "version": 1, "category": "c", "title": "t", "body": "", "action_url": None, "data": None, "actor": None,
    "priority": "normal", "created_at": "2027-01-15T08:00:00.000Z", "appeared_at": "2027-01-15T08:00:00.000Z",
    "expires_at": None, "seen_at": None, "read_at": None, "archived_at": None, "snoozed_until": None,
}  # fmt: skip

WEBSOCKET, SSE = 0, 1
both = pytest.mark.parametrize("rung", [WEBSOCKET, SSE], ids=["websocket", "sse"])


@pytest_asyncio.fixture(loop_scope="module")
async def hub() -> AsyncIterator[ScriptedHub]:
    hub = ScriptedHub()
    async with hub.serving():
        yield hub


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, hub: ScriptedHub) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{hub.port}/")
    yield page
    await context.close()


async def start(page: Page, hub: ScriptedHub, rung: int, *tokens: str | None) -> Link:
    """Start a client whose token function gives these, the last one for ever; return its connection."""
    await page.evaluate(START, [rung, tokens])
    link = await hub.link()
    assert link.shown == tokens[0]
    return link


async def online(page: Page, link: Link, cursor: str = "e.1.0") -> None:
    link.ready(cursor)
    await until(page, "client.status === 'online' && client.loaded")


async def test_a_reauth_is_answered_with_a_fresh_token_on_the_same_connection(page: Page, hub: ScriptedHub) -> None:
    link = await start(page, hub, WEBSOCKET, "first", "second")
    await online(page, link)
    link.say("reauth", within_ms=30_000)
    assert (await link.heard("reauth")) == {"type": "reauth", "token": "second"}
    link.say("reauthenticated", expires_in_ms=3_600_000)
    link.say("ping", cursor="e.2.0")
    link.close(4000)
    again = await hub.link()
    assert again.cursor == "e.2.0", "it had gone on"
    assert await page.evaluate("failures") == []


async def test_a_stream_that_cannot_answer_begins_anew_where_it_was(page: Page, hub: ScriptedHub) -> None:
    link = await start(page, hub, SSE, "first", "second", "third")
    await online(page, link, "e.7.0")
    link.say("reauth", within_ms=30_000)
    await link.left()
    again = await hub.link()
    assert (again.shown, again.cursor) == ("second", "e.7.0")
    await online(page, again)
    assert await page.evaluate("[asked, client.transport, failures]") == [2, "sse", []]


@both
async def test_without_a_fresh_token_the_connection_ends_in_its_time(page: Page, hub: ScriptedHub, rung: int) -> None:
    link = await start(page, hub, rung, "first", None, "third")
    await online(page, link, "e.7.0")
    link.say("reauth", within_ms=30_000)
    await failure(page)
    assert await page.evaluate("[client.status, failures]") == ["online", ["unreachable"]]
    link.close(4003)
    again = await hub.link()
    assert (again.shown, again.cursor) == ("third", "e.7.0")


async def test_a_disconnected_client_comes_back_with_a_fresh_token(page: Page, hub: ScriptedHub) -> None:
    link = await start(page, hub, WEBSOCKET, "first", "second")
    await online(page, link)
    link.say("error", code="disconnected", message="by the app")
    link.close(4005)
    assert (await hub.link()).shown == "second"


async def test_a_revoked_token_is_not_shown_again(page: Page, hub: ScriptedHub) -> None:
    link = await start(page, hub, WEBSOCKET, "first")
    await online(page, link)
    link.say("error", code="token_revoked", message="revoked")
    link.close(4102)
    await until(page, "client.status === 'refused'")
    assert await page.evaluate("[asked, failures]") == [2, ["token_revoked", "refused"]]
    assert hub.idle


async def test_a_new_token_is_shown_after_a_revoked_one_but_only_once(page: Page, hub: ScriptedHub) -> None:
    link = await start(page, hub, WEBSOCKET, "first", "second", "third")
    await online(page, link)
    link.close(4102)
    again = await hub.link()
    assert again.shown == "second"
    again.close(4102)
    await until(page, "client.status === 'refused'")
    assert await page.evaluate("asked") == 2
    assert hub.idle


@both
async def test_it_comes_back_after_the_time_that_the_server_gave(page: Page, hub: ScriptedHub, rung: int) -> None:
    await page.clock.install(time=0)
    link = await start(page, hub, rung, "token")
    await online(page, link)
    await page.clock.pause_at(60)
    link.say("reconnect", after_ms=2_000)
    link.say("error", code="told", message="so that the test knows that it has arrived")
    await failure(page)
    await page.clock.run_for(500)
    link.close(4000)
    await until(page, "client.status === 'waiting'")
    assert await page.evaluate("client.retryAt - Date.now()") == 1_500
    await page.clock.run_for(1_499)
    assert await page.evaluate("client.status") == "waiting"
    await page.clock.run_for(1)
    assert (await hub.link()).cursor == "e.1.0"


@both
async def test_it_leaves_at_that_time_even_if_the_server_has_not_hung_up(
    page: Page, hub: ScriptedHub, rung: int
) -> None:
    await page.clock.install(time=0)
    link = await start(page, hub, rung, "token")
    await online(page, link)
    await page.clock.pause_at(60)
    link.say("reconnect", after_ms=2_000)
    link.say("error", code="told", message="so that the test knows that it has arrived")
    await failure(page)
    await page.clock.run_for(2_000)
    await link.left()
    await page.clock.run_for(1)
    assert (await hub.link()).cursor == "e.1.0"


async def test_a_hub_without_room_is_asked_again_when_it_says(page: Page, hub: ScriptedHub) -> None:
    hub.busy = "7"
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    await page.evaluate(START, [SSE, ["token"]])
    for attempt in range(3):  # and it is not taken for a proxy that lets no stream through
        assert await turned_away(hub) == "/v1/sse"
        await until(page, "client.status === 'waiting'")
        wait: Any = await page.evaluate("client.retryAt - Date.now()")
        assert wait == 7_000
        await page.clock.run_for(6_999)
        assert await page.evaluate("client.status") == "waiting"
        hub.busy = "7" if attempt < 2 else ""
        await page.clock.run_for(1)
    await hub.link()
    assert await page.evaluate("client.transport") == "sse"


async def test_the_newest_page_is_asked_for_again_when_the_hub_says(page: Page, hub: ScriptedHub) -> None:
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    link = await start(page, hub, WEBSOCKET, "token")
    hub.busy = "7"
    link.ready()
    assert await turned_away(hub) == "/v1/inbox"
    await failure(page)
    hub.busy = ""
    await page.clock.run_for(6_999)
    assert not await page.evaluate("client.loaded")
    await page.clock.run_for(1)
    await until(page, "client.loaded")


async def test_a_hub_without_room_is_not_taken_for_a_blocked_websocket(page: Page, hub: ScriptedHub) -> None:
    """A browser hides the 503 of a handshake; only the next transport sees it."""
    hub.busy = "7"
    await page.clock.install()
    await page.evaluate(START, [WEBSOCKET, ["token"]])
    assert [await turned_away(hub) for _ in range(3)] == ["/v1/ws", "/v1/ws", "/v1/sse"]
    await until(page, "client.status === 'waiting' && client.transport === 'websocket'")
    hub.busy = ""
    await page.clock.run_for(7_000)
    await hub.link()
    assert await page.evaluate("client.transport") == "websocket"


async def test_the_wait_grows_and_begins_anew_only_after_a_stable_minute(page: Page, hub: ScriptedHub) -> None:
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    await page.evaluate("Math.random = () => 1")
    link = await start(page, hub, WEBSOCKET, "token")
    await page.evaluate("Math.random = () => 1")  # no luck: the longest wait
    waits = []
    for stays in [59_999, 0, 0, 0, 0, 0, 0, 60_000]:
        await online(page, link)
        await page.clock.run_for(stays)
        link.close(1001)
        await until(page, "client.status === 'waiting'")
        waits.append(await page.evaluate("client.retryAt - Date.now()"))
        await page.clock.run_for(waits[-1])
        link = await hub.link()
    assert waits == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 500]


async def test_a_wait_may_be_as_short_as_nothing(page: Page, hub: ScriptedHub) -> None:
    """Full jitter: clients that lost the same node come back all over the time that there is."""
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    link = await start(page, hub, WEBSOCKET, "token")
    for luck in (0, 0.25, 0.5):
        await online(page, link)
        await page.evaluate("(luck) => { Math.random = () => luck; client.stop(); client.start(); }", luck)
        link = await hub.link()
        await online(page, link)
        link.close(1001)
        await until(page, "client.status === 'waiting'")
        assert await page.evaluate("client.retryAt - Date.now()") == 500 * luck
        await page.clock.run_for(500)
        link = await hub.link()


@both
async def test_silence_beyond_two_pings_ends_a_connection(page: Page, hub: ScriptedHub, rung: int) -> None:
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    link = await start(page, hub, rung, "token")
    link.ready("e.3.0", ping_ms=25_000)
    await until(page, "client.status === 'online' && client.loaded")
    await page.clock.run_for(49_999)
    link.say("ping", cursor="e.4.0")
    link.say("error", code="told", message="so that the test knows that it has arrived")
    await failure(page)
    await page.clock.run_for(50_000)
    await link.left()
    await page.clock.run_for(1)
    assert (await hub.link()).cursor == "e.4.0"


async def test_a_proxy_that_swallows_websockets_costs_one_wait_only(page: Page, hub: ScriptedHub) -> None:
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    await start(page, hub, WEBSOCKET, "token")  # and the hub never says ready
    await page.clock.run_for(15_000)
    await until(page, "client.status === 'waiting' && client.transport === 'sse'")


async def test_what_arrives_together_is_acknowledged_together(page: Page, hub: ScriptedHub) -> None:
    await page.clock.install(time=0)
    link = await start(page, hub, WEBSOCKET, "token")
    await online(page, link)
    await page.clock.pause_at(60)
    ids = [f"{number:04}" for number in range(700)]
    for number, id_ in enumerate(ids):
        link.say("item", item={**ITEM, "id": id_, "version": number}, cursor=f"e.{number}.0", counts=COUNTS)
    await until(page, "client.items.length === 700")
    assert link.frames.empty()
    await page.clock.run_for(200)
    frames = [await link.heard("delivered"), await link.heard("delivered")]
    assert [len(frame["ids"]) for frame in frames] == [500, 200]
    assert [id_ for frame in frames for id_ in frame["ids"]] == ids


async def test_a_refused_mark_is_taken_back_and_told(page: Page, hub: ScriptedHub) -> None:
    link = await start(page, hub, WEBSOCKET, "token")
    await online(page, link)
    link.say("item", item={**ITEM, "version": 1}, cursor="e.1.0", counts={"unread": 1, "unseen": 1})
    await until(page, "client.counts.unread === 1")
    await page.evaluate("client.addEventListener('failure', ({ detail }) => (window.told = detail))")
    assert await page.evaluate("client.archive(['i']), [client.items.length, client.counts.unread]") == [0, 0]
    mark = await heard_mark(link, "archive")
    link.say("error", code="invalid_request", message="no", ref=mark["ref"])
    await failure(page)
    assert await page.evaluate("[client.items.length, client.counts.unread]") == [1, 1]
    told = {"code": "invalid_request", "message": "no", "action": "archive", "ids": ["i"]}
    assert await page.evaluate("told") == told


async def test_a_mark_that_cannot_be_stored_now_is_sent_again(page: Page, hub: ScriptedHub) -> None:
    await page.clock.install(time=0)
    link = await start(page, hub, WEBSOCKET, "token")
    await online(page, link)
    link.say("item", item={**ITEM, "version": 1}, cursor="e.1.0", counts={"unread": 1, "unseen": 1})
    await until(page, "client.counts.unread === 1")
    await page.evaluate("client.markRead(['i'])")
    mark = await heard_mark(link, "read")
    link.say("error", code="unavailable", message="not now", ref=mark["ref"])
    for _ in range(3):  # signs of life that say nothing of it
        link.say("ping", cursor="e.1.0", position=0, counts={"unread": 1, "unseen": 1})
    link.say("error", code="told", message="so that the test knows that it has arrived")
    await failure(page)
    assert await page.evaluate("[client.counts.unread, failures]") == [0, ["told"]]
    await page.clock.fast_forward(5_000)
    assert (await heard_mark(link, "read"))["ids"] == ["i"]


async def test_marking_all_names_what_a_page_brought_ahead_of_the_frames(page: Page, hub: ScriptedHub) -> None:
    """The cursor does not cover it yet, so `through` would leave it unread."""
    hub.page = {**hub.page, "data": [ITEM], "unread_count": 1, "unseen_count": 1}
    link = await start(page, hub, WEBSOCKET, "token")
    await online(page, link)
    await page.evaluate("client.markAllRead()")
    assert (await heard_mark(link, "read"))["through"] == "e.1.0"
    assert (await heard_mark(link, "read"))["ids"] == ["i"]


async def heard_mark(link: Link, kind: str) -> dict[str, Any]:
    """Return the next mark, whatever was acknowledged before it."""
    while True:
        async with asyncio.timeout(PATIENCE):
            frame = await link.frames.get()
        if frame["type"] == kind:
            return frame


async def failure(page: Page) -> None:
    """Wait until the client has told of one."""
    async with asyncio.timeout(PATIENCE):
        await page.evaluate(
            "failures.length || new Promise((on) => client.addEventListener('failure', on, { once: true }))"
        )


async def turned_away(hub: ScriptedHub) -> str:
    async with asyncio.timeout(PATIENCE):
        return await hub.turned_away.get()
