"""What the client offers beside the newest items: filtered pages, snoozing, calls as the user."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.test_client import ADAS, start, until
from tests.support.demo_page import DemoPage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def titles(page: Page, expression: str) -> Any:
    return await page.evaluate(f"async () => ({expression}).map(({{ title }}) => title)")


async def test_filtered_pages_are_kept_in_step_and_leave_the_newest_page_alone(demo: DemoPage) -> None:
    page = demo.page
    for number in range(1, 31):
        demo.publish("ada", title=f"Number {number}", category="odd" if number % 2 else "even")
    await start(page, 0)
    newest = [f"Number {number}" for number in range(30, 5, -1)]
    assert await titles(page, "client.items") == newest

    listed = await page.evaluate("client.list({ category: 'odd', limit: 15 })")
    assert [item["title"] for item in listed["data"]] == [f"Number {number}" for number in range(29, 0, -2)]
    assert await titles(page, "client.items") == newest
    assert len(await titles(page, "client.known")) == 25 + 3
    assert await page.evaluate("client.counts.unread") == 30

    # "Number 1" is older than the newest page: marks of other devices and own ones reach it all the same.
    await page.evaluate("client.markRead([client.known.at(-1).id])")
    await until(page, "client.known.at(-1).read_at !== null && client.counts.unread === 29")
    await page.evaluate(f"{ADAS}.markAllRead()")
    await until(page, "client.known.every(({ read_at }) => read_at !== null) && client.counts.unread === 0")
    await page.evaluate("client.loadMore()")
    await until(page, "client.items.length === 30")
    assert await page.evaluate("failures") == []


async def test_marking_all_counts_what_a_filtered_page_brought_once(demo: DemoPage) -> None:
    page = demo.page
    for number in range(1, 31):
        demo.publish("ada", title=f"Number {number}")
    await start(page, 0)
    await page.evaluate("client.list({ limit: 30 })")
    demo.expects_failures = True
    await page.context.set_offline(offline=True)
    await page.evaluate("client.stop(); client.markAllRead(); client.markUnread([client.known.at(-1).id])")
    assert await page.evaluate("client.counts.unread") == 1
    await page.context.set_offline(offline=False)


async def test_a_snoozed_item_is_gone_until_its_time_on_every_device(demo: DemoPage) -> None:
    page = demo.page
    demo.publish("ada", title="Later")
    demo.publish("ada", title="Now")
    await start(page, 0)
    await page.evaluate("client.snooze([client.items[1].id], new Date(Date.now() + 3600e3))")
    await until(page, "client.items.length === 1")
    await until(page, f"{ADAS}.counts.unread === 1", ADAS)
    assert await titles(page, f"{ADAS}.items") == ["Now"]
    assert await titles(page, "(await client.list({ snoozed: true })).data") == ["Later"]

    later = await page.evaluate("client.known.find(({ title }) => title === 'Later').id")
    woken = "client.request('/v1/inbox/' + id, { method: 'PATCH', body: { snoozed_until: null } })"
    assert await page.evaluate(f"async (id) => (await {woken}).status", later) == 200
    await until(page, "client.items.length === 2")
    assert await page.evaluate("client.user") == "ada"


@pytest.mark.parametrize("until_", ["new Date(Date.now() - 1000)", "new Date(Date.now() + 2 * 366 * 86400e3)"])
async def test_a_refused_snooze_is_taken_back(demo: DemoPage, until_: str) -> None:
    page = demo.page
    demo.publish("ada", title="Here")
    await start(page, 0)
    assert await page.evaluate(f"client.snooze([client.items[0].id], {until_}); client.items.length") == 0
    await until(page, "client.items.length === 1")
    assert await page.evaluate("failures") == ["invalid_request"]


async def test_a_page_that_cannot_be_read_is_an_error(demo: DemoPage) -> None:
    page = demo.page
    await start(page, 0)
    demo.expects_failures = True
    answer = await page.evaluate("client.list({ status: 'strange' }).catch((error) => error.message)")
    assert answer == "the hub answered 422"
