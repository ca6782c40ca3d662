"""The client without a page: in a worker, and in Node."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.cluster import API_KEY, JWT_SECRET, token
from tests.support.process import PATIENCE, BellwireProcess
from tests.support.services import missing
from tests.support.tabs import Hub, Tab, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROGRAM = Path(__file__).with_name("client.mjs")

WORKER = """([url, token]) => new Promise((resolve) => {
  const program = `
    import { BellwireClient } from '${url}/static/client.js';
    const client = new BellwireClient({ url: '${url}', token: () => '${token}' });
    client.addEventListener('change', () => postMessage([client.status, client.leads, client.counts.unread]));
    onmessage = () => client.markAllRead();
    client.start();
  `;
  const address = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }));
  window.worker = new Worker(address, { type: 'module' });
  window.heard = [];
  worker.onmessage = ({ data }) => {
    heard = data;
    if (data[0] === 'online' && data[2] === 1) resolve(data);
  };
})"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = str(tmp_path_factory.mktemp("data"))
    env = {"BELLWIRE_DATA_DIR": data, "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    node = BellwireProcess("serve", env=env)
    await asyncio.to_thread(node.start)
    hub = Hub(node.url)
    yield hub
    await hub.close()
    await asyncio.to_thread(node.stop)


async def test_a_worker_shares_the_connection_of_the_pages(browser: Browser, hub: Hub) -> None:
    context = await browser.new_context()
    tab = await Tab.open(context, hub.url, "ann")
    await tab.live()
    await hub.publish("ann")
    async with asyncio.timeout(PATIENCE):
        assert await tab.page.evaluate(WORKER, [hub.url, token("ann")]) == ["online", False, 1]
    assert (await hub.presence("ann"))[0] == 1
    await tab.get("worker.postMessage('read all')")
    await tab.until("client.counts.unread === 0")
    await context.close()


async def test_node_hears_marks_and_ends(hub: Hub) -> None:
    node = shutil.which("node")
    if node is None:
        missing("Node", FileNotFoundError("node"))
    await hub.publish("bea", "before")
    process = await asyncio.create_subprocess_exec(
        node, PROGRAM, hub.url, token("bea"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while not (state := json.loads(await process.stdout.readline()))["loaded"]:
            pass
        assert state["status"] == "online"
        assert (state["titles"], state["counts"]) == (["before"], {"unread": 1, "unseen": 1})
        await hub.publish("bea", "live")
        said, failures = await process.communicate()  # it ends by itself: nothing is left running
    assert process.returncode == 0
    assert failures == b""
    last = json.loads(said.splitlines()[-1])
    assert (last["titles"], last["counts"]) == (["live", "before"], {"unread": 0, "unseen": 0})
    assert json.loads(await hub.view("bea"))[1] == last["counts"]
    await eventually(lambda: presence(hub, "bea"), 0)


async def presence(hub: Hub, user: str) -> int:
    return (await hub.presence(user))[0]
