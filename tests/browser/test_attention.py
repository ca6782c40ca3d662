"""When a page counts as looked at: real pages in the background, and a clock that is put forward."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.scripted_hub import ScriptedHub
from tests.support.unwatched_page import UnwatchedPage

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLLOW = """async () => {
  const { followAttention } = await import('/static/attention.js');
  window.told = [];
  window.ending = new AbortController();
  followAttention({ setAttention: (state) => told.at(-1) !== state && told.push(state) }, { signal: ending.signal });
}"""

IDLE_MS = 180_000


@pytest_asyncio.fixture(loop_scope="module")
async def origin() -> AsyncIterator[str]:
    hub = ScriptedHub()
    async with hub.serving():
        yield f"http://127.0.0.1:{hub.port}/"


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, origin: str) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    await page.clock.install(time=0)
    await page.goto(origin)
    await page.clock.pause_at(1_000)
    await page.evaluate(FOLLOW)
    yield page
    await context.close()


async def test_nobody_looks_at_a_page_without_any_sign_of_life(page: Page) -> None:
    await page.clock.run_for(IDLE_MS - 1)
    assert await page.evaluate("told") == ["active"]
    await page.clock.run_for(1)
    assert await page.evaluate("told") == ["active", "away"]


@pytest.mark.parametrize("sign", ["keyboard", "pointer", "focus"])
async def test_a_sign_of_life_puts_it_off_and_brings_it_back_at_once(page: Page, sign: str) -> None:
    async def give() -> None:
        if sign == "keyboard":
            await page.keyboard.press("a")
        elif sign == "pointer":
            await page.mouse.move(3, 4)
            await page.mouse.move(5, 6)
        else:
            await page.evaluate("dispatchEvent(new Event('focus'))")

    await page.clock.run_for(IDLE_MS - 1)
    await give()
    await page.clock.run_for(IDLE_MS - 1)
    assert await page.evaluate("told") == ["active"]
    await page.clock.run_for(1)
    assert await page.evaluate("told") == ["active", "away"]
    await give()
    assert await page.evaluate("told") == ["active", "away", "active"]


async def test_nothing_is_told_once_it_has_ended(page: Page) -> None:
    await page.evaluate("ending.abort()")
    await page.clock.run_for(2 * IDLE_MS)
    await page.keyboard.press("a")
    assert await page.evaluate("told") == ["active"]


async def test_a_page_out_of_sight_is_left_after_a_second_and_a_glance_elsewhere_is_nothing(page: Page) -> None:
    hide = """(state) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    await page.evaluate(hide, "hidden")
    await page.clock.run_for(999)
    await page.evaluate(hide, "visible")
    await page.clock.run_for(5_000)
    assert await page.evaluate("told") == ["active"]
    await page.evaluate(hide, "hidden")
    await page.clock.run_for(1_000)
    assert await page.evaluate("told") == ["active", "away"]
    await page.evaluate(hide, "visible")
    assert await page.evaluate("told") == ["active", "away", "active"]


async def test_a_real_page_in_the_background_is_away(browser: Browser, origin: str) -> None:
    page = await UnwatchedPage.open(browser)
    await page.goto(origin)
    await page.evaluate(FOLLOW)
    assert await page.evaluate("told") == ["active"]
    await page.freeze()  # hides it first
    await page.thaw()
    await page.evaluate("async () => { while (told.length < 2) await new Promise((next) => setTimeout(next, 20)); }")
    assert await page.evaluate("told") == ["active", "away"]
    await page.close()
