"""A page with a `<notification-bell>` whose inbox is made up, under the strictest content policy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Route, expect

from tests.support.process import PATIENCE
from tests.support.static_site import STRICT

_BLANK = """<!doctype html><html lang="{lang}" dir="{direction}"><head><meta charset="utf-8"><title>App</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"></head>
<body><main><h1>App</h1></main></body></html>"""

_START = """async ([attributes, items]) => {
  window.violations = [];
  document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective));
  const { NotificationBell } = await import('/define.js');
  const sample = await import('/demo/sample-client.js');
  const bell = document.createElement('notification-bell');
  for (const [name, value] of Object.entries(attributes)) bell.setAttribute(name, value);
  const client = new sample.SampleClient(typeof items === 'number' ? sample.sampleItems(items)
    : items?.map((item, index) => sample.sampleItem(item, Date.now() - 1000 * index)));
  Object.assign(window, { bell, client, sample, heard: [], NotificationBell });
  for (const type of ['open', 'action', 'toggle']) {
    bell.addEventListener('notification-' + type, (event) => {
      if (type !== 'toggle') event.preventDefault();
      window.heard.push([type, event.detail]);
    });
  }
  bell.client = client;
  document.querySelector('main').append(bell);
}"""


class BellPage:
    """The page and its bell; `complaints` has what the console and the content policy said."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.expects_failures = False
        self._origin = origin
        self._complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("dialog", lambda dialog: self._complaints.append(f"dialog: {dialog.message}"))

    @classmethod
    async def make(cls, browser: Browser, origin: str, **context: Any) -> Self:
        """Open a context of its own in the browser."""
        made = await browser.new_context(**{"viewport": {"width": 900, "height": 760}, **context})
        return cls(await made.new_page(), origin)

    async def open(
        self,
        *,
        items: int | list[dict[str, Any]] | None = None,
        lang: str = "en",
        direction: str = "ltr",
        shown: bool = True,
        policy: Mapping[str, str] = STRICT,
        **attributes: str,
    ) -> None:
        """Load the page anew with these items (a number: so many samples) and attributes; `shown` opens the list."""

        async def blank(route: Route) -> None:
            await route.fulfill(
                body=_BLANK.format(lang=lang, direction=direction), content_type="text/html", headers=dict(policy)
            )

        await self.page.route("**/app", blank)
        await self.page.goto(f"{self._origin}/app")
        named = {name.replace("_", "-"): value for name, value in attributes.items()}
        await self.page.evaluate(_START, [named, items])
        if shown:
            await self.button.click()
            await expect(self.panel).to_be_visible()

    @property
    def button(self) -> Locator:
        return self.page.locator("notification-bell .bell")

    @property
    def badge(self) -> Locator:
        return self.page.locator("notification-bell .badge")

    @property
    def panel(self) -> Locator:
        return self.page.locator("notification-bell .panel")

    @property
    def rows(self) -> Locator:
        return self.page.locator("notification-bell li")

    @property
    def titles(self) -> Locator:
        return self.page.locator("notification-bell li .title")

    @property
    def toasts(self) -> Locator:
        return self.page.locator("notification-bell .toast")

    async def run(self, script: str, argument: Any = None) -> Any:
        """Evaluate with `bell`, `client` and `sample` in reach; returns what it gives.

        A script that ends in a function has that called: statements belong into `() => { … }`.
        """
        return await self.page.evaluate(script, argument)

    async def until(self, condition: str) -> None:
        """Wait until an expression is true at the end of a frame."""
        look = f"const look = () => (({condition}) ? resolve() : requestAnimationFrame(look)); look();"
        async with asyncio.timeout(PATIENCE):
            await self.page.evaluate(f"new Promise((resolve) => {{ {look} }})")

    async def close(self) -> None:
        """Close it; nothing may have gone wrong that only the console tells."""
        violations: list[str] = await self.page.evaluate("window.violations ?? []")
        await self.page.context.close()
        said = self._complaints + violations
        assert said == [], said

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (self.expects_failures and "Failed to load" in message.text):
            self._complaints.append(message.text)
