"""Tabs, devices and a bad network at random, by seeds: whoever is left shows what the database has."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

from playwright.async_api import Browser

from tests.support.browser import chromium
from tests.support.cluster import API_KEY, JWT_SECRET
from tests.support.middlebox import Middlebox, middlebox
from tests.support.process import BellwireProcess
from tests.support.tabs import Hub, Tab, eventually

SEEDS = 40
STEPS = 30
TABS = 5
WHAT = [*["open", "publish", "topic"] * 2, "burst", "close", "drop", "mark", "all", "away"]
TOP = "JSON.stringify(client.items.slice(0, 25).map(({ id, read_at }) => [id, read_at !== null]))"


async def act(what: str, tab: Tab, hub: Hub, topic: str) -> None:
    """Do something in a tab, or publish to its user."""
    match what:
        case "mark":
            await tab.get("client.markRead(client.items.slice(0, 2).map(({ id }) => id))")
        case "all":
            await tab.get("client.markAllRead()")
        case "away":
            await tab.get("client.setAttention(client.attention === 'away' ? 'active' : 'away')")
        case "topic":
            await hub.publish_to_topic(topic)
        case _:
            await asyncio.gather(*(hub.publish(tab.user) for _ in range(4 if what == "burst" else 1)))


async def one_user(browser: Browser, box: Middlebox, hub: Hub, seed: int) -> None:
    dice = random.Random(seed)
    user, topic = f"user-{seed}", f"topic-{seed}"
    await hub.join(topic, user)
    context = await browser.new_context()
    tabs = [await Tab.open(context, box.url, user)]
    for _ in range(STEPS):
        what = dice.choice(WHAT)
        tab = dice.choice(tabs)
        if what == "open" and len(tabs) < TABS:
            tabs.append(await Tab.open(context, box.url, user))
        elif what == "close" and len(tabs) > 1:
            tabs.remove(tab)
            await tab.close()
        elif what == "drop":
            box.drop()
        else:
            await act(what, tab, hub, topic)
    last = await hub.publish(user)
    for tab in tabs:
        await tab.until(f"client.status === 'online' && client.items[0]?.id === '{last}'")
        await tab.get("client.markRead([client.items[0].id])")

    async def agreed() -> bool:
        items, counts = json.loads(await hub.view(user))
        said = [await tab.get(f"[JSON.parse({TOP}), client.counts]") for tab in tabs]
        return all(one == [[[item, read] for item, _, read in items], counts] for one in said)

    await eventually(agreed, wanted=True)
    for tab in tabs:
        arrived = await tab.get("arrived")
        assert len(arrived) == len(set(arrived)), "an item was announced twice"
    assert [await tab.get("client.leads") for tab in tabs].count(True) == 1
    await context.close()


async def test_tabs_at_random(tmp_path: Path) -> None:
    env = {"BELLWIRE_DATA_DIR": str(tmp_path), "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    node = BellwireProcess("serve", env=env)
    await asyncio.to_thread(node.start)
    hub = Hub(node.url)
    try:
        async with chromium() as browser, middlebox(node.port) as box:
            for seed in range(SEEDS):
                try:
                    await one_user(browser, box, hub, seed)
                except AssertionError as error:
                    error.add_note(f"with the seed {seed}")
                    raise
    finally:
        await hub.close()
        await asyncio.to_thread(node.stop)
