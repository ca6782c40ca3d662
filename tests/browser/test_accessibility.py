"""axe finds nothing to complain of: the demo page in use and the reference, in both colour schemes."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Browser, expect

from tests.support.axe import violations
from tests.support.process import BellwireProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
async def test_pages_are_accessible(
    hub: BellwireProcess, browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    await page.goto(hub.url)
    await expect(page.locator(".person[data-user=ada][data-status=online]")).to_be_visible()
    await page.get_by_role("button", name="Publish", exact=True).click()
    bell = page.locator(".person[data-user=ada] notification-bell")
    await expect(bell.locator(".badge")).to_be_visible()
    assert await violations(page) == []
    await bell.locator(".bell").click()
    await expect(bell.locator("li").first).to_be_visible()
    assert await violations(page) == []
    await page.goto(f"{hub.url}/static/demo-playground.html")
    await expect(page.locator("notification-bell .badge")).to_have_text("3")
    assert await violations(page) == []
    await page.goto(f"{hub.url}/docs")
    await expect(page.get_by_role("heading", name="Notifications").first).to_be_visible()
    assert await violations(page) == []
    await context.close()
