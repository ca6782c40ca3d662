"""The demo page in a real browser, on a real server: what somebody sees who tries Bellwire for the first time."""

from __future__ import annotations

import pytest
from playwright.async_api import Route, expect

from tests.support.demo_page import DemoPage
from tests.support.process import BellwireProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_published_notification_is_counted_listed_and_read(demo: DemoPage) -> None:
    await demo.publish_by_form("Ada", "Hello, Ada", after=60, unless="read")

    await expect(demo.badge("ada")).to_have_text("1")
    await expect(demo.bell("ada")).to_have_accessible_name("Ada’s notifications, 1 unread")
    await expect(demo.badge("grace")).to_be_hidden()

    await demo.bell("ada").click()
    await expect(demo.rows("ada").locator(".title")).to_have_text("Hello, Ada")
    await demo.rows("ada").locator(".main").click()
    await expect(demo.badge("ada")).to_be_hidden()
    await expect(demo.window("ada").locator(".toast")).to_have_text("Your app opens /orders/1042")
    await expect(demo.story("ada")).to_contain_text("Ada read it in time")


async def test_all_are_marked_read_and_one_is_archived_for_good(demo: DemoPage) -> None:
    for number in (1, 2, 3):
        demo.publish("ada", "grace", title=f"Number {number}")
    await expect(demo.badge("ada")).to_have_text("3")

    await demo.bell("ada").click()
    await demo.window("ada").get_by_role("button", name="Mark all read").click()
    await expect(demo.badge("ada")).to_be_hidden()
    await demo.rows("ada").first.hover()
    await demo.window("ada").get_by_role("button", name="Archive: Number 3").click()
    await expect(demo.rows("ada").locator(".title")).to_have_text(["Number 2", "Number 1"])
    await expect(demo.badge("grace")).to_have_text("3")

    await demo.page.reload()
    await demo.until("ada", "online")
    await demo.bell("ada").click()
    await expect(demo.rows("ada").locator(".title")).to_have_text(["Number 2", "Number 1"])
    await expect(demo.badge("ada")).to_be_hidden()


async def test_it_survives_a_restart_of_the_server_without_a_reload(demo: DemoPage, hub: BellwireProcess) -> None:
    demo.expects_failures = True
    demo.publish("ada", title="Before")
    await expect(demo.badge("ada")).to_have_text("1")
    await demo.page.evaluate("window.loadedOnce = true")

    hub.kill()
    await expect(demo.window("ada")).not_to_have_attribute("data-status", "online")
    await demo.bell("ada").click()
    await demo.rows("ada").locator(".main").click()
    await expect(demo.badge("ada")).to_be_hidden()
    hub.start()
    demo.publish("ada", title="After")

    # The back-off may have grown to many seconds by now.
    await expect(demo.badge("ada")).to_have_text("1", timeout=60_000)
    await expect(demo.rows("ada").locator(".title")).to_have_text(["After", "Before"])
    await expect(demo.rows("ada").last).not_to_have_class("is-unread")
    assert await demo.page.evaluate("window.loadedOnce") is True
    await demo.page.reload()
    await expect(demo.badge("ada")).to_have_text("1")


async def test_what_is_done_offline_is_told_later(demo: DemoPage) -> None:
    demo.publish("ada", title="Read on the train")
    await expect(demo.badge("ada")).to_have_text("1")
    await demo.switch("ada", "Offline")
    await demo.bell("ada").click()
    await demo.rows("ada").locator(".main").click()
    await expect(demo.badge("ada")).to_be_hidden()
    await demo.page.keyboard.press("Escape")

    other = await demo.page.context.new_page()
    await other.goto(demo.url)
    badge = other.locator("[data-user=ada] notification-bell .badge")
    await expect(badge).to_have_text("1")
    await demo.switch("ada", "Online")
    await expect(badge).to_be_hidden()


async def test_a_link_that_the_server_should_have_refused_is_no_link(demo: DemoPage) -> None:
    demo.publish("ada", title="Free money", action_url="/harmless")

    async def corrupt(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=(await answer.text()).replace("/harmless", "javascript:alert(1)"))

    await demo.page.route("**/v1/inbox?*", corrupt)
    await demo.page.reload()
    await demo.until("ada", "online")
    await demo.bell("ada").click()
    main = demo.rows("ada").locator(".main")
    await expect(main).to_have_role("button")
    assert await main.get_attribute("href") is None
    await main.click()
    await expect(demo.badge("ada")).to_be_hidden()


async def test_the_keyboard_is_enough(demo: DemoPage) -> None:
    for title in ("First", "Second"):
        demo.publish("ada", title=title)
    await expect(demo.badge("ada")).to_have_text("2")
    await demo.bell("ada").focus()
    await demo.page.keyboard.press("Enter")
    panel = demo.window("ada").get_by_role("dialog", name="Ada’s notifications")
    await expect(panel).to_be_focused()
    await demo.page.keyboard.press("ArrowDown")
    await demo.page.keyboard.press("ArrowDown")
    await expect(demo.rows("ada").last.locator(".main")).to_be_focused()
    await demo.page.keyboard.press("Enter")
    await expect(demo.badge("ada")).to_have_text("1")
    await demo.page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(demo.bell("ada")).to_be_focused()
    await demo.page.keyboard.press("Space")
    await expect(panel).to_be_visible()


async def test_the_form_shows_the_call_and_what_is_wrong_with_it(demo: DemoPage) -> None:
    await demo.page.get_by_text("The same from your code").click()
    await demo.page.locator("[name=title]").fill("It's ready")
    call = demo.page.locator("#call")
    await expect(call).to_contain_text("$BELLWIRE_API_KEY")
    await expect(call).to_contain_text("It'\\''s ready")
    await demo.page.locator("[name=title]").fill("   ")
    demo.expects_failures = True
    await demo.page.locator("#publish .primary").click()
    await expect(demo.page.locator(".problem")).to_contain_text("title")


async def test_nothing_sticks_out_on_a_phone(demo: DemoPage) -> None:
    await demo.page.set_viewport_size({"width": 390, "height": 844})
    demo.publish("ada", "grace", title="W" * 500, body="M" * 2000)
    await demo.bell("ada").click()
    await expect(demo.rows("ada")).to_have_count(1)
    assert await demo.page.evaluate("document.documentElement.scrollWidth") <= 390
    box = await demo.window("ada").locator("notification-bell .panel").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
