"""A page that can be hidden and frozen: Playwright makes those that it drives believe that they have the focus."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, Self

from playwright.async_api import Browser, CDPSession


class UnwatchedPage:
    """As much of Playwright's `Page` as tabs need, in the browser's default context, driven by CDP alone."""

    def __init__(self, browser: CDPSession, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        browser.on("Target.receivedMessageFromTarget", self._receive)

    @classmethod
    async def open(cls, browser: Browser) -> Self:
        """Open an empty page."""
        session = await browser.new_browser_cdp_session()
        target = (await session.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        attached = await session.send("Target.attachToTarget", {"targetId": target})
        page = cls(session, target, attached["sessionId"])
        await page._send("Page.enable")
        return page

    async def goto(self, url: str) -> None:
        """Navigate; returns once a script can run there."""
        await self._send("Page.navigate", url=url)
        await self.evaluate("() => 0")

    async def evaluate(self, expression: str, argument: object = None, /) -> Any:
        """Evaluate an expression, or call a function with an argument.

        Raises:
            AssertionError: it threw.

        """
        called = f"({expression})({json.dumps(argument)})" if "=>" in expression else expression
        answer = await self._send("Runtime.evaluate", expression=called, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def freeze(self) -> None:
        """Hide it, and stop its scripts, as browsers do with tabs of no interest."""
        await self._send("Page.setWebLifecycleState", state="frozen")

    async def thaw(self) -> None:
        """Let its scripts go on."""
        await self._send("Page.setWebLifecycleState", state="active")

    async def close(self) -> None:
        """Close it."""
        await self._browser.send("Target.closeTarget", {"targetId": self._target})

    async def _send(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        message = json.dumps({"id": number, "method": method, "params": parameters})
        await self._browser.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        return await answer

    def _receive(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if event["sessionId"] == self._session and "id" in message:
            self._answers.pop(message["id"]).set_result(message["result"])
