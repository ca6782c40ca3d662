"""The bell in a web app on another origin, as README.md shows it."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import expect

from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.browser import chromium
from tests.support.process import BellwireProcess
from tests.support.static_site import static_site

README = Path(__file__).parents[2] / "README.md"


def snippet(hub: str) -> str:
    """The HTML of the README, with the hub's address filled in."""
    found = re.search(r"```html\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    return found[1].replace("https://notify.example.com", hub).replace("/my/bellwire-token", "token.txt")


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_readmes_snippet_works_on_an_allowed_origin_only(tmp_path: Path, allowed: bool) -> None:  # noqa: FBT001 - a parameter
    data, site = tmp_path / "data", tmp_path / "site"
    site.mkdir()
    with static_site(site) as origin:
        env = {
            "BELLWIRE_DATA_DIR": str(data),
            "BELLWIRE_ALLOWED_ORIGINS": origin if allowed else "https://other.example",
        }
        process = BellwireProcess("serve", env=env)
        await asyncio.to_thread(process.start)
        try:
            await visit(process.url, origin, data, site, allowed=allowed)
        finally:
            await asyncio.to_thread(process.stop)


async def visit(hub: str, origin: str, data: Path, site: Path, *, allowed: bool) -> None:
    api_key, secret = (data / "api-key").read_text().strip(), (data / "jwt-secret").read_text().strip()
    keyring = Keyring.from_settings(Settings(), api_key, secret)
    (site / "token.txt").write_text(keyring.issue(InboxKey("default", "ada"), int(time.time() * 1000), 600_000))
    (site / "index.html").write_text("<!doctype html><title>App</title>" + snippet(hub))
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {api_key}"}, trust_env=False) as http:
        answer = await http.post(f"{hub}/v1/notifications", json={"recipients": ["ada"], "title": "From elsewhere"})
        assert answer.status_code == 201
    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        if not allowed:
            async with page.expect_event("console", lambda message: "CORS" in message.text):
                await page.goto(origin)
            return
        await page.goto(origin)
        await expect(page.locator("notification-bell .badge")).to_have_text("1")
        await page.locator("notification-bell .bell").click()
        await expect(page.locator("notification-bell li")).to_contain_text("From elsewhere")
