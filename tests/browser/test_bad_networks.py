"""Whatever a network does, the list equals the database afterwards, without a reload, in every tab."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.cluster import API_KEY, JWT_SECRET, open_cluster, token
from tests.support.middlebox import Middlebox, middlebox
from tests.support.process import BellwireProcess
from tests.support.tabs import Hub, Tab

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_MS = 16_000
"""Longer than the client waits for a connection to become ready."""

CLIMB_MS = 301_000
"""Longer than the client does without a transport that was blocked."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BellwireProcess]:
    data = str(tmp_path_factory.mktemp("data"))
    env = {"BELLWIRE_DATA_DIR": data, "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    node = BellwireProcess("serve", env=env)
    await asyncio.to_thread(node.start)
    yield node
    await asyncio.to_thread(node.stop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(node: BellwireProcess) -> AsyncIterator[Hub]:
    """The hub, not by way of the proxy."""
    hub = Hub(node.url)
    yield hub
    await hub.close()


@pytest_asyncio.fixture(loop_scope="module")
async def box(node: BellwireProcess) -> AsyncIterator[Middlebox]:
    async with middlebox(node.port) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    yield context
    await context.close()


async def two_tabs(context: BrowserContext, box: Middlebox, user: str) -> list[Tab]:
    tabs = [await Tab.open(context, box.url, user) for _ in range(2)]
    for tab in tabs:
        await tab.live()
    return tabs


async def agree(tabs: list[Tab], hub: Hub) -> None:
    """Wait until all tabs show what the database has, live."""
    view = await hub.view(tabs[0].user)
    for tab in tabs:
        await tab.shows(view)
        await tab.until("client.status === 'online'")


async def alone(context: BrowserContext, box: Middlebox, user: str) -> Tab:
    """Open a tab whose clock can be put forward."""
    page = await context.new_page()
    await page.clock.install()
    return await Tab.on(page, box.url, user)


async def test_the_server_is_restarted(
    context: BrowserContext, box: Middlebox, hub: Hub, node: BellwireProcess
) -> None:
    await hub.publish("ann", "before")
    tabs = await two_tabs(context, box, "ann")
    await asyncio.to_thread(node.kill)
    for tab in tabs:
        await tab.until("client.status === 'waiting'")
    await tabs[1].get("client.markRead([client.items[0].id])")
    await asyncio.to_thread(node.start)
    await hub.publish("ann", "after")
    await tabs[1].get("client.retry()")
    for tab in tabs:  # the other one knows of the mark by the hub only
        await tab.until("client.items.length === 2 && client.items[1].read_at !== null")
    await agree(tabs, hub)


async def test_the_network_is_cut(context: BrowserContext, box: Middlebox, hub: Hub) -> None:
    tabs = await two_tabs(context, box, "bea")
    box.cut()
    await context.set_offline(offline=True)
    for tab in tabs:
        await tab.until("client.status === 'waiting'")
    for number in range(3):
        await hub.publish("bea", str(number))
    box.mend()
    await context.set_offline(offline=False)  # of which the browser tells the page
    for tab in tabs:
        await tab.until("client.counts.unread === 3")
    await agree(tabs, hub)


async def test_a_network_that_is_silent_is_noticed_when_the_browser_says_that_it_is_offline(
    context: BrowserContext, box: Middlebox, hub: Hub
) -> None:
    tab = await alone(context, box, "cid")
    await tab.live()
    box.is_deaf = True
    await context.set_offline(offline=True)
    await context.pages[0].clock.fast_forward(PATIENCE_MS)
    await tab.until("client.status === 'waiting'")
    await hub.publish("cid")
    box.is_deaf = False
    await context.set_offline(offline=False)
    await tab.until("client.counts.unread === 1")
    await agree([tab], hub)


async def test_a_machine_that_slept_does_not_trust_its_connection(
    context: BrowserContext, box: Middlebox, hub: Hub
) -> None:
    tab = await alone(context, box, "dan")
    await tab.live()
    box.is_deaf = True
    await hub.publish("dan", "in its sleep")
    clock = context.pages[0].clock
    await clock.set_system_time(time.time() + 3600)  # an hour in which no timer has moved
    await clock.fast_forward(5_000)
    await tab.until("client.status !== 'online'")
    box.is_deaf = False
    await tab.until("client.counts.unread === 1")
    await agree([tab], hub)


async def test_the_token_has_expired_meanwhile(context: BrowserContext, box: Middlebox, hub: Hub) -> None:
    keyring = Keyring.from_settings(Settings(), API_KEY, JWT_SECRET)
    expired = keyring.issue(InboxKey("default", "eli"), int(time.time() * 1000) - 60_000, 30_000)
    tabs = await two_tabs(context, box, "eli")
    for tab in tabs:
        await tab.page.evaluate("(next) => { tokens = next; asked = 0; }", [expired, token("eli")])
    box.drop()
    await hub.publish("eli")
    for tab in tabs:
        await tab.until("client.counts.unread === 1")
    await agree(tabs, hub)
    assert await tabs[0].get("asked") == 2


async def test_a_blocked_websocket_leads_to_streams_and_is_used_again_once_it_is_not(
    context: BrowserContext, box: Middlebox, hub: Hub
) -> None:
    box.blocks_websockets = True
    tab = await alone(context, box, "fay")
    await tab.live()
    assert await tab.get("client.transport") == "sse"
    await hub.publish("fay", "by a stream")
    await tab.until("client.counts.unread === 1")

    await context.pages[0].clock.fast_forward(CLIMB_MS)  # another try, in vain
    await tab.until("client.status === 'online' && client.transport === 'sse'")
    box.blocks_websockets = False
    await hub.publish("fay", "meanwhile")
    await context.pages[0].clock.fast_forward(2 * CLIMB_MS)
    await tab.until("client.status === 'online' && client.transport === 'websocket'")
    await agree([tab], hub)


async def test_buffered_streams_lead_to_polling(context: BrowserContext, box: Middlebox, hub: Hub) -> None:
    box.blocks_websockets = box.buffers_streams = True
    tab = await alone(context, box, "gus")
    await tab.until("client.transport === 'sse' && client.status === 'connecting'")
    await context.pages[0].clock.fast_forward(PATIENCE_MS)
    await tab.live()
    assert await tab.get("client.transport") == "poll"
    await hub.publish("gus")
    await tab.until("client.counts.unread === 1")
    box.blocks_websockets = box.buffers_streams = False
    await hub.publish("gus")
    await context.pages[0].clock.fast_forward(CLIMB_MS)
    await tab.until("client.status === 'online' && client.transport === 'websocket'")
    await agree([tab], hub)


async def test_polling_does_not_wait_for_news_before_it_is_online(context: BrowserContext, box: Middlebox) -> None:
    """A call that waits is answered later than a client has the patience to find out whether polling works."""
    tab = await Tab.open(context, box.url, "ida", rung=2)
    await tab.live()
    page = context.pages[0]
    async with page.expect_request("**/v1/poll?*cursor=*") as first:
        await tab.get("client.stop(); client.start()")
        await tab.until("client.status === 'online'")
    assert "timeout=0" in (await first.value).url


async def test_the_node_is_switched(
    browser: Browser, context: BrowserContext, postgres_url: str, flushed_redis_url: str
) -> None:
    async with open_cluster(postgres_url, flushed_redis_url) as cluster, middlebox(cluster.ports[0]) as box:
        hub = Hub(cluster.nodes[1].url)
        tabs = await two_tabs(context, box, "kai")
        box.upstream = cluster.ports[1]
        await asyncio.to_thread(cluster.nodes[0].kill)
        await hub.publish("kai", "for whoever comes")
        for tab in tabs:
            await tab.until("client.counts.unread === 1")
        await agree(tabs, hub)
        await hub.close()
