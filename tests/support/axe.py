"""What axe, the accessibility checker, has to say of a page."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page


async def violations(page: Page) -> list[str]:
    """Return what it finds, a line for each element."""
    results = await Axe().run(page)
    return [f"{found['id']}: {node['html']}" for found in results.response["violations"] for node in found["nodes"]]
