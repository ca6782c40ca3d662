"""The clients for asyncio. Everything but the sending itself is in the calls, which `sync` shares."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx2

from hub.client import inboxes, operating, people, publishing
from hub.client.calls import Call, Outcome, Series
from hub.client.http import LIMITS, address, answer_of, bearer, broken_by, headers_of, timeout_of
from hub.client.listener import Attention, Listener
from hub.client.naming import named_like
from hub.client.tries import Done, Patience, Tries
from hub.client.types import Item

P = ParamSpec("P")
T = TypeVar("T")


class AsyncConnection:
    """Sends calls to one hub, and tries again what broke. Tasks of one event loop may share it."""

    def __init__(
        self,
        url: str,
        authorization: Callable[[], Awaitable[str]],
        *,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` takes the place of the network: for tests, or certificates of your own."""
        self._url = address(url)
        self._authorization = authorization
        self._patience = patience or Patience()
        self._http = httpx2.AsyncClient(timeout=timeout_of(self._patience), limits=LIMITS, transport=transport)

    async def send(self, call: Call[T]) -> T:
        """Make a call; see `Tries.judge` for what it raises."""
        tries = Tries(call, self._patience, now=time.monotonic(), random=random.random)
        while True:
            verdict = tries.judge(await self._attempt(call), time.monotonic())
            if isinstance(verdict, Done):
                return verdict.value
            await asyncio.sleep(verdict.seconds)

    async def send_all(self, series: Series[T]) -> AsyncIterator[T]:
        """Make calls as their results are asked for, and give what is on each page."""
        try:
            call = next(series)
            while True:
                page = await self.send(call)
                for each in page.data:
                    yield each
                call = series.send(page)
        except StopIteration:
            return

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _attempt(self, call: Call[T]) -> Outcome:
        headers = headers_of(call, await self._authorization())
        try:
            response = await self._http.request(
                call.method, self._url + call.path, params=call.query or None, content=call.body, headers=headers
            )
        except httpx2.RequestError as error:
            return broken_by(error)
        return answer_of(response)


def _call(make: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncConnection, P], Coroutine[Any, Any, T]]:
    """Make a method that sends a call."""

    async def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(make(*args, **kwargs))

    return named_like(make, method, "{}")


def _list(make: Callable[P, Series[T]]) -> Callable[Concatenate[AsyncConnection, P], AsyncIterator[T]]:
    """Make a method that sends a series of calls."""

    def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.send_all(make(*args, **kwargs))

    return named_like(make, method, "AsyncIterator[{}]")


class AsyncBellwire(AsyncConnection):
    """`hub.client.Bellwire` for asyncio: the same methods, to be awaited or iterated with `async for`."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        value = bearer(api_key, "the API key")

        async def authorization() -> str:
            return value

        super().__init__(url, authorization, patience=patience, transport=transport)

    publish = _call(publishing.publish)
    publish_notification = _call(publishing.publish_notification)
    publish_many = _list(publishing.publish_many)
    publish_event = _call(publishing.publish_event)
    rehearse = _call(publishing.rehearse)
    notification = _call(publishing.notification)
    recall = _call(publishing.recall)

    put_user = _call(people.put_user)
    user = _call(people.user)
    erase_user = _call(people.erase_user)
    export_user = _call(people.export_user)
    add_device = _call(people.add_device)
    devices = _call(people.devices)
    remove_device = _call(people.remove_device)
    presence = _call(people.presence)
    disconnect = _call(people.disconnect)
    join_topic = _call(people.join_topic)
    leave_topic = _call(people.leave_topic)
    members = _list(people.members)
    members_page = _call(people.members_page)
    topics_of = _call(people.topics_of)

    queues = _call(operating.queues)
    queue = _call(operating.queue)
    pause_queue = _call(operating.pause_queue)
    resume_queue = _call(operating.resume_queue)
    empty_queue = _call(operating.empty_queue)
    deliveries = _list(operating.deliveries)
    deliveries_page = _call(operating.deliveries_page)
    delivery = _call(operating.delivery)
    change_delivery = _call(operating.change_delivery)
    act_on_delivery = _call(operating.act_on_delivery)
    replay = _call(operating.replay)

    create_schedule = _call(operating.create_schedule)
    schedules = _list(operating.schedules)
    schedules_page = _call(operating.schedules_page)
    schedule = _call(operating.schedule)
    change_schedule = _call(operating.change_schedule)
    delete_schedule = _call(operating.delete_schedule)
    pause_schedule = _call(operating.pause_schedule)
    resume_schedule = _call(operating.resume_schedule)
    run_schedule = _call(operating.run_schedule)
    next_runs = _call(operating.next_runs)

    request = _call(operating.request)


class AsyncInbox(AsyncConnection):
    """`hub.client.Inbox` for asyncio, and live: see `listen`. `token` may also be a coroutine function."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | Awaitable[str]],
        *,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._supply = token
        super().__init__(url, self._bearer, patience=patience, transport=transport)

    def listen(
        self,
        cursor: str | None = None,
        *,
        attention: Attention = "away",
        acknowledge: bool = True,
        reread: int = 1_000,
    ) -> Listener:
        """Listen to the inbox: what arrives from now on, or since `cursor`.

            async with inbox.listen(cursor) as live:
                async for item in live:
                    ...
                    store(live.cursor)

        `attention` is whether somebody is looking at what comes: a program as a rule is not, and whoever is `away`
        gets the fallback. `acknowledge` tells the hub that items have been delivered once you ask for the next one.
        Where too much was missed to tell it piece by piece, the newest `reread` items come instead.
        """

        async def read_newest() -> Sequence[Item]:
            newest: list[Item] = []
            async for item in self.items():
                newest.append(item)
                if len(newest) >= reread:
                    break
            return newest

        return Listener(
            self._url, self._token, read_newest, cursor=cursor, attention=attention, acknowledge=acknowledge
        )

    async def _token(self) -> str:
        token = self._supply if isinstance(self._supply, str) else self._supply()
        return token if isinstance(token, str) else await token

    async def _bearer(self) -> str:
        return bearer(await self._token(), "the token")

    page = _call(inboxes.page)
    items = _list(inboxes.items)
    count = _call(inboxes.count)
    item = _call(inboxes.item)
    mark_delivered = _call(inboxes.mark_delivered)
    mark_seen = _call(inboxes.mark_seen)
    mark_read = _call(inboxes.mark_read)
    mark_unread = _call(inboxes.mark_unread)
    archive = _call(inboxes.archive)
    unarchive = _call(inboxes.unarchive)
    snooze = _call(inboxes.snooze)
