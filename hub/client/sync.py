"""The blocking clients. Everything but the sending itself is in the calls, which `aio` shares."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx2

from hub.client import inboxes, operating, people, publishing
from hub.client.calls import Call, Outcome, Series
from hub.client.http import LIMITS, address, answer_of, bearer, broken_by, headers_of, timeout_of
from hub.client.naming import named_like
from hub.client.tries import Done, Patience, Tries

P = ParamSpec("P")
T = TypeVar("T")


class Connection:
    """Sends calls to one hub, and tries again what broke. Threads may share it."""

    def __init__(
        self,
        url: str,
        authorization: Callable[[], str],
        *,
        patience: Patience | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`transport` takes the place of the network: for tests, or certificates of your own."""
        self._url = address(url)
        self._authorization = authorization
        self._patience = patience or Patience()
        self._http = httpx2.Client(timeout=timeout_of(self._patience), limits=LIMITS, transport=transport)

    def send(self, call: Call[T]) -> T:
        """Make a call; see `Tries.judge` for what it raises."""
        tries = Tries(call, self._patience, now=time.monotonic(), random=random.random)
        while True:
            verdict = tries.judge(self._attempt(call), time.monotonic())
            if isinstance(verdict, Done):
                return verdict.value
            time.sleep(verdict.seconds)

    def send_all(self, series: Series[T]) -> Iterator[T]:
        """Make calls as their results are asked for, and give what is on each page."""
        try:
            call = next(series)
            while True:
                page = self.send(call)
                yield from page.data
                call = series.send(page)
        except StopIteration:
            return

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, call: Call[T]) -> Outcome:
        headers = headers_of(call, self._authorization())
        try:
            response = self._http.request(
                call.method, self._url + call.path, params=call.query or None, content=call.body, headers=headers
            )
        except httpx2.RequestError as error:
            return broken_by(error)
        return answer_of(response)


def _call(make: Callable[P, Call[T]]) -> Callable[Concatenate[Connection, P], T]:
    """Make a method that sends a call."""

    def method(self: Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(make(*args, **kwargs))

    return named_like(make, method, "{}")


def _list(make: Callable[P, Series[T]]) -> Callable[Concatenate[Connection, P], Iterator[T]]:
    """Make a method that sends a series of calls."""

    def method(self: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.send_all(make(*args, **kwargs))

    return named_like(make, method, "Iterator[{}]")


class Bellwire(Connection):
    """A hub, for services that publish and for operators: everything that the API key is good for.

        with Bellwire("https://bell.example.com", api_key) as bellwire:
            bellwire.publish(["ada"], title="Your order has shipped")

    Every method raises what `hub.client.errors` lists.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        patience: Patience | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        authorization = bearer(api_key, "the API key")
        super().__init__(url, lambda: authorization, patience=patience, transport=transport)

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


class Inbox(Connection):
    """One user's inbox, with that user's token. To hear of it live, use `AsyncInbox`.

    `token` is asked for one before each attempt: give a function that keeps it as long as it is good. A fixed one will
    do for a script.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str],
        *,
        patience: Patience | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            url,
            lambda: bearer(token if isinstance(token, str) else token(), "the token"),
            patience=patience,
            transport=transport,
        )

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
