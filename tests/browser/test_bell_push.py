"""Web push: asking for it, what the service worker shows, and what a click on that does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Worker, expect

from tests.support.bell_page import BellPage
from tests.support.static_site import WITHOUT_TRUSTED_TYPES

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBSCRIBE = """(works) => {
  const subscription = { endpoint: 'https://push.example/1', unsubscribe: async () => (window.current = null) };
  window.current = null;
  PushManager.prototype.getSubscription = async () => window.current;
  PushManager.prototype.subscribe = async (options) => {
    window.asked = [options.userVisibleOnly, options.applicationServerKey];
    if (!works) throw new DOMException('no push service', 'AbortError');
    return (window.current = subscription);
  };
  window.calls = [];
  client.answer = (path, options) => {
    calls.push([path, options?.body]);
    return new Response('{}', { status: window.hubStatus ?? 201 });
  };
}"""
"""Chromium's own push service is on the internet: these stand in for it."""


@pytest_asyncio.fixture(loop_scope="module")
async def bell(browser: Browser, site: str) -> AsyncIterator[BellPage]:
    bell = await BellPage.make(browser, site, permissions=["notifications"])
    yield bell
    await bell.close()


async def offer(bell: BellPage, *, works: bool = True) -> None:
    await bell.open(policy=WITHOUT_TRUSTED_TYPES)
    await bell.run(SUBSCRIBE, works)
    await bell.run("() => { bell.setAttribute('push-key', 'BPublic'); bell.setAttribute('push', '/webpush-sw.js'); }")
    await bell.page.get_by_role("button", name="Settings").click()


async def test_the_hub_is_told_of_a_browser_that_is_subscribed(bell: BellPage) -> None:
    await offer(bell)
    switch = bell.page.get_by_role("switch", name="Notifications of this browser")
    await expect(switch).not_to_be_checked()
    await switch.click()
    await bell.until("calls.length === 1")
    await expect(switch).to_be_checked()
    assert await bell.run("asked") == [True, "BPublic"]
    ((path, body),) = await bell.run("calls")
    assert path == "/v1/users/sample/devices"
    assert body["kind"] == "webpush"
    assert json.loads(body["token"])["endpoint"] == "https://push.example/1"
    await switch.click()
    await bell.until("current === null")


@pytest.mark.parametrize("works", [True, False], ids=["the hub refuses", "no push service"])
async def test_what_does_not_work_is_said_and_undone(bell: BellPage, works: bool) -> None:  # noqa: FBT001 - a parameter
    await offer(bell, works=works)
    await bell.run("window.hubStatus = 422")
    switch = bell.page.get_by_role("switch", name="Notifications of this browser")
    await switch.click()
    await expect(bell.page.get_by_role("alert")).to_have_text("That did not work. Please try again later.")
    await expect(switch).not_to_be_checked()
    assert await bell.run("current") is None


async def test_a_page_may_register_the_endpoint_itself(bell: BellPage) -> None:
    await offer(bell)
    await bell.run(
        """() => bell.addEventListener('push-subscription', (event) => {
          event.preventDefault();
          window.own = event.detail.subscription.endpoint;
        })"""
    )
    await bell.page.get_by_role("switch").click()
    await bell.until("window.own === 'https://push.example/1'")
    await expect(bell.page.get_by_role("switch")).to_be_checked()
    assert await bell.run("calls") == []


async def test_a_page_may_have_a_worker_of_its_own(bell: BellPage) -> None:
    await bell.open(policy=WITHOUT_TRUSTED_TYPES)
    await bell.run("navigator.serviceWorker.register('/webpush-sw.js').then(() => true)")
    await bell.open()  # under Trusted Types a script can't register one by its name
    await bell.run(SUBSCRIBE, True)
    await bell.run("() => { bell.setAttribute('push-key', 'BPublic'); bell.setAttribute('push', ''); }")
    await bell.page.get_by_role("button", name="Settings").click()
    await bell.page.get_by_role("switch").click()
    await bell.until("calls.length === 1")


async def push(session: CDPSession, registration: str, origin: str, data: str) -> None:
    await session.send(
        "ServiceWorker.deliverPushMessage", {"origin": origin, "registrationId": registration, "data": data}
    )


SHOWN = """async (count) => {
  for (;;) {
    const shown = await registration.getNotifications();
    if (shown.length >= count) return shown.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}"""

FORGOTTEN = """async () => {
  const opened = await caches.open('bellwire-opened');
  while ((await opened.keys()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  return true;
}"""

CLICK = """async (tag) => {
  const [notification] = await registration.getNotifications({ tag });
  self.dispatchEvent(new NotificationEvent('notificationclick', { notification }));
}"""


async def test_what_is_pushed_is_shown_and_a_click_marks_it_read(bell: BellPage) -> None:
    await offer(bell)
    session = await bell.page.context.new_cdp_session(bell.page)
    registrations: list[str] = []

    def note(event: dict[str, Any]) -> None:
        registrations.extend(one["registrationId"] for one in event["registrations"])

    session.on("ServiceWorker.workerRegistrationUpdated", note)
    await session.send("ServiceWorker.enable")
    await bell.run("navigator.serviceWorker.ready.then(() => true)")
    worker: Worker = bell.page.context.service_workers[0]
    (registration,) = set(registrations)
    origin = await bell.run("location.origin")

    good = {"id": "019c", "title": "Shipped", "body": "Today", "action_url": "/orders/1"}
    await push(session, registration, origin, json.dumps(good))
    (shown,) = await worker.evaluate(SHOWN, 1)
    assert shown == {
        "title": "Shipped",
        "body": "Today",
        "tag": "019c",
        "data": {"id": "019c", "url": f"{origin}/orders/1"},
    }
    await bell.run("() => { calls.length = 0; window.hubStatus = 200; }")
    await worker.evaluate(CLICK, "019c")
    await bell.until("calls.length === 1")
    assert await bell.run("calls[0]") == ["/v1/inbox/read", {"ids": ["019c"]}]
    assert await bell.run(FORGOTTEN)

    evil = {"id": 7, "title": "x" * 5_000, "body": None, "action_url": "javascript:alert(1)", "icon": "//evil.example"}
    await push(session, registration, origin, json.dumps(evil))
    await push(session, registration, origin, "no JSON")
    shown = await worker.evaluate(SHOWN, 2)
    assert sorted((len(one["title"]), one["data"]["url"]) for one in shown) == [(12, None), (200, None)]
