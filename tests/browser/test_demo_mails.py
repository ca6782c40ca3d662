"""The demo page's mailbox, which nothing empties but a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.demo_page import DemoPage
from tests.support.process import BellwireProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def hub(data: Path) -> Iterator[BellwireProcess]:
    with BellwireProcess("serve", env={"BELLWIRE_DATA_DIR": str(data)}) as process:
        yield process


async def test_whoever_is_offline_gets_an_e_mail_and_finds_it_in_the_bell_later(demo: DemoPage) -> None:
    await demo.switch("grace", "Offline")
    await demo.until("grace", "stopped")
    await demo.publish_by_form("Grace", "Are you there?", after=0)

    await expect(demo.mails).to_have_count(1)
    await expect(demo.mails).to_contain_text("Grace Hopper")
    letter = demo.page.frame_locator(".letter iframe")
    await expect(letter.locator("h1")).to_have_text("Are you there?")
    await expect(demo.story("grace")).to_contain_text("so it was sent to grace@example.com")
    await expect(demo.badge("grace")).to_be_hidden()

    await demo.switch("grace", "Online")
    await expect(demo.badge("grace")).to_have_text("1")


async def test_whoever_sees_it_gets_no_e_mail(demo: DemoPage) -> None:
    await demo.bell("ada").click()
    demo.publish("ada", title="While the list is open")
    await expect(demo.rows("ada")).to_have_count(1)
    await demo.page.keyboard.press("Escape")

    await demo.publish_by_form("Both", "Look here", after=3600)
    await demo.bell("ada").click()
    await expect(demo.story("ada")).to_have_text("Ada saw it in time, so no e-mail was sent.")
    await expect(demo.story("grace")).to_have_text("Unless Grace has seen it by then, it goes to grace@example.com.")
    await expect(demo.page.locator(".mailbox")).to_contain_text("No e-mail yet")


async def test_a_hostile_notification_is_only_text(demo: DemoPage) -> None:
    demo.publish(
        "ada", title=HOSTILE, body=HOSTILE, actor={"name": HOSTILE}, fallback=[{"channel": "email", "unless": None}]
    )
    await demo.bell("ada").click()

    row = demo.rows("ada")
    await expect(row.locator(".title")).to_have_text(HOSTILE)
    await expect(row.locator(".body")).to_have_text(HOSTILE)
    await expect(demo.mails).to_have_count(1)
    letter = demo.page.frame_locator(".letter iframe")
    await expect(letter.locator("h1")).to_have_text(HOSTILE)
    assert await letter.locator("img, script").count() == 0
    assert await demo.page.locator("notification-bell li :is(img, script), .mailbox :is(img, script)").count() == 0
