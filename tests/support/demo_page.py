"""The demo page as its tests talk of it."""

from __future__ import annotations

from typing import Any

import httpx2
from playwright.async_api import ConsoleMessage, Locator, Page, expect

_REPORTED_ANYWAY = ("Failed to load resource", "WebSocket connection to")
"""How the browser itself reports a server that is away, or an answer that is an error."""


class DemoPage:
    """A page with Ada and Grace; `complaints` has what the console and the content policy said."""

    def __init__(self, page: Page, url: str, api_key: str) -> None:
        self.page = page
        self.url = url
        self.expects_failures = False
        self._api_key = api_key
        self._complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("dialog", lambda dialog: self._complaints.append(f"dialog: {dialog.message}"))

    def erase(self) -> None:
        """Let both begin anew, but for the mailbox."""
        for user in ("ada", "grace"):
            self._call("DELETE", f"/v1/users/{user}")

    async def open(self) -> None:
        """Load the page, and wait until both are live."""
        await self.page.add_init_script(
            "window.violations = []; document.addEventListener('securitypolicyviolation',"
            " (event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI))"
        )
        await self.page.goto(self.url)
        for user in ("ada", "grace"):
            await self.until(user, "online")

    async def complaints(self) -> list[str]:
        """Return what went wrong in the browser so far."""
        violations: list[str] = await self.page.evaluate("window.violations")
        return self._complaints + violations

    def window(self, user: str) -> Locator:
        return self.page.locator(f".person[data-user={user}]")

    def bell(self, user: str) -> Locator:
        return self.window(user).locator("notification-bell .bell")

    def badge(self, user: str) -> Locator:
        return self.window(user).locator("notification-bell .badge")

    def rows(self, user: str) -> Locator:
        return self.window(user).locator("notification-bell li")

    def story(self, user: str) -> Locator:
        """What the page tells of the last notification, for this user."""
        return self.page.locator(f".way[data-user={user}] .why")

    @property
    def mails(self) -> Locator:
        return self.page.locator(".mailbox .list li")

    async def until(self, user: str, status: str) -> None:
        """Wait for the status of a user's client."""
        await expect(self.window(user)).to_have_attribute("data-status", status)

    async def switch(self, user: str, label: str) -> None:
        await self.window(user).locator("label").filter(has_text=label).click()

    async def publish_by_form(self, to: str, title: str, *, after: int, unless: str = "seen") -> None:
        await self.page.locator("#publish label").filter(has_text=to).click()
        await self.page.locator("[name=title]").fill(title)
        await self.page.locator("[name=after]").fill(str(after))
        await self.page.locator("[name=unless]").select_option(unless)
        await self.page.locator("#publish .primary").click()
        await expect(self.page.locator(".what strong")).to_have_text(title)

    def publish(self, *users: str, title: str, **more: Any) -> str:
        """Publish as a back-end service does (to a shared audience with `recipients`); returns the id."""
        return str(self._call("POST", "/v1/notifications", {"recipients": users, "title": title, **more})["id"])

    def join(self, topic: str, *users: str) -> None:
        self._call("PUT", f"/v1/topics/{topic}/members", {"users": users})

    def leave(self, topic: str, *users: str) -> None:
        self._call("DELETE", f"/v1/topics/{topic}/members", {"users": users})

    def recall(self, notification: str) -> None:
        self._call("DELETE", f"/v1/notifications/{notification}")

    def revoke(self, user: str) -> None:
        """Revoke a user's tokens as a back-end service does."""
        self._call("POST", "/v1/tokens/revoke", {"user": user})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._api_key}"}
        answer = httpx2.request(method, f"{self.url}{path}", headers=headers, json=body, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if not (self.expects_failures and any(words in message.text for words in _REPORTED_ANYWAY)):
            self._complaints.append(message.text)
