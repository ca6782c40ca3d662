"""Clients of a hub that is killed and started again: what was accepted is there once, and is heard of once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from hub.client import Arrived, AsyncInbox, Lost, Patience, Ready
from hub.client.comeback import Comeback
from tests.support.asgi_servers import API_KEY, SERVERS, ServedHub
from tests.support.clients import DRIVERS, inbox, publisher
from tests.support.process import PATIENCE
from tests.support.proxy import Weather, proxy_to

PERSISTENT = Patience(attempts=1_000, first_wait=0.02, longest_wait=0.05, deadline=2 * PATIENCE)


class Storm(Weather):
    """Swallows the first answer, and lets nothing through until it is over."""

    def __init__(self) -> None:
        super().__init__(random.Random(0))
        self.swallowed = asyncio.Event()
        self.over = False
        self._first = True

    def bytes_to_live(self) -> int | None:
        if self._first:
            self._first = False
            return 1
        self.swallowed.set()  # who connects again has lost the answer
        return None if self.over else 0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with ServedHub(SERVERS[0], tmp_path_factory.mktemp("hub")) as hub:
        yield hub


async def test_a_publish_whose_hub_died_before_its_answer_arrived(hub: ServedHub) -> None:
    users, storms = {driver: hub.user() for driver in DRIVERS}, {driver: Storm() for driver in DRIVERS}
    async with asyncio.timeout(2 * PATIENCE), AsyncExitStack() as stack:
        publishing = []
        for driver, storm in storms.items():
            proxy = await stack.enter_async_context(proxy_to(hub.port, storm))
            url = f"http://127.0.0.1:{proxy.port}"
            client = await stack.enter_async_context(publisher(driver, url, API_KEY, PERSISTENT))
            publishing.append(asyncio.create_task(client.call("publish", [users[driver]], title="once")))
            await storm.swallowed.wait()
        await asyncio.to_thread(hub.kill)
        await asyncio.to_thread(hub.start)
        for storm in storms.values():
            storm.over = True
        assert [each.replayed for each in await asyncio.gather(*publishing)] == [True, True]
    for driver, user in users.items():
        async with inbox(driver, hub.url, hub.token(user)) as client:
            assert [item.title for item in await client.all("items")] == ["once"]


async def test_a_listener_outlives_its_hub(hub: ServedHub) -> None:
    user = hub.user()
    async with asyncio.timeout(2 * PATIENCE), AsyncInbox(hub.url, lambda: hub.token(user)) as client:
        live = client.listen()
        live._comeback = Comeback(random.random, first=0.05, most=0.1)
        async with live:
            assert isinstance(await anext(live.events()), Ready)
            await hub.publish(user, "before")
            heard = [await anext(aiter(live))]
            await asyncio.to_thread(hub.kill)
            assert isinstance(await anext(live.events()), Lost)
            await asyncio.to_thread(hub.start)
            await hub.publish(user, "after")
            # Told while catching up, or right after: the cursor covers it once both have come.
            events = [await anext(live.events()) for _ in range(2)]
            heard += [event.item for event in events if isinstance(event, Arrived)]
            stored = live.cursor
        await hub.publish(user, "later")
        async with client.listen(stored) as live:
            heard.append(await anext(aiter(live)))
    assert [item.title for item in heard] == ["before", "after", "later"]
