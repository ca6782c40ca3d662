"""The bell in apps made with React, Vue, Svelte and nothing, each built as such apps are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.process import BellwireProcess
from tests.support.static_site import static_site
from tests.support.widget_package import STATIC, run_script

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRAMEWORKS = ("react", "vue", "svelte", "plain")


@dataclass(frozen=True)
class Built:
    """The apps on an origin of their own, and the hub that they show."""

    origin: str
    hub: str
    api_key: str
    site: Path
    secret: str

    def sign_in(self, user: str) -> None:
        keyring = Keyring.from_settings(Settings(), self.api_key, self.secret)
        token = keyring.issue(InboxKey("default", user), int(time.time() * 1000), 600_000)
        (self.site / "token.txt").write_text(token)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def built(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Built]:
    site, data = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("data")
    await asyncio.to_thread(run_script, "build.js", STATIC, site)
    for name in FRAMEWORKS:
        page = (
            f'<!doctype html><html lang="en"><title>{name}</title><body><script type="module" src="{name}.js"></script>'
        )
        (site / f"{name}.html").write_text(page)
    with static_site(site) as origin:
        process = BellwireProcess("serve", env={"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_ALLOWED_ORIGINS": origin})
        await asyncio.to_thread(process.start)
        try:
            api_key, secret = ((data / name).read_text().strip() for name in ("api-key", "jwt-secret"))
            yield Built(origin, process.url, api_key, site, secret)
        finally:
            await asyncio.to_thread(process.stop)


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_an_app_shows_its_users_inbox(built: Built, browser: Browser, framework: str) -> None:
    built.sign_in(framework)
    body = {"recipients": [framework], "title": f"Made with {framework}", "action_url": "/there"}
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {built.api_key}"}, trust_env=False) as http:
        answer = await http.post(f"{built.hub}/v1/notifications", json=body)
        assert answer.status_code == 201
    context = await browser.new_context()
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{built.origin}/{framework}.html?{built.hub}")
    bell = page.locator("notification-bell")
    await expect(bell.locator(".badge")).to_have_text("1")
    await bell.locator(".bell").click()
    await expect(page.get_by_role("tab")).to_have_text(["All", "Unread"])
    await bell.locator("li .main").click()
    await expect(page).to_have_title("/there")
    await expect(bell.locator(".badge")).to_be_hidden()
    await context.close()
    assert errors == []
