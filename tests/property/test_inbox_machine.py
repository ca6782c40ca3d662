"""Random histories of inboxes and their clients: whatever is lost on the way, every client ends equal to the database.

Two nodes, a bus that loses messages, clients that come and go with their cursors. Publish, drop, connect, disconnect,
resume elsewhere, mark by frame or by REST, one, some or all, snooze, recall, replace, expire; join, leave, publish to
topics and to everybody; archive what is old. Checked throughout: live frames come in version order without a gap.
Checked whenever things have settled: what each client holds is what the database holds, and counts are exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hub.bus.memory import MemoryBus, MemoryPresence, Switchboard
from hub.bus.redis import RedisBus
from hub.core import wire
from hub.core.cursor import Cursor
from hub.core.errors import NotFound
from hub.core.model import Attention, InboxKey, InboxQuery, MarkAction, Selection, TopicKey
from hub.core.views import rfc3339
from hub.core.wire import LiveChange, SharedChange
from hub.gateway.gateway import Gateway
from hub.gateway.queued import QueuedConnection as Connection
from hub.keyring import Keyring
from hub.ports import Bus, BusListener, Identity
from hub.service import Hub
from hub.service.outbox import Outbox
from hub.settings import Settings
from hub.store.inbox import SqlInboxStore
from tests.support.archive import MemoryShelf, archive
from tests.support.clock import ManualClock
from tests.support.machines import hub_over, open_emptied, play
from tests.support.reference_client import Place, ReferenceClient, place_of, version_of

TENANT = "default"
USERS = ("ada", "grace")
CLIENTS = 4
"""Clients 0 and 2 are Ada's, 1 and 3 Grace's."""
TOPICS = ("news", "sales")
PING = '{"type": "ping"}'
MARKS = ["seen", "read", "unread", "archive", "unarchive"]
KEYRING = Keyring.from_settings(Settings(), "key", "s" * 32)


class LossyListener:
    """Hears the bus for a node, and loses as many changes as it is told to."""

    def __init__(self, listener: BusListener) -> None:
        self.losing = 0
        self._listener = listener

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        if self.losing:
            self.losing -= 1
        else:
            self._listener.on_change(key, change)

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        if self.losing:
            self.losing -= 1
        else:
            self._listener.on_shared(key, change)

    def on_gap(self) -> None:
        self._listener.on_gap()

    def on_due(self, due_at: int) -> None:
        self._listener.on_due(due_at)


class InboxMachine(RuleBasedStateMachine):
    """Drives two real gateways over the real store and bus; the clients are `ReferenceClient`s."""

    database_url: ClassVar[str]
    redis_url: ClassVar[str | None]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.ids: list[str] = []
        self.archived: set[str] = set()
        self.shared: set[str] = set()
        """Those that were published to topics, or to everybody."""
        self.clients = [ReferenceClient(USERS[number % 2]) for number in range(CLIENTS)]
        self.connections: dict[int, tuple[Gateway, Connection]] = {}
        self.run(self.open())

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    async def open(self) -> None:
        self.database = await open_emptied(self.database_url)
        switchboard = Switchboard()
        presence = MemoryPresence()
        self.buses: list[Bus] = []
        self.gateways: list[Gateway] = []
        self.listeners: list[LossyListener] = []
        self.hubs: list[Hub] = []
        for _ in range(2):
            bus: Bus = MemoryBus(switchboard) if self.redis_url is None else RedisBus(self.redis_url)
            hub = hub_over(self.database, self.clock, bus=bus, presence=presence)
            gateway = Gateway(hub, KEYRING, bus, presence)
            listener = LossyListener(gateway)
            await bus.start(listener)
            self.buses.append(bus)
            self.gateways.append(gateway)
            self.listeners.append(listener)
            self.hubs.append(hub)

    @initialize()
    def everybody_connects(self) -> None:
        for number in range(CLIENTS):
            self.connect(number, at=number // 2, remembers=False)

    # What publishers and time do

    @rule(
        users=st.sets(st.sampled_from(USERS), min_size=1),
        at=st.integers(0, 1),
        large=st.booleans(),
        expires=st.sampled_from([None, None, 20]),
        later=st.sampled_from([None, None, 10]),
        key=st.sampled_from([None, None, "one thing", "another"]),
    )
    def publish(
        self,
        *,
        users: set[str],
        at: int,
        large: bool,
        expires: int | None,
        later: int | None,
        key: str | None,
    ) -> None:
        now = self.clock.now()
        request = wire.PublishIn(
            recipients=sorted(users),
            title="t",
            body="x" * 5000 if large else "x",
            expires_at=None if expires is None else rfc3339(now + expires * 1000),
            deliver_at=None if later is None else rfc3339(now + later * 1000),
            collapse_key=key,
        )
        outcome = self.run(self.hubs[at].notifications.publish(TENANT, request))
        self.ids.append(msgspec.json.decode(outcome.body)["id"])

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), at=st.integers(0, 1))
    def recall(self, data: Any, at: int) -> None:
        """Recall something, perhaps again, perhaps before it appears; what is archived cannot be."""
        notification = data.draw(st.sampled_from(self.ids))
        with pytest.raises(NotFound) if notification in self.archived else nullcontext():
            self.run(self.hubs[at].notifications.recall(TENANT, UUID(notification)))

    @rule(
        topic=st.sampled_from([*TOPICS, None]),
        at=st.integers(0, 1),
        large=st.booleans(),
        expires=st.sampled_from([None, None, 20]),
        later=st.sampled_from([None, None, 10]),
        key=st.sampled_from([None, None, "one thing", "another"]),
    )
    def publish_to_topic(
        self,
        *,
        topic: str | None,
        at: int,
        large: bool,
        expires: int | None,
        later: int | None,
        key: str | None,
    ) -> None:
        """Publish to a topic, or to everybody."""
        now = self.clock.now()
        request = wire.PublishIn(
            recipients=wire.AudienceIn(broadcast=True) if topic is None else wire.AudienceIn(topic=topic),
            title="shared",
            body="x" * 5000 if large else "x",
            expires_at=None if expires is None else rfc3339(now + expires * 1000),
            deliver_at=None if later is None else rfc3339(now + later * 1000),
            collapse_key=key,
        )
        outcome = self.run(self.hubs[at].notifications.publish(TENANT, request))
        self.ids.append(msgspec.json.decode(outcome.body)["id"])
        self.shared.add(self.ids[-1])

    @rule(users=st.sets(st.sampled_from(USERS), min_size=1), topic=st.sampled_from(TOPICS), at=st.integers(0, 1))
    def join(self, users: set[str], topic: str, at: int) -> None:
        self.run(self.hubs[at].topics.join(TENANT, topic, wire.MembersIn(sorted(users))))

    @rule(users=st.sets(st.sampled_from(USERS), min_size=1), topic=st.sampled_from(TOPICS), at=st.integers(0, 1))
    def leave(self, users: set[str], topic: str, at: int) -> None:
        self.run(self.hubs[at].topics.leave(TENANT, topic, wire.MembersIn(sorted(users))))

    @rule(age=st.sampled_from([0, 15_000]), at=st.sampled_from([None, 0, 1]))
    def retain(self, age: int, at: int | None) -> None:
        """Archive what is older; the process that does it is on the bus, or (None) leaves wake-up rows."""
        now = self.clock.advance(1)
        outbox = None if at is None else Outbox(SqlInboxStore(self.database), self.buses[at])
        told = None if outbox is None else outbox.tell_applied
        shelf = MemoryShelf()
        self.run(archive(self.database, shelf, older_than=now - age, now=now, told=told))
        self.archived |= {line["id"] for line in shelf.of_kind("notification")}

    @rule(losses=st.tuples(st.integers(0, 2), st.integers(0, 2)))
    def bus_loses(self, losses: tuple[int, int]) -> None:
        """Lose the next news, of whatever kind."""
        for listener, count in zip(self.listeners, losses, strict=True):
            listener.losing = count

    @rule(seconds=st.sampled_from([1, 10, 20]), at=st.integers(0, 1))
    def time_passes(self, seconds: int, at: int) -> None:
        self.clock.advance(seconds * 1000)
        self.run(self.hubs[at].upkeep.apply_timers())

    @rule(
        user=st.sampled_from(USERS),
        at=st.integers(0, 1),
        heard=st.sampled_from([(), (0,), (1,), (0, 1)]),
        key=st.sampled_from([None, "one thing"]),
    )
    def publish_unheard(self, user: str, at: int, heard: tuple[int, ...], key: str | None) -> None:
        """Publish, while the nodes that are not in `heard` lose the first that the bus tells them."""
        for number, listener in enumerate(self.listeners):
            listener.losing = 0 if number in heard else 1
        self.publish(users={user}, at=at, large=False, expires=None, later=None, key=key)

    # What clients do

    @rule(number=st.integers(0, CLIENTS - 1), at=st.integers(0, 1), remembers=st.booleans())
    def connect(self, number: int, at: int, remembers: bool) -> None:  # noqa: FBT001 - drawn by name
        self.run(self.hang_up(number))
        client = self.clients[number]
        if not remembers:
            client = self.clients[number] = ReferenceClient(client.user)
        gateway = self.gateways[at]
        identity = Identity(InboxKey(TENANT, client.user), 10**15)
        client.connecting()

        async def start() -> None:
            connection = gateway.open()
            self.connections[number] = (gateway, connection)
            connection.connect(identity, cursor=client.cursor, attention=Attention.ACTIVE)
            while not client.live:
                await self.pump(client, connection)

        self.run(start())
        if client.stale:
            self.run(self.load(client))

    @rule(number=st.integers(0, CLIENTS - 1))
    def disconnect(self, number: int) -> None:
        self.run(self.hang_up(number))

    async def hang_up(self, number: int) -> None:
        gateway, connection = self.connections.pop(number, (None, None))
        if gateway is not None and connection is not None:
            gateway.disconnect(connection)

    @rule(number=st.integers(0, CLIENTS - 1), compared=st.booleans())
    def ping(self, number: int, compared: bool) -> None:  # noqa: FBT001 - drawn by name
        """Hear where the client is, and what its badge should be: it has come to the same by what it was told."""
        if number in self.connections:
            self.run(self.say_where(number, compared=compared))

    async def say_where(self, number: int, *, compared: bool) -> None:
        gateway, connection = self.connections[number]
        if compared:
            await gateway.reconcile()
        connection.text(PING)
        await self.pump(self.clients[number], connection)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), number=st.integers(0, CLIENTS - 1), action=st.sampled_from(MARKS))
    def mark_by_frame(self, data: Any, number: int, action: str) -> None:
        if number not in self.connections:
            return
        gateway, connection = self.connections[number]
        ids = data.draw(st.lists(st.sampled_from(self.ids), min_size=1, max_size=3))
        text = msgspec.json.encode({"type": action, "ids": ids}).decode()
        self.run(self.say(gateway, connection, text))

    async def say(self, gateway: Gateway, connection: Connection, text: str) -> None:
        connection.text(text)
        while connection.marks:
            await gateway.mark(connection, connection.marks.popleft())

    @rule(
        user=st.sampled_from(USERS), action=st.sampled_from(MARKS), at=st.integers(0, 1), number=st.integers(0, CLIENTS)
    )
    def mark_all(self, user: str, action: str, at: int, number: int) -> None:
        """Mark all, up to some client's cursor or without limit."""
        cursor = self.clients[number].cursor if number < CLIENTS and self.clients[number].user == user else None
        selection = Selection(all=True, through=None if cursor is None else Cursor.parse(cursor))
        self.run(self.hubs[at].inbox.mark(InboxKey(TENANT, user), MarkAction(action), selection))

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), user=st.sampled_from(USERS), seconds=st.sampled_from([5, 15]))
    def snooze(self, data: Any, user: str, seconds: int) -> None:
        selection = Selection(ids=(UUID(data.draw(st.sampled_from(self.ids))),))
        until = self.clock.now() + seconds * 1000
        self.run(self.hubs[0].inbox.mark(InboxKey(TENANT, user), MarkAction.SNOOZE, selection, until))

    # What must hold

    @rule()
    def settle(self) -> None:
        self.run(self.check())

    def teardown(self) -> None:
        try:
            self.run(self.check())
        finally:
            self.run(self.close())
            self.runner.close()

    async def close(self) -> None:
        for number in list(self.connections):
            await self.hang_up(number)
        for gateway, bus in zip(self.gateways, self.buses, strict=True):
            await gateway.close()
            await bus.close()
        await self.database.close()

    async def check(self) -> None:
        for gateway, listener in zip(self.gateways, self.listeners, strict=True):
            listener.losing = 0
            await gateway.reconcile()
        for user in USERS:
            items, head = await self.truth(user)
            unread = sum(i["read_at"] is None for i in items if i["archived_at"] is None and i["snoozed_until"] is None)
            unseen = sum(i["seen_at"] is None for i in items if i["archived_at"] is None and i["snoozed_until"] is None)
            assert (head.unread_count, head.unseen_count) == (unread, unseen)
            for number, (gateway, connection) in self.connections.items():
                client = self.clients[number]
                if client.user == user:
                    place = Place(version_of(head.cursor), await self.reach(user))
                    async with asyncio.timeout(20):
                        while client.cursor is None or not place_of(client.cursor).covers(place):
                            await gateway.reconcile()
                            connection.text(PING)
                            await self.pump(client, connection)
                    if client.stale:
                        await self.load(client)
                    assert self.plain(client.items.values()) == self.plain(items)
                    assert client.counts == {"unread": unread, "unseen": unseen}

    async def reach(self, user: str) -> int:
        """Return the position of the last event of the user's topics, those that they have left among them."""
        key, topics = InboxKey(TENANT, user), self.hubs[0].topics
        following = (await topics.following([key]))[key]
        return max(head.position for head in (await topics.heads([*following.member, *following.left])).values())

    def plain(self, items: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return items by id; the version of a shared one only says how new its state is."""
        return {item["id"]: item | {"version": None} if item["id"] in self.shared else item for item in items}

    async def pump(self, client: ReferenceClient, connection: Connection) -> None:
        """Wait for frames and let the client have them."""
        await connection.wait()
        assert not connection.ended
        while (out := connection.pop()) is not None:
            client.receive(out.frame)

    async def load(self, client: ReferenceClient) -> None:
        items, _ = await self.truth(client.user)
        client.load(items)

    async def truth(self, user: str) -> tuple[list[dict[str, Any]], wire.InboxOut]:
        """Read the whole inbox: listed, snoozed and archived."""
        key = InboxKey(TENANT, user)
        hub = self.hubs[0]
        head = await hub.inbox.page(key, InboxQuery(limit=100))
        pages = [
            head,
            await hub.inbox.page(key, InboxQuery(limit=100, snoozed=True)),
            await hub.inbox.page(key, InboxQuery(limit=100, archived=True)),
        ]
        items = {item.id: item for page in pages for item in page.data}
        return [msgspec.json.decode(msgspec.json.encode(item)) for item in items.values()], head


def test_clients_end_equal_to_the_database_on_sqlite_and_memory(sqlite_url: str) -> None:
    play(InboxMachine, 40, database_url=sqlite_url, redis_url=None)


def test_clients_end_equal_to_the_database_on_postgresql_and_redis(postgres_url: str, flushed_redis_url: str) -> None:
    play(InboxMachine, 25, database_url=postgres_url, redis_url=flushed_redis_url)
