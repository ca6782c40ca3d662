"""`client.js` and its parts without the bell, run in the browser by their own addresses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route

from tests.support.demo_page import DemoPage
from tests.support.process import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

VECTORS = Path(__file__).parents[1] / "vectors" / "action-urls.json"

START = """async (rung) => {
  const { BellwireClient } = await import('/static/client.js');
  const { tokenOf } = await import('/static/demo/session.js');
  const client = new BellwireClient({ token: () => tokenOf('ada'), rung, shareConnection: false });
  window.client = client;
  window.failures = [];
  client.addEventListener('failure', ({ detail }) => window.failures.push(detail.code));
  client.start();
}"""


UNTIL = """new Promise((resolve) => {
  const look = () => (%s) && resolve();
  for (const type of ['change', 'status']) %s.addEventListener(type, look);
  look();
})"""

ADAS = "document.querySelector('[data-user=ada] notification-bell').client"
"""The demo page's own client of the same user: another device."""


async def start(page: Page, rung: int) -> None:
    await page.evaluate(START, rung)
    await until(page, "client.status === 'online' && client.loaded")


async def until(page: Page, condition: str, client: str = "client") -> None:
    """Wait for a condition that an event of `client` brings."""
    async with asyncio.timeout(PATIENCE):
        await page.evaluate(UNTIL % (condition, client))


async def state(page: Page) -> Any:
    return await page.evaluate("[client.items.map(({ title }) => title), client.counts]")


START_FRESH = """async (rung) => {
  const { BellwireClient } = await import('/static/client.js');
  const token = async () => {
    const { users } = await (await fetch('/demo/session', { method: 'POST', headers: { 'Content-Type':
      'application/json' }, body: '{}' })).json();
    return users.find(({ user }) => user === 'ada').token;
  };
  const client = new BellwireClient({ token, rung, shareConnection: false });
  window.client = client;
  window.statuses = [];
  client.addEventListener('status', () => window.statuses.push(client.status));
  client.start();
}"""
"""With a token of its own for each connection, as apps that sign them on demand do."""


@pytest.mark.parametrize("rung", [0, 1, 2], ids=["websocket", "sse", "poll"])
async def test_after_a_revocation_a_new_token_is_asked_for(demo: DemoPage, rung: int) -> None:
    """In the second of the revocation no token is good: the client must not give up for that."""
    demo.expects_failures = True
    page = demo.page
    await page.evaluate(START_FRESH, rung)
    await until(page, "client.status === 'online' && client.loaded")
    demo.revoke("ada")
    await until(page, "statuses.includes('waiting')")
    demo.publish("ada", title="After")
    await until(page, "client.status === 'online' && client.items.some(({ title }) => title === 'After')")
    assert "refused" not in await page.evaluate("statuses")


@pytest.mark.parametrize("rung", [0, 1, 2], ids=["websocket", "sse", "poll"])
async def test_every_transport_tells_marks_and_resumes(demo: DemoPage, rung: int) -> None:
    page = demo.page
    demo.publish("ada", title="Before")
    await start(page, rung)
    assert await state(page) == [["Before"], {"unread": 1, "unseen": 1}]

    demo.publish("ada", title="Live")
    await until(page, "client.counts.unread === 2")
    await page.evaluate("client.markRead([client.items[0].id])")
    await until(page, f"{ADAS}.counts.unread === 1", ADAS)

    await page.evaluate("client.stop()")
    demo.publish("ada", title="Missed")
    await page.evaluate("client.archive([client.items[1].id]); client.start()")
    # What was missed comes first, and then with `ready` the counts.
    await until(page, "client.status === 'online' && client.items.length === 2 && client.items[0].title === 'Missed'")
    assert await state(page) == [["Missed", "Live"], {"unread": 1, "unseen": 1}]
    await page.evaluate("client.markAllRead()")
    await until(page, f"{ADAS}.counts.unread === 0", ADAS)
    assert await page.evaluate("failures") == []


async def test_what_comes_while_the_list_is_fetched_is_neither_lost_nor_undone(demo: DemoPage) -> None:
    page = demo.page
    first = demo.publish("ada", title="First")
    fetched, release = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        fetched.set()
        await release.wait()
        await route.fulfill(response=answer)

    await page.route("**/v1/inbox?*", hold)
    await page.evaluate(START, 0)
    await fetched.wait()
    demo.publish("ada", title="Second")
    await page.evaluate(f"(id) => {ADAS}.markRead([id])", first)
    await until(page, "client.counts.unread === 1 && client.items.length === 1")
    release.set()
    await until(page, "client.loaded")
    assert await state(page) == [["Second", "First"], {"unread": 1, "unseen": 1}]
    assert await page.evaluate("client.items.map((item) => item.read_at === null)") == [True, False]


async def test_a_refused_mark_is_taken_back(demo: DemoPage) -> None:
    page = demo.page
    demo.expects_failures = True
    demo.publish("ada", title="Still unread")
    await start(page, 1)

    async def refuse(route: Route) -> None:
        await route.fulfill(status=422, json={"title": "no"})

    await page.route("**/v1/inbox/read", refuse)
    assert await page.evaluate("client.markRead([client.items[0].id]), client.counts.unread") == 0
    await until(page, "client.counts.unread === 1")
    assert await page.evaluate("failures") == ["422"]


async def test_a_blocked_websocket_leads_to_the_next_transport(demo: DemoPage) -> None:
    page = demo.page
    demo.expects_failures = True
    await page.route_web_socket(
        "**/v1/ws", lambda socket: socket.close(code=1011, reason="a proxy that knows only HTTP")
    )
    await start(page, 0)
    assert await page.evaluate("client.transport") == "sse"
    demo.publish("ada", title="Through")
    await until(page, "client.counts.unread === 1")


async def test_older_pages_are_loaded_on_demand(demo: DemoPage) -> None:
    page = demo.page
    for number in range(30):
        demo.publish("ada", title=str(number))
    await start(page, 0)
    assert await page.evaluate("[client.items.length, client.hasMore]") == [25, True]
    await page.evaluate("client.loadMore()")
    assert await page.evaluate("[client.items.length, client.hasMore]") == [30, False]
    assert (await state(page))[0] == [str(number) for number in range(29, -1, -1)]


async def test_links_follow_the_same_rule_as_on_the_server(demo: DemoPage) -> None:
    vectors = json.loads(VECTORS.read_text())
    judge = """async (urls) => {
      const { safeUrl } = await import('/static/safe-url.js');
      return urls.map((url) => safeUrl(url) !== null);
    }"""
    assert await demo.page.evaluate(judge, vectors["accepted"]) == [True] * len(vectors["accepted"])
    assert await demo.page.evaluate(judge, vectors["refused"]) == [False] * len(vectors["refused"])
