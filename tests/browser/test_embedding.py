"""The bell in a web app on another origin, as README.md shows it."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Browser, expect

from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.process import BellwireProcess
from tests.support.static_site import static_site

pytestmark = pytest.mark.asyncio(loop_scope="module")

README = Path(__file__).parents[2] / "README.md"


def snippet(hub: str) -> str:
    """The HTML of the README, with the hub's address filled in."""
    found = re.search(r"```html\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    return found[1].replace("https://notify.example.com", hub).replace("/my/bellwire-token", "token.txt")


async def test_the_readmes_snippet_works_on_an_allowed_origin_only(browser: Browser, tmp_path: Path) -> None:
    data, site = tmp_path / "data", tmp_path / "site"
    site.mkdir()
    with static_site(site) as allowed, static_site(site) as other:
        process = BellwireProcess("serve", env={"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_ALLOWED_ORIGINS": allowed})
        await asyncio.to_thread(process.start)
        try:
            await furnish(process.url, data, site)
            page = await (await browser.new_context()).new_page()
            async with page.expect_event("console", lambda message: "CORS" in message.text):
                await page.goto(other)
            await page.goto(allowed)
            await expect(page.locator("notification-bell .badge")).to_have_text("1")
            await page.locator("notification-bell .bell").click()
            await expect(page.locator("notification-bell li")).to_contain_text("From elsewhere")
            await page.context.close()
        finally:
            await asyncio.to_thread(process.stop)


async def furnish(hub: str, data: Path, site: Path) -> None:
    """Make the app's page, and something for it to show."""
    api_key, secret = (data / "api-key").read_text().strip(), (data / "jwt-secret").read_text().strip()
    keyring = Keyring.from_settings(Settings(), api_key, secret)
    (site / "token.txt").write_text(keyring.issue(InboxKey("default", "ada"), int(time.time() * 1000), 600_000))
    (site / "index.html").write_text("<!doctype html><title>App</title>" + snippet(hub))
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {api_key}"}, trust_env=False) as http:
        answer = await http.post(f"{hub}/v1/notifications", json={"recipients": ["ada"], "title": "From elsewhere"})
        assert answer.status_code == 201
