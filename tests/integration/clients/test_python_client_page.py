"""Every snippet of `docs/python-client.md` runs, one after the other, against a hub."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from hub.client import AsyncBellwire, AsyncInbox, Bellwire, Inbox, Item
from tests.support.asgi_servers import API_KEY, ServedHub
from tests.support.listener import PATIENCE

PAGE = (Path(__file__).parents[3] / "docs" / "python-client.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


class Enough(Exception):
    """The reader of the page has seen what the snippet shows."""


async def test_the_page(hub: ServedHub) -> None:
    cursors: list[str | None] = []
    handled: list[str] = []

    def handle(item: Item) -> None:
        if item.title == "Last":
            raise Enough
        handled.append(item.title)

    names: dict[str, Any] = {
        "api_key": API_KEY,
        "token_of": hub.token,
        "load_cursor": lambda: cursors[-1],
        "store_cursor": cursors.append,
        "handle": handle,
    }
    async with AsyncInbox(hub.url, hub.token("ada")) as ada:
        cursors.append((await ada.page()).cursor)  # from before everything
    assert len(SNIPPETS) == 10
    for snippet in SNIPPETS:
        source = snippet.replace("http://127.0.0.1:8000", hub.url)
        code = compile(source, "python-client.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        async with asyncio.timeout(PATIENCE), _publishing(hub, when="listen(" in snippet):
            with suppress(Enough):
                running = eval(code, names)  # noqa: S307 - our own documentation
                if inspect.iscoroutine(running):
                    await running
    for client in names.values():
        if isinstance(client, Bellwire):
            client.close()
    assert handled[:2] == ["Paid", "Your report is ready"], "what was recalled is not told"
    assert len(cursors) > 2


@asynccontextmanager
async def _publishing(hub: ServedHub, *, when: bool) -> AsyncIterator[None]:
    """Publish the last item again and again, so that whoever begins to listen hears of one."""

    async def publish() -> None:
        async with AsyncBellwire(hub.url, API_KEY) as bellwire:
            while True:
                await bellwire.publish(["ada"], title="Last")

    task = asyncio.create_task(publish()) if when else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def test_the_page_lists_every_method() -> None:
    listed = set(re.findall(r"`(\w+)", PAGE[PAGE.index("## All methods") :]))
    methods = {name for kind in (Bellwire, Inbox) for name in vars(kind) if not name.startswith("_")}
    assert methods <= listed
