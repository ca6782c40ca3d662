"""Every state of the bell, seen and heard: axe finds nothing, nothing sticks out, and a picture of each is kept.

The pictures are in `test-artifacts/bell/`, to be looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.axe import violations
from tests.support.bell_page import BellPage
from tests.support.process import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURES = REPOSITORY / "test-artifacts" / "bell"

LOOKS: Mapping[str, dict[str, Any]] = {
    "light": {"scheme": "light", "lang": "en", "size": (900, 760)},
    "dark": {"scheme": "dark", "lang": "de", "size": (900, 760)},
    "right-to-left": {"scheme": "light", "lang": "ar", "size": (900, 760)},
    "phone": {"scheme": "light", "lang": "en", "size": (390, 760), "has_touch": True, "is_mobile": True},
    "phone-dark-right-to-left": {
        "scheme": "dark",
        "lang": "ar",
        "size": (390, 760),
        "has_touch": True,
        "is_mobile": True,
    },
    "zoomed-200": {"scheme": "light", "lang": "fr", "size": (640, 400), "device_scale_factor": 2},
    "forced-colors": {"scheme": "dark", "lang": "en", "size": (900, 760), "forced_colors": "active"},
}

ALL = ("light", "dark", "right-to-left")
"""Looks that are tried in every state; the others in `SOME`."""

SOME = ("usual", "settings", "toasts")

PREFERENCES = """() => {
  const channels = { in_app: true, push: true, email: false };
  const data = [{ category: 'review', label: 'Reviews', channels, locked: ['in_app'] }];
  client.answer = () => new Response(JSON.stringify({ data }));
  bell.setAttribute('preferences', '');
}"""


async def usual(bell: BellPage) -> None:
    await expect(bell.rows.first).to_be_visible()
    await bell.rows.nth(1).hover()


async def closed(bell: BellPage) -> None:
    await bell.page.keyboard.press("Escape")
    await expect(bell.panel).to_be_hidden()


async def empty(bell: BellPage) -> None:
    await bell.run("client.become({ items: [] })")
    await expect(bell.page.locator(".notice")).to_be_visible()


async def loading(bell: BellPage) -> None:
    await bell.run("client.become({ items: [], loaded: false, status: 'connecting' })")
    await expect(bell.page.locator(".loading")).to_be_visible()


async def failed(bell: BellPage) -> None:
    await bell.run("client.become({ items: [], loaded: false, status: 'waiting' })")
    await expect(bell.page.locator(".notice .action")).to_be_visible()


async def offline(bell: BellPage) -> None:
    await bell.run("client.become({ status: 'waiting' })")
    await expect(bell.page.locator(".banner")).to_be_visible()


async def snoozing(bell: BellPage) -> None:
    await bell.rows.nth(1).hover()
    await bell.rows.nth(1).locator(".snooze").click()
    await expect(bell.page.get_by_role("menu")).to_be_visible()


async def settings(bell: BellPage) -> None:
    await bell.run(PREFERENCES)
    await bell.page.locator(".gear").click()
    await expect(bell.page.get_by_role("switch").first).to_be_visible()


async def toasts(bell: BellPage) -> None:
    await closed(bell)
    await bell.until("bell.shadowRoot.querySelector('.toasts') !== null")
    await bell.run("client.deliver({ title: 'Ada mentioned you', body: 'In the minutes.' }, { title: 'Paid' })")
    await expect(bell.toasts).to_have_count(2)


STATES: Mapping[str, Callable[[BellPage], Awaitable[None]]] = {
    "usual": usual,
    "closed": closed,
    "empty": empty,
    "loading": loading,
    "failed": failed,
    "offline": offline,
    "snoozing": snoozing,
    "settings": settings,
    "toasts": toasts,
}


@pytest_asyncio.fixture(params=list(LOOKS), scope="module", loop_scope="module")
async def look(request: pytest.FixtureRequest, browser: Browser, site: str) -> AsyncIterator[tuple[str, BellPage]]:
    name: str = request.param
    given = dict(LOOKS[name])
    scheme: Literal["light", "dark"] = given.pop("scheme")
    width, height = given.pop("size")
    given.pop("lang")
    bell = await BellPage.make(
        browser,
        site,
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        **given,
    )
    yield name, bell
    await bell.close()


async def test_every_state(look: tuple[str, BellPage]) -> None:
    name, bell = look
    lang = LOOKS[name]["lang"]
    direction = "rtl" if lang == "ar" else "ltr"
    (PICTURES / name).mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    for state, bring_about in STATES.items():
        if name not in ALL and state not in SOME:
            continue
        await bell.open(lang=lang, direction=direction, tabs="all, unread, archived", toasts="")
        await bell.until(
            "bell.shadowRoot.querySelector('[role=tab]') !== null && bell.words.tag === document.documentElement.lang"
        )
        await bring_about(bell)
        await bell.page.screenshot(path=PICTURES / name / f"{state}.png")
        found[state] = await violations(bell.page)
        if await bell.run("document.documentElement.scrollWidth > innerWidth"):
            found[state].append("something sticks out")
    assert {state: said for state, said in found.items() if said} == {}


async def test_on_a_phone_the_list_is_a_sheet_that_can_be_closed(browser: Browser, site: str) -> None:
    phone = {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True}
    bell = await BellPage.make(browser, site, **phone, reduced_motion="reduce")
    await bell.open()
    box = await bell.panel.bounding_box()
    assert box is not None
    assert [round(box[side]) for side in ("x", "y", "width", "height")] == [0, 0, 390, 700]
    await bell.page.get_by_role("button", name="Close").tap()
    await expect(bell.panel).to_be_hidden()
    await bell.close()


async def test_nothing_moves_for_those_who_do_not_want_it(browser: Browser, site: str) -> None:
    bell = await BellPage.make(browser, site, reduced_motion="reduce")
    await bell.open(toasts="")
    await bell.run("client.deliver({ title: 'Still' })")
    await expect(bell.rows.first).to_contain_text("Still")
    assert await bell.run("bell.shadowRoot.getAnimations().length") == 0
    await bell.close()


async def test_the_rows_are_there_before_the_list_is_opened(browser: Browser, site: str) -> None:
    bell = await BellPage.make(browser, site)
    async with bell.page.expect_request("**/bell/item-list.js"):
        await bell.open(shown=False)
    await bell.run("import('/bell/item-list.js').then(() => new Promise((resolve) => setTimeout(resolve)))")
    drawn = """new Promise((resolve) => {
      const panel = bell.shadowRoot.querySelector('.panel');
      panel.addEventListener('toggle', () => resolve(panel.querySelectorAll('li').length), { once: true });
      bell.show();
    })"""
    assert await bell.run(drawn) > 0
    await bell.close()


async def test_rows_that_could_not_be_fetched_are_fetched_again(browser: Browser, site: str) -> None:
    bell = await BellPage.make(browser, site)
    bell.expects_failures = True
    await bell.page.route("**/bell/item-list.js", lambda route: route.abort())
    await bell.open()
    again = bell.page.get_by_role("button", name="Try again")
    async with bell.page.expect_event("requestfailed"):
        await again.click()
    await expect(again).to_be_visible()
    await bell.page.unroute("**/bell/item-list.js")
    await again.click()
    await expect(bell.rows.first).to_be_visible()
    await expect(again).to_be_hidden()
    await bell.close()
