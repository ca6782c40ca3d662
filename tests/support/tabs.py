"""Tabs of a browser with a client each, and what the hub says that they should show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

import httpx2
from playwright.async_api import BrowserContext

from tests.support.cluster import API_KEY, token
from tests.support.process import PATIENCE

_LOOK_AGAIN = 0.05
"""Seconds between two looks at what announces nothing."""

_START = """async ([token, options]) => {
  const { BellwireClient } = await import('/static/client.js');
  window.tokens ??= [token];
  window.asked = 0;
  const give = () => window.tokens[Math.min(window.asked++, window.tokens.length - 1)];
  const client = new BellwireClient({ token: give, ...options });
  window.client = client;
  window.failures = [];
  window.arrived = [];
  client.addEventListener('failure', ({ detail }) => window.failures.push(detail));
  client.addEventListener('arrival', ({ detail }) => window.arrived.push(...detail.items.map(({ id }) => id)));
  client.start();
}"""

_VIEW = """JSON.stringify([
  client.items.map((item) => [item.id, item.seen_at !== null, item.read_at !== null]), client.counts,
])"""

_UNTIL = """([condition]) => new Promise((resolve) => {
  const holds = new Function('return ' + condition);
  const look = () => holds() && (stop.abort(), resolve());
  const stop = new AbortController();
  for (const type of ['change', 'status', 'failure']) client.addEventListener(type, look, { signal: stop.signal });
  look();
})"""


class Page(Protocol):
    """What a tab needs of a page, Playwright's or an `UnwatchedPage`."""

    async def goto(self, url: str) -> object: ...

    async def evaluate(self, expression: str, arg: object = None, /) -> Any: ...

    async def close(self) -> None: ...


class Tab:
    """A page with a client in `window.client`; `failures` and `arrived` are beside it."""

    def __init__(self, page: Page, user: str) -> None:
        self.page = page
        self.user = user

    @classmethod
    async def open(cls, context: BrowserContext, url: str, user: str, **options: Any) -> Self:
        """Open a tab; its client has been started."""
        return await cls.on(await context.new_page(), url, user, **options)

    @classmethod
    async def on(cls, page: Page, url: str, user: str, **options: Any) -> Self:
        """Use a page; its client has been started."""
        await page.goto(f"{url}/healthz")
        tab = cls(page, user)
        await tab.start(**options)
        return tab

    async def start(self, **options: Any) -> None:
        """Make a client and start it; `shareConnection` and the like go to its constructor."""
        await self.page.evaluate(_START, [token(self.user), options])

    async def until(self, condition: str) -> None:
        """Wait for a condition in JavaScript that an event of the client brings.

        Raises:
            AssertionError: it did not come in time.

        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self.page.evaluate(_UNTIL, [condition])
        except TimeoutError:
            state = await self.get(
                "[client.status, client.transport, client.leads, client.counts, client.items.length]"
            )
            raise AssertionError(f"{condition} has not come; the client says {state}") from None

    async def live(self) -> None:
        await self.until("client.status === 'online' && client.loaded")

    async def shows(self, view: str) -> None:
        """Wait until it shows what `Hub.view` gave."""
        await self.until(f"{_VIEW} === {json.dumps(view)}")

    async def get(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def close(self) -> None:
        await self.page.close()


class Hub:
    """The hub as back-end services and operators see it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.AsyncClient(trust_env=False, timeout=PATIENCE)

    async def close(self) -> None:
        await self._http.aclose()

    async def publish(self, user: str, title: str = "t") -> str:
        body = {"recipients": [user], "title": title}
        return str((await self._call("POST", "/v1/notifications", API_KEY, body))["id"])

    async def publish_to_topic(self, topic: str, title: str = "t") -> str:
        body = {"recipients": {"topic": topic}, "title": title}
        return str((await self._call("POST", "/v1/notifications", API_KEY, body))["id"])

    async def join(self, topic: str, user: str) -> None:
        await self._call("PUT", f"/v1/topics/{topic}/members", API_KEY, {"users": [user]})

    async def view(self, user: str) -> str:
        """Return what the newest page of the database would look like in a client."""
        page = await self._call("GET", "/v1/inbox?limit=25", token(user))
        items = [[item["id"], item["seen_at"] is not None, item["read_at"] is not None] for item in page["data"]]
        counts = {"unread": page["unread_count"], "unseen": page["unseen_count"]}
        return json.dumps([items, counts], separators=(",", ":"))

    async def presence(self, user: str) -> tuple[int, str]:
        """Return how many connections a user has, and the attention."""
        told = await self._call("GET", f"/v1/users/{user}/presence", API_KEY)
        return told["connections"], told["attention"]

    async def mark(self, user: str, action: str, *ids: str) -> None:
        """Do what another device of the user does."""
        await self._call("POST", f"/v1/inbox/{action}", token(user), {"ids": ids})

    async def _call(self, method: str, path: str, credential: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {credential}"}
        answer = await self._http.request(method, f"{self.url}{path}", headers=headers, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


async def eventually(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Wait until something outside the browser, that announces nothing, is as wanted."""
    found = None
    try:
        async with asyncio.timeout(PATIENCE):
            while (found := await look()) != wanted:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        raise AssertionError(f"it stayed {found}, not {wanted}") from None
