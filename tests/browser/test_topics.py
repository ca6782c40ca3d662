"""Topics and broadcasts in the bells of a real page."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.support.demo_page import DemoPage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_topic_shows_in_its_members_bells_and_a_broadcast_in_all(demo: DemoPage) -> None:
    demo.join("news", "ada")
    demo.publish(title="For members", recipients={"topic": "news"})
    await expect(demo.badge("ada")).to_have_text("1")

    demo.publish(title="For everybody", recipients={"broadcast": True})
    await expect(demo.badge("ada")).to_have_text("2")
    await expect(demo.badge("grace")).to_have_text("1")

    demo.leave("news", "ada")
    demo.publish(title="Too late", recipients={"topic": "news"})
    demo.publish("ada", title="Her own")
    await expect(demo.badge("ada")).to_have_text("3")
    await demo.bell("ada").click()
    await expect(demo.rows("ada").locator(".title")).to_have_text(["Her own", "For everybody", "For members"])


async def test_shared_items_are_read_one_by_one_and_all_at_once_by_one_user_alone(demo: DemoPage) -> None:
    demo.join("news", "ada", "grace")
    for number in (1, 2, 3):
        demo.publish(title=f"Number {number}", recipients={"topic": "news"})
    for user in ("ada", "grace"):
        await expect(demo.badge(user)).to_have_text("3")

    await demo.bell("ada").click()
    await demo.rows("ada").nth(1).locator(".main").click()
    await expect(demo.badge("ada")).to_have_text("2")
    await demo.window("ada").get_by_role("button", name="Mark all read").click()
    await expect(demo.badge("ada")).to_be_hidden()
    demo.publish(title="Number 4", recipients={"broadcast": True})
    await expect(demo.badge("ada")).to_have_text("1")
    await expect(demo.badge("grace")).to_have_text("4")

    await demo.page.reload()
    for user, unread in (("ada", "1"), ("grace", "4")):
        await demo.until(user, "online")
        await expect(demo.badge(user)).to_have_text(unread)
    await demo.bell("ada").click()
    await expect(demo.rows("ada").locator(".title")).to_have_text(["Number 4", "Number 3", "Number 2", "Number 1"])


async def test_what_was_published_while_away_is_there_on_coming_back(demo: DemoPage) -> None:
    await demo.switch("grace", "Offline")
    await demo.until("grace", "stopped")
    identifier = demo.publish(title="Take me back", recipients={"broadcast": True})
    demo.publish(title="Meanwhile", recipients={"broadcast": True})
    await demo.switch("grace", "Online")
    await expect(demo.badge("grace")).to_have_text("2")

    demo.recall(identifier)
    for user in ("ada", "grace"):
        await expect(demo.badge(user)).to_have_text("1")
    await demo.bell("grace").click()
    await expect(demo.rows("grace").locator(".title")).to_have_text(["Meanwhile"])
