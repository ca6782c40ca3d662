"""A real hub and a real browser for the tests of a file; each finds the demo's users as if they were new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.browser import chromium
from tests.support.demo_page import DemoPage
from tests.support.process import REPOSITORY, BellwireProcess
from tests.support.static_site import STRICT, static_site

PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hub keeps its data."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def hub(data: Path) -> Iterator[BellwireProcess]:
    """`bellwire serve` with a database of its own, in development."""
    with BellwireProcess("serve", env={"BELLWIRE_DATA_DIR": str(data)}) as process:
        yield process


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """`static/` on an origin of its own, without a hub, under the strictest content policy."""
    with static_site(REPOSITORY / "static", STRICT) as origin:
        yield origin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def demo(hub: BellwireProcess, browser: Browser, data: Path) -> AsyncIterator[DemoPage]:
    """The demo page with both users live; afterwards nothing may have gone wrong that only the console tells."""
    key = (data / "api-key").read_text().strip()
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    demo = DemoPage(await context.new_page(), hub.url, key)
    demo.erase()
    await demo.open()
    yield demo
    assert await demo.complaints() == []
    await context.close()
