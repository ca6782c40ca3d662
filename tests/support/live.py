"""A gateway node behind a real uvicorn in this process, on SQLite and the memory bus, and clients that talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx2
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect

from hub.api.problems import exception_handlers
from hub.app import Listeners
from hub.bus.memory import MemoryBus, MemoryPresence, Switchboard
from hub.core import wire
from hub.core.model import InboxKey
from hub.gateway.detaching import DetachableHttp
from hub.gateway.gateway import Gateway
from hub.gateway.limits import Limits
from hub.gateway.routes import gateway_routes
from hub.keyring import Keyring, KeyringEntry
from hub.ports import EVERYBODY, News, PresenceEntry
from hub.revoked import RevokedTokens, RevokingAuthenticator
from hub.service import Hub
from hub.store.directory import SqlDirectory
from hub.store.engine import Database, open_database
from hub.store.inbox import SqlInboxStore
from hub.store.personal import SqlPersonalData
from hub.store.revocations import SqlRevocations
from hub.store.schedules import SqlScheduleStore
from hub.store.shared import SqlSharedLog
from hub.store.tickets import SqlTicketStore
from tests.support.clock import ManualClock
from tests.support.listener import PATIENCE
from tests.support.serving import serving, settled

TENANT = "default"
ADA, GRACE = InboxKey(TENANT, "ada"), InboxKey(TENANT, "grace")
HOUR = 3_600_000

_LIMITS = Limits(reconcile_spread=0.0)
"""Those of production, but after a gap there is nobody else whom a node could leave the database to."""


class Bus(MemoryBus):
    """Loses what it is told to lose, and tells what is subscribed."""

    def __init__(self, switchboard: Switchboard | None = None) -> None:
        super().__init__(switchboard)
        self.losing = False
        """Whether what is published is lost, without anybody's knowing."""
        self.failing = False
        """Whether what is published cannot be handed over."""

    @property
    def subscribed(self) -> set[InboxKey]:
        """Return which users' channels are heard; those of whole tenants always are."""
        return {key for key in self._inboxes if key.user != EVERYBODY}

    @property
    def topics(self) -> set[str]:
        """Return which topics' channels are heard."""
        return {key.topic for key in self._topics}

    async def publish(self, news: Sequence[News]) -> bool:
        if self.failing:
            return False
        return True if self.losing else await super().publish(news)


class Presence(MemoryPresence):
    """Lets a test await what it is told."""

    def __init__(self) -> None:
        super().__init__(born=0)
        self.told = asyncio.Condition()
        self.refreshed = 0

    async def refresh(self, entries: Sequence[PresenceEntry], now: int) -> None:
        await super().refresh(entries, now)
        async with self.told:
            self.refreshed += len(entries)
            self.told.notify_all()

    async def leave(self, entries: Sequence[PresenceEntry], now: int) -> None:
        await super().leave(entries, now)
        async with self.told:
            self.told.notify_all()

    def here(self, key: InboxKey) -> dict[str, str]:
        """Return the attention of a user's connections."""
        signs = self._users.get(key)
        return {} if signs is None else {name: sign.attention.value for name, sign in signs.connections.items()}

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE), self.told:
            await self.told.wait_for(condition)


class Node:
    """The node under test."""

    def __init__(
        self, database: Database, presence: Presence, bus: Bus, clock: ManualClock, limits: Limits, *, lane: bool = True
    ) -> None:
        self.database = database
        self.clock = clock
        self.bus = bus
        self.presence = presence
        self.revoked = RevokedTokens(SqlRevocations(database), clock)
        self.hub = Hub(
            inbox=SqlInboxStore(database),
            log=SqlSharedLog(database),
            directory=SqlDirectory(database),
            personal=SqlPersonalData(database),
            tickets=SqlTicketStore(database),
            schedules=SqlScheduleStore(database),
            bus=bus,
            presence=presence,
            clock=clock,
            revoked=self.revoked,
        )
        self.keyring = Keyring([KeyringEntry(TENANT, TENANT, "api-key", "a-secret-of-at-least-32-bytes-here")])
        authenticator = RevokingAuthenticator(self.keyring, self.revoked)
        self.gateway = Gateway(self.hub, authenticator, bus, presence, limits=limits)
        self.port = 0
        self.lane = lane
        """Whether connections are taken out of their ASGI tasks, as `bellwire serve` does."""

    def token(self, key: InboxKey = ADA, ttl: int = HOUR) -> str:
        return self.keyring.issue(key, self.clock.now(), ttl)

    def bearer(self, key: InboxKey = ADA) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(key)}"}

    async def publish(self, *users: str, title: str = "hello", body: str = "") -> str:
        """Publish to users and return the notification's id."""
        return await self._publish(wire.PublishIn(recipients=list(users or ("ada",)), title=title, body=body))

    async def publish_shared(
        self, topic: str | None = None, title: str = "hello", body: str = "", collapse_key: str | None = None
    ) -> str:
        """Publish to a topic, or to everybody, and return the notification's id."""
        audience = wire.AudienceIn(broadcast=True) if topic is None else wire.AudienceIn(topic=topic)
        request = wire.PublishIn(recipients=audience, title=title, body=body, collapse_key=collapse_key)
        return await self._publish(request)

    async def join(self, topic: str, *users: str) -> None:
        await self.hub.topics.join(TENANT, topic, wire.MembersIn(list(users)))

    async def leave(self, topic: str, *users: str) -> None:
        await self.hub.topics.leave(TENANT, topic, wire.MembersIn(list(users)))

    async def _publish(self, request: wire.PublishIn) -> str:
        outcome = await self.hub.notifications.publish(TENANT, request, None)
        identifier: str = json.loads(outcome.body)["id"]
        return identifier

    def open_socket(self, query: str = "", headers: Mapping[str, str] | None = None) -> Awaitable[ClientConnection]:
        return connect(f"ws://127.0.0.1:{self.port}/v1/ws{query}", additional_headers=headers or {}, proxy=None)

    async def socket(self, key: InboxKey = ADA, cursor: str | None = None, state: str = "active") -> Socket:
        """Connect by WebSocket; returns before `ready`."""
        client = Socket(await self.open_socket())
        await client.send({"type": "connect", "token": self.token(key), "cursor": cursor, "state": state})
        return client

    async def ready(self, key: InboxKey = ADA) -> Socket:
        """Connect by WebSocket, and wait until live."""
        client = await self.socket(key)
        client.ready = await client.expect("ready")
        return client

    def http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE, trust_env=False)

    async def empty(self) -> None:
        """Wait until nobody is connected, and nothing of them is left."""
        await settled(lambda: self.gateway.connections == 0 and not self.gateway.busy)


class Socket:
    """A WebSocket client that reads frames one by one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.ready: dict[str, Any] = {}
        self._frames: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def send(self, *frames: object) -> None:
        await self.connection.send("\n".join(json.dumps(frame) for frame in frames))

    async def next(self, *, pings: bool = False) -> dict[str, Any]:
        """Return the next frame; pings count only if asked for, since the first comes at random."""
        while True:
            if not self._frames:
                async with asyncio.timeout(PATIENCE):
                    message = await self.connection.recv()
                assert isinstance(message, str)
                self._frames = [json.loads(line) for line in message.split("\n")]
            frame = self._frames.pop(0)
            if pings or frame["type"] != "ping":
                return frame

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next frame, which must be of this type; pings do not count."""
        frame = await self.next(pings=kind == "ping")
        assert frame["type"] == kind, frame
        return frame

    async def closed(self) -> int:
        """Wait for the close and return its code; nothing but a ping may come before it."""
        with pytest.raises(websockets.ConnectionClosed) as end:
            raise AssertionError(await self.next())
        assert end.value.rcvd is not None
        return end.value.rcvd.code


@asynccontextmanager
async def open_node(
    database_url: str, *, limits: Limits | None = None, switchboard: Switchboard | None = None, lane: bool = True
) -> AsyncIterator[Node]:
    """Serve a node on a free port of 127.0.0.1."""
    database = await open_database(database_url)
    node = Node(database, Presence(), Bus(switchboard), ManualClock(), limits or _LIMITS, lane=lane)
    try:
        with capture_logs() as logs:
            async with served(node):
                yield node
        assert not [entry for entry in logs if entry["log_level"] == "error"], "something failed in the background"
    finally:
        await node.bus.close()
        await database.close()


@asynccontextmanager
async def served(node: Node) -> AsyncIterator[None]:
    """Run the node's gateway and server."""
    await node.bus.start(Listeners([node.gateway, node.revoked]))
    await node.revoked.listen(node.bus, [TENANT])
    await node.gateway.start()
    app = Starlette(routes=gateway_routes(node.gateway), exception_handlers=dict(exception_handlers))
    config = uvicorn.Config(
        app,
        http=DetachableHttp if node.lane else "httptools",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        ws_per_message_deflate=not node.lane,
    )
    async with serving(config, send_buffer=4_096) as node.port:  # small, so that a slow client is soon noticed
        try:
            yield
        finally:
            await node.gateway.close()
