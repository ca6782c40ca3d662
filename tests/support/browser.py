"""The Chromium that is on this machine, driven by Playwright; none is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.support.services import missing

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str:
    """Return the browser's path (`$CHROMIUM`, if set); fail, or with `REQUIRE_SERVICES=0` skip, if there is none."""
    given = os.environ.get("CHROMIUM")
    names = (given,) if given else _NAMES
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing("Chromium", FileNotFoundError(f"looked for {', '.join(names)}; on Debian: apt-get install chromium"))
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run the browser, without a window."""
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()
