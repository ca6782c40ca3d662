"""The demo page of a hub that is mounted in somebody else's app, under a path."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.support.asgi_servers import API_KEY, SERVERS, ServedHub
from tests.support.browser import chromium
from tests.support.demo_page import DemoPage

(MOUNTED,) = (server for server in SERVERS if server.name == "mounted")


async def test_the_demo_page_works_under_a_prefix(tmp_path: Path) -> None:
    with ServedHub(MOUNTED, tmp_path) as hub:
        async with chromium() as browser:
            context = await browser.new_context()
            demo = DemoPage(await context.new_page(), f"{hub.url}/", API_KEY)
            await demo.open()
            await demo.publish_by_form("Ada", "Through the prefix", after=3600)
            await expect(demo.badge("ada")).to_have_text("1")
            await expect(demo.page.locator("#call")).to_contain_text(f"curl {hub.url}/v1/notifications")
            await demo.page.get_by_role("link", name="API reference").click()
            await expect(demo.page.locator("#operations")).to_contain_text("/v1/notifications")
            assert demo.page.url == f"{hub.url}/docs"
