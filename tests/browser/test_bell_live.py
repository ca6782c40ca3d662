"""The bell on a real hub: its tabs read what the hub has, in pages, and stay in step with other devices."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.support.demo_page import DemoPage

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADAS = "document.querySelector('[data-user=ada] notification-bell')"


async def test_tabs_bring_in_what_the_newest_page_lacks(demo: DemoPage) -> None:
    for number in range(1, 61):
        demo.publish("ada", title=f"Number {number}", category="odd" if number % 2 else "even")
    await demo.page.reload()  # so that only the newest page is held
    await demo.until("ada", "online")
    await expect(demo.badge("ada")).to_have_text("60")
    await demo.bell("ada").click()
    await expect(demo.rows("ada")).to_have_count(25)
    await demo.page.keyboard.press("Escape")
    await demo.page.evaluate(f"{ADAS}.client.markRead({ADAS}.client.items.map(({{ id }}) => id))")
    await expect(demo.badge("ada")).to_have_text("35")
    await demo.bell("ada").click()
    await expect(demo.rows("ada").first.locator(".title")).to_have_text("Number 60")

    tab = demo.window("ada").get_by_role("tab")
    await tab.nth(1).click()
    await expect(demo.rows("ada").first.locator(".title")).to_have_text("Number 35")
    scroll = demo.window("ada").locator(".scroll")
    await expect(scroll).to_be_visible()
    while await demo.rows("ada").count() < 35:
        await scroll.evaluate("(element) => (element.scrollTop = element.scrollHeight)")
        await demo.page.evaluate("new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve)))")
    await expect(demo.rows("ada").last.locator(".title")).to_have_text("Number 1")
    await expect(demo.window("ada").get_by_role("button", name="Show older")).to_be_hidden()

    # An old one that only this tab holds: marked here, and the badge follows at once.
    await demo.rows("ada").last.hover()
    await demo.rows("ada").last.locator(".archive").click()
    await expect(demo.badge("ada")).to_have_text("34")
    await tab.nth(2).click()
    await expect(demo.rows("ada").locator(".title")).to_have_text(["Number 1"])
    await demo.page.evaluate(f"{ADAS}.setAttribute('tabs', 'even=Even ones, all')")
    await expect(tab).to_have_text(["Even ones", "All"])
    await expect(demo.rows("ada").first.locator(".title")).to_have_text("Number 60")
    await expect(demo.rows("ada").nth(1).locator(".title")).to_have_text("Number 58")


async def test_opening_and_closing_leaves_nothing_behind(demo: DemoPage) -> None:
    for number in range(30):
        demo.publish("ada", title=f"Number {number}")
    await expect(demo.badge("ada")).to_have_text("30")
    session = await demo.page.context.new_cdp_session(demo.page)
    await session.send("Performance.enable")

    async def counted() -> tuple[float, float]:
        await session.send("HeapProfiler.collectGarbage")
        metrics = (await session.send("Performance.getMetrics"))["metrics"]
        found = {metric["name"]: metric["value"] for metric in metrics}
        return found["Nodes"], found["JSEventListeners"]

    churn = f"""async (times) => {{
      const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      for (let turn = 0; turn < times; turn += 1) {{
        {ADAS}.show();
        await frame();
        {ADAS}.hide();
        await frame();
      }}
    }}"""
    await demo.page.evaluate(churn, 5)
    before = await counted()
    await demo.page.evaluate(churn, 40)
    after = await counted()
    assert after[0] <= before[0] + 10
    assert after[1] <= before[1] + 5

    parent = f"""() => {{
      const [bell, home] = [{ADAS}, {ADAS}.parentNode];
      for (let turn = 0; turn < 30; turn += 1) {{
        bell.remove();
        home.append(bell);
      }}
    }}"""
    await demo.page.evaluate(parent)
    await demo.page.evaluate("new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")
    last = await counted()
    assert last[1] <= before[1] + 5
