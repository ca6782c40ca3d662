"""All tabs of a browser share one connection, and none of them loses, doubles or mixes up anything by it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from tests.support.cluster import API_KEY, JWT_SECRET, token
from tests.support.process import BellwireProcess
from tests.support.tabs import Hub, Tab, eventually
from tests.support.unwatched_page import UnwatchedPage

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data: Path = tmp_path_factory.mktemp("data")
    env = {"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    node = BellwireProcess("serve", env=env)
    await asyncio.to_thread(node.start)
    hub = Hub(node.url)
    yield hub
    await hub.close()
    await asyncio.to_thread(node.stop)


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context()
    yield context
    await context.close()


async def two_tabs(context: BrowserContext, hub: Hub, user: str) -> tuple[Tab, Tab]:
    """Open a tab that leads and one that follows."""
    leader = await Tab.open(context, hub.url, user)
    await leader.live()
    follower = await Tab.open(context, hub.url, user)
    await follower.live()
    assert await leader.get("client.leads")
    assert not await follower.get("client.leads")
    return leader, follower


async def connections(hub: Hub, user: str) -> int:
    return (await hub.presence(user))[0]


async def test_two_tabs_have_one_connection_and_agree_with_another_device(
    browser: Browser, context: BrowserContext, hub: Hub
) -> None:
    await hub.publish("ann", "before")
    leader, follower = await two_tabs(context, hub, "ann")
    assert await connections(hub, "ann") == 1
    elsewhere = await browser.new_context()
    device = await Tab.open(elsewhere, hub.url, "ann")
    await device.live()
    assert await connections(hub, "ann") == 2

    tabs = leader, follower, device
    first = await hub.publish("ann", "live")
    for tab in tabs:
        await tab.until("client.counts.unread === 2")
    began = time.perf_counter()
    await follower.get("client.markRead([client.items[0].id])")
    await asyncio.gather(*(tab.until("client.counts.unread === 1") for tab in tabs))
    print(f"a mark of one tab is everywhere after {(time.perf_counter() - began) * 1000:.0f} ms")
    await device.get("client.archive([client.items[0].id])")
    await follower.get("client.markAllRead()")
    for tab in tabs:
        await tab.until("client.counts.unread === 0 && client.items.length === 1")
    view = await hub.view("ann")
    for tab in tabs:
        await tab.shows(view)
        assert await tab.get("failures") == []
    assert await follower.get("arrived") == [first]
    assert await follower.get("client.transport") == "websocket"
    await elsewhere.close()


async def test_closing_the_leader_moves_the_connection(context: BrowserContext, hub: Hub) -> None:
    leader, follower = await two_tabs(context, hub, "bea")
    await leader.close()
    missed = await hub.publish("bea", "perhaps while nobody led")
    await follower.until("client.leads && client.status === 'online' && client.counts.unread === 1")
    await follower.shows(await hub.view("bea"))
    assert await follower.get("arrived") == [missed]
    await eventually(lambda: connections(hub, "bea"), 1)


async def test_a_crash_of_the_leader_moves_the_connection(context: BrowserContext, hub: Hub) -> None:
    _, follower = await two_tabs(context, hub, "cid")
    session = await context.new_cdp_session(context.pages[0])
    crash = asyncio.ensure_future(session.send("Page.crash"))  # never answers
    await follower.until("client.leads")
    await hub.publish("cid")
    await follower.until("client.counts.unread === 1")
    crash.cancel()


async def test_a_tab_that_is_put_to_sleep_gives_the_connection_up_and_comes_back_as_a_follower(
    browser: Browser, hub: Hub
) -> None:
    sleeper, page = await UnwatchedPage.open(browser), await UnwatchedPage.open(browser)
    leader = await Tab.on(sleeper, hub.url, "dan")
    await leader.live()
    follower = await Tab.on(page, hub.url, "dan")
    await follower.live()
    await sleeper.freeze()
    await follower.until("client.leads && client.status === 'online'")
    await hub.publish("dan", "in its sleep")
    await follower.until("client.counts.unread === 1")
    await sleeper.thaw()
    await leader.until("client.counts.unread === 1")
    await leader.shows(await hub.view("dan"))
    assert await leader.get("[client.leads, document.visibilityState]") == [False, "hidden"]
    await eventually(lambda: connections(hub, "dan"), 1)
    await hub.publish("dan", "after")
    for tab in (leader, follower):
        await tab.until("client.counts.unread === 2")
        await tab.close()


@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_a_page_in_the_back_forward_cache_leaves_the_connection_to_others(
    context: BrowserContext, hub: Hub, role: str
) -> None:
    """Playwright turns that cache off; these are the events that a browser sends, in its order."""
    user = f"dot-{role}"
    gone, stays = await two_tabs(context, hub, user)
    if role == "follower":
        gone, stays = stays, gone
    for event in ("dispatchEvent(new Event('pagehide'))", "document.dispatchEvent(new Event('freeze'))"):
        await gone.get(event)
    await stays.until("client.leads && client.status === 'online'")
    await hub.publish(user)
    await stays.until("client.counts.unread === 1")
    assert await gone.get("client.items.length") == 0
    for event in ("document.dispatchEvent(new Event('resume'))", "dispatchEvent(new Event('pageshow'))"):
        await gone.get(event)
    await gone.until("client.counts.unread === 1 && client.status === 'online' && !client.leads")


async def test_where_locks_are_forbidden_each_tab_has_a_connection_of_its_own(
    context: BrowserContext, hub: Hub
) -> None:
    await context.add_init_script(
        "navigator.locks.request = () => Promise.reject(new DOMException('not here', 'SecurityError'))"
    )
    tabs = [await Tab.open(context, hub.url, "eve") for _ in range(2)]
    for tab in tabs:
        await tab.live()
    assert await connections(hub, "eve") == 2
    await hub.publish("eve")
    for tab in tabs:
        await tab.until("client.counts.unread === 1")


async def test_a_leader_that_falls_silent_loses_the_lock(context: BrowserContext, hub: Hub) -> None:
    """As when a page hangs, or a browser stops it without saying so."""
    leader = await Tab.open(context, hub.url, "eli")
    await leader.live()
    await leader.get("void (BroadcastChannel.prototype.postMessage = () => {})")
    other = await Tab.open(context, hub.url, "eli")
    await other.live()
    assert await other.get("client.leads")
    await hub.publish("eli")
    await other.until("client.counts.unread === 1")


async def test_a_tab_that_comes_late_knows_what_the_cursor_does_not_cover_yet(
    context: BrowserContext, hub: Hub
) -> None:
    """Items of topics are told ahead of the cursor: "all" has to name them, in a tab that never heard of them, too."""
    await hub.join("news", "rae")
    leader = await Tab.open(context, hub.url, "rae")
    await leader.live()
    await hub.publish_to_topic("news")
    await leader.until("client.counts.unread === 1")
    follower = await Tab.open(context, hub.url, "rae")
    await follower.until("client.items.length === 1")
    await follower.get("client.markAllRead()")
    await leader.until("client.counts.unread === 0")
    await follower.shows(await hub.view("rae"))


async def test_the_most_attentive_tab_counts(context: BrowserContext, hub: Hub) -> None:
    async def attention() -> str:
        return (await hub.presence("fay"))[1]

    leader, follower = await two_tabs(context, hub, "fay")
    await leader.get("client.setAttention('away')")
    await hub.publish("fay")
    await follower.until("client.counts.unread === 1")
    assert await attention() == "active"
    await follower.get("client.setAttention('away')")
    await eventually(attention, "away")
    await follower.get("client.setAttention('active')")
    await eventually(attention, "active")
    await follower.close()
    await eventually(attention, "away")


async def test_users_of_one_browser_never_mix(context: BrowserContext, hub: Hub) -> None:
    gus = await Tab.open(context, hub.url, "gus")
    ida = await Tab.open(context, hub.url, "ida")
    for tab in (gus, ida):
        await tab.live()
        assert await tab.get("client.leads")
    await hub.publish("gus", "for Gus")
    await hub.publish("ida", "for Ida")
    for tab in (gus, ida):
        await tab.until("client.counts.unread === 1")
        await tab.shows(await hub.view(tab.user))


async def test_a_tab_in_which_somebody_else_signs_in_leaves_the_others(context: BrowserContext, hub: Hub) -> None:
    await hub.publish("kai", "for Kai")
    await hub.publish("lea", "for Lea")
    stays, leaves = await two_tabs(context, hub, "kai")
    assert await leaves.get("client.items[0].title") == "for Kai"
    await leaves.get("""void client.addEventListener('change', () => {
      window.mixed ||= client.user === 'lea' && client.items.some(({ title }) => title === 'for Kai');
    })""")
    # What Kai did last is not to be done in Lea's name.
    await leaves.page.evaluate(
        "(next) => { client.stop(); client.markAllRead(); tokens = [next]; client.start(); }", token("lea")
    )
    await leaves.until("client.items[0]?.title === 'for Lea'")
    await leaves.shows(await hub.view("lea"))
    assert await leaves.get("[client.leads, client.user, failures, mixed]") == [True, "lea", [], False]
    await stays.shows(await hub.view("kai"))


async def test_what_the_hub_refuses_is_told_to_the_tab_that_asked(context: BrowserContext, hub: Hub) -> None:
    await hub.publish("mia")
    leader, follower = await two_tabs(context, hub, "mia")
    assert await follower.get("client.snooze([client.items[0].id], new Date(0)), client.items.length") == 0
    await follower.until("client.items.length === 1")
    told = await follower.get("failures.map(({ code, action, ids }) => [code, action, ids.length])")
    assert told == [["invalid_request", "snooze", 1]]
    assert await leader.get("failures") == []


async def test_a_tab_can_have_a_connection_of_its_own(context: BrowserContext, hub: Hub) -> None:
    for _ in range(2):
        tab = await Tab.open(context, hub.url, "ned", shareConnection=False)
        await tab.live()
        assert await tab.get("client.leads")
    assert await connections(hub, "ned") == 2


@pytest.mark.parametrize("rung", [1, 2], ids=["sse", "poll"])
async def test_a_shared_stream_tells_marks_and_attention(context: BrowserContext, hub: Hub, rung: int) -> None:
    user = f"ola-{rung}"
    await hub.publish(user)
    leader = await Tab.open(context, hub.url, user, rung=rung)
    await leader.live()
    follower = await Tab.open(context, hub.url, user)
    await follower.live()
    assert await follower.get("[client.leads, client.transport]") == [False, ["", "sse", "poll"][rung]]
    await follower.get("client.markRead([client.items[0].id])")
    await leader.until("client.counts.unread === 0")
    await follower.shows(await hub.view(user))
    assert await connections(hub, user) == 1


async def test_tabs_opened_and_closed_at_random_lose_and_double_nothing(context: BrowserContext, hub: Hub) -> None:
    dice = random.Random(6)
    tabs: list[Tab] = []
    for _ in range(16):
        what = dice.choice(["open", "open", "close", "publish", "publish", "mark"])
        if what == "open" and len(tabs) < 5:
            tabs.append(await Tab.open(context, hub.url, "pia"))
        elif what == "close" and len(tabs) > 1:
            await tabs.pop(dice.randrange(len(tabs))).close()
        elif what == "mark" and tabs:
            await dice.choice(tabs).get("client.markRead(client.items.slice(0, 1).map(({ id }) => id))")
        else:
            await hub.publish("pia")
    last = await hub.publish("pia", "last")
    for tab in tabs:
        await tab.until(f"client.items[0]?.id === '{last}'")
    view = await hub.view("pia")
    for tab in tabs:
        await tab.shows(view)
        arrived = await tab.get("arrived")
        assert len(arrived) == len(set(arrived))
    await eventually(lambda: connections(hub, "pia"), 1)
    assert [await tab.get("client.leads") for tab in tabs].count(True) == 1
