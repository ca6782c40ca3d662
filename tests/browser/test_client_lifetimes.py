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
from tests.support.scripted_hub import Link, ScriptedHub

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


async def failure(page: Page) -> None:
    """Wait until the client has told of one."""
    async with asyncio.timeout(PATIENCE):
        await page.evaluate(
            "failures.length || new Promise((on) => client.addEventListener('failure', on, { once: true }))"
        )


async def turned_away(hub: ScriptedHub) -> str:
    async with asyncio.timeout(PATIENCE):
        return await hub.turned_away.get()
