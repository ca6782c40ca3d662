"""The listener against a hub that runs: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from hub.client import (
    Arrived,
    AsyncBellwire,
    AsyncInbox,
    AudienceIn,
    Changed,
    Event,
    Item,
    Listener,
    Lost,
    Ready,
    Reread,
    StepIn,
    Unauthenticated,
)
from hub.client.comeback import Comeback
from tests.support.asgi_servers import API_KEY, ServedHub
from tests.support.clients import QUICK
from tests.support.cluster import until
from tests.support.listener import PATIENCE
from tests.support.proxy import Weather, proxy_to

_topics = itertools.count()


@pytest.fixture
async def bellwire(hub: ServedHub) -> AsyncIterator[AsyncBellwire]:
    async with AsyncBellwire(hub.url, API_KEY, patience=QUICK) as client:
        yield client


@pytest.fixture
def ada(hub: ServedHub) -> str:
    return hub.user()


@asynccontextmanager
async def listening(
    hub: ServedHub, user: str, cursor: str | None = None, *, port: int | None = None
) -> AsyncIterator[Listener]:
    """Listen, and come back at once after breaks; through `port`, if one is given."""
    url = hub.url if port is None else f"http://127.0.0.1:{port}"
    async with asyncio.timeout(PATIENCE), AsyncInbox(url, lambda: hub.token(user), patience=QUICK) as inbox:
        live = inbox.listen(cursor)
        live._comeback = Comeback(random.random, first=0.01, most=0.05)
        async with live:
            yield live


async def expect(live: Listener, kind: type[Event]) -> Event:
    """Return the next event, which must be of this kind."""
    event = await anext(live.events())
    assert isinstance(event, kind), event
    return event


async def take(live: Listener, number: int) -> list[Item]:
    """Return so many items."""
    items: list[Item] = []
    async for item in live:
        items.append(item)
        if len(items) == number:
            break
    return items


def titles(items: list[Item]) -> list[str]:
    return [item.title for item in items]


async def test_items_come_as_they_are_published(hub: ServedHub, bellwire: AsyncBellwire, ada: str) -> None:
    async with listening(hub, ada) as live:
        ready = await expect(live, Ready)
        assert isinstance(ready, Ready)
        assert ready.user == ada
        published = await bellwire.publish([ada], title="hello", data={"order": 7})
        async for item in live:
            assert (item.id, item.title, item.data) == (published.id, "hello", {"order": 7})
            break
        assert live.counts is not None
        assert live.counts.unread == 1


async def test_a_stored_cursor_loses_nothing(hub: ServedHub, bellwire: AsyncBellwire, ada: str) -> None:
    async with listening(hub, ada) as live:
        await expect(live, Ready)
        await hub.publish(ada, "one", "two", "three")
        assert titles(await take(live, 2)) == ["one", "two"]
        stored = live.cursor
    await hub.publish(ada, "four")
    async with listening(hub, ada, stored) as live:
        assert titles(await take(live, 2)) == ["three", "four"]
        await hub.publish(ada, "five")
        assert titles(await take(live, 1)) == ["five"]


async def test_a_cursor_of_the_first_page_misses_nothing(hub: ServedHub, ada: str) -> None:
    await hub.publish(ada, "before")
    async with AsyncInbox(hub.url, hub.token(ada)) as inbox:
        page = await inbox.page()
    await hub.publish(ada, "after")
    async with listening(hub, ada, page.cursor) as live:
        assert titles(await take(live, 1)) == ["after"]


async def test_connections_that_break_lose_and_double_nothing(hub: ServedHub, ada: str) -> None:
    weather = Weather(random.Random(3))
    weather.cut = 0.7
    wanted = [f"{number}" for number in range(20)]
    async with proxy_to(hub.port, weather) as proxy, listening(hub, ada, port=proxy.port) as live:
        while not isinstance(await anext(live.events()), Ready):
            pass
        publishing = asyncio.create_task(_publish_and_break(hub, ada, wanted, proxy.drop))
        assert titles(await take(live, len(wanted))) == wanted
        await publishing


async def _publish_and_break(hub: ServedHub, user: str, wanted: list[str], drop: Callable[[], None]) -> None:
    for title in wanted:
        await hub.publish(user, title)
        if title.endswith("5"):
            drop()


@pytest.mark.parametrize("broken", [False, True])
async def test_what_is_for_many_comes_once(hub: ServedHub, bellwire: AsyncBellwire, ada: str, *, broken: bool) -> None:
    topic = f"news-{next(_topics)}"
    await bellwire.join_topic(topic, [ada])
    async with proxy_to(hub.port) as proxy, listening(hub, ada, port=proxy.port) as live:
        await expect(live, Ready)
        await bellwire.publish(AudienceIn(topic=topic), title="for many")
        assert titles(await take(live, 1)) == ["for many"]
        assert live.counts is not None
        assert live.counts.unread == 1
        if broken:
            proxy.drop()
        await hub.publish(ada, "for one")
        assert titles(await take(live, 1)) == ["for one"]


async def test_what_others_do_is_told(hub: ServedHub, bellwire: AsyncBellwire, ada: str) -> None:
    async with AsyncInbox(hub.url, hub.token(ada)) as elsewhere, listening(hub, ada) as live:
        await expect(live, Ready)
        published = await bellwire.publish([ada], title="t")
        await expect(live, Arrived)
        await elsewhere.mark_read([published.id])
        changed = await expect(live, Changed)
        assert isinstance(changed, Changed)
        assert (list(changed.ids), set(changed.fields)) == ([published.id], {"seen_at", "read_at"})
        await bellwire.recall(published.id)
        changed = await expect(live, Changed)
        assert isinstance(changed, Changed)
        assert changed.fields == {"removed": True}


@pytest.mark.parametrize("cursor", ["not a cursor", "000000000000.1.0", "x" * 300])
async def test_a_cursor_that_is_good_for_nothing_means_reading_anew(hub: ServedHub, ada: str, cursor: str) -> None:
    await hub.publish(ada, "one", "two")
    async with listening(hub, ada, cursor) as live:
        reread = await expect(live, Reread)
        assert isinstance(reread, Reread)
        assert titles(list(reread.items)) == ["two", "one"]
        await expect(live, Ready)
        assert live.cursor != cursor
    async with listening(hub, ada, cursor) as live:
        assert titles(await take(live, 1)) == ["one"], "as items they come in their order"
        assert live.cursor == cursor, "the other one is still to come"
        assert titles(await take(live, 1)) == ["two"]
        await hub.publish(ada, "three")
        assert titles(await take(live, 1)) == ["three"]


async def test_what_is_handled_counts_as_delivered(hub: ServedHub, bellwire: AsyncBellwire, ada: str) -> None:
    plan = [StepIn("push", "10m", unless="delivered")]
    async with listening(hub, ada) as live:
        await expect(live, Ready)
        handled = await bellwire.publish([ada], title="handled", fallback=plan)
        in_hand = await bellwire.publish([ada], title="in hand", fallback=plan)
        async for item in live:
            if item.id == in_hand.id:
                break

    async def cancelled() -> bool:
        return (await bellwire.notification(handled.id)).deliveries[0].state == "cancelled"

    await until(cancelled)
    assert (await bellwire.notification(in_hand.id)).deliveries[0].state == "cancelled", "the block ended well"


async def test_users_who_are_disconnected_come_back(hub: ServedHub, bellwire: AsyncBellwire, ada: str) -> None:
    async with listening(hub, ada) as live:
        await expect(live, Ready)
        await bellwire.disconnect(ada)
        await expect(live, Lost)
        await expect(live, Ready)


async def test_a_token_that_proves_nothing_is_told(hub: ServedHub) -> None:
    async with asyncio.timeout(PATIENCE), AsyncInbox(hub.url, "a.b.c") as inbox, inbox.listen() as live:
        live._comeback = Comeback(random.random, renewed=0.0)
        with pytest.raises(Unauthenticated):
            await take(live, 1)
