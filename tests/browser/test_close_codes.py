"""A browser hears the close code that the server sent: no 1006, which tells a page nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.cluster import API_KEY, JWT_SECRET, token
from tests.support.process import PATIENCE, BellwireProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOCKETS = 20

OPEN = """async ([token, count]) => {
  const open = (ready) => new Promise((ended) => {
    const socket = new WebSocket(`ws://${location.host}/v1/ws`);
    let last;
    socket.onopen = () => socket.send(JSON.stringify({ type: 'connect', token }));
    socket.onmessage = ({ data }) => {
      last = JSON.parse(data.split('\\n').at(-1)).type;
      if (last === 'ready') ready();
    };
    socket.onclose = ({ code, wasClean }) => ended({ code, wasClean, last });
  });
  window.closes = [];
  for (let number = 0; number < count; number += 1) {
    await new Promise((ready) => window.closes.push(open(ready)));
  }
}"""
"""Leaves in `closes` a promise of how each socket ends; returns once all are live."""


async def test_a_browser_sees_the_close_code_of_a_node_that_drains(browser: Browser, tmp_path: Path) -> None:
    env = {"BELLWIRE_DATA_DIR": str(tmp_path), "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
    node = BellwireProcess("serve", env=env)
    await asyncio.to_thread(node.start)
    try:
        page = await browser.new_page()
        await page.goto(f"{node.url}/healthz")
        async with asyncio.timeout(PATIENCE):
            await page.evaluate(OPEN, [token("ada"), SOCKETS])
            await asyncio.to_thread(node.stop)
            endings = await page.evaluate("Promise.all(closes)")
        await page.close()
    finally:
        await asyncio.to_thread(node.stop)
    assert endings == [{"code": 4000, "wasClean": True, "last": "reconnect"}] * SOCKETS
