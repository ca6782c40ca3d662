"""A node with tenants of its own, served by a real uvicorn, and what one of them can do there with its credentials."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa
import uvicorn
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from hub.app import Node, Parts, open_node
from hub.core.ids import random_token
from hub.core.mailbox import DevMailbox
from hub.core.model import InboxKey, TopicKey
from hub.core.wire import LiveChange, SharedChange
from hub.settings import Settings, TenantCredentials
from hub.store.tables import metadata
from tests.support.listener import PATIENCE
from tests.support.serving import serving

HOUR = 3_600_000
Json = dict[str, Any]


class _Deaf:
    """A listener without interest: the mailbox is all that is wanted of the background."""

    def on_change(self, key: InboxKey, change: LiveChange) -> None:
        pass

    def on_shared(self, key: TopicKey, change: SharedChange) -> None:
        pass

    def on_gap(self) -> None:
        pass

    def on_due(self, due_at: int) -> None:
        pass


@dataclass
class World:
    """The node, and how to reach it."""

    node: Node
    port: int
    mailbox: DevMailbox
    settings: Settings

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.base, timeout=PATIENCE, trust_env=False)

    def publisher(self, tenant: str) -> dict[str, str]:
        """Return the headers of a tenant's publisher."""
        return {"Authorization": f"Bearer {self.settings.tenants[tenant].api_key.get_secret_value()}"}

    def token(self, tenant: str, user: str) -> str:
        return self.node.keyring.issue(InboxKey(tenant, user), self.node.parts.hub.clock.now(), HOUR)

    def user(self, tenant: str, user: str) -> dict[str, str]:
        """Return the headers of a tenant's user."""
        return {"Authorization": f"Bearer {self.token(tenant, user)}"}

    async def rows(self, tenant: str) -> dict[str, list[str]]:
        """Return everything that the database holds for a tenant."""
        held: dict[str, list[str]] = {}
        async with self.node.parts.database.reader() as connection:
            for table in metadata.sorted_tables:
                if "tenant" in table.c:
                    found = await connection.execute(sa.select(table).where(table.c.tenant == tenant))
                    held[table.name] = sorted(repr(row) for row in found)
        return held


@asynccontextmanager
async def open_world(database_url: str, redis_url: str | None, *tenants: str) -> AsyncIterator[World]:
    """Serve a node whose demo is open to everybody, so that really every route is there."""
    given = {
        name: TenantCredentials(api_key=SecretStr(random_token()), jwt_secret=SecretStr(random_token()))
        for name in tenants
    }
    settings = Settings(
        data_dir=Path("unused"),
        database_url=database_url,
        redis_url=redis_url,
        api_key=SecretStr(random_token()),
        jwt_secret=SecretStr(random_token()),
        tenants=given,
        demo=True,
        metrics_public=False,
    )
    mailboxes: list[DevMailbox] = []

    @asynccontextmanager
    async def background(_: Parts, mailbox: DevMailbox) -> AsyncIterator[_Deaf]:
        mailboxes.append(mailbox)
        yield _Deaf()

    async with open_node(settings, background) as node:
        config = uvicorn.Config(node.app, ws="websockets-sansio", lifespan="off", log_config=None)
        async with serving(config) as port:
            try:
                yield World(node, port, mailboxes[0], settings)
            finally:
                await node.gateway.drain()


class Listener:
    """A user's live connection, by whichever transport; `next` returns its frames one by one, without pings."""

    def __init__(self, world: World, headers: Mapping[str, str], cursor: str | None) -> None:
        self.world = world
        self.headers = headers
        self.cursor = cursor
        self.ready: Json = {}

    async def open(self, stack: AsyncExitStack) -> None:
        raise NotImplementedError

    async def frame(self) -> Json:
        raise NotImplementedError

    async def next(self) -> Json:
        async with asyncio.timeout(PATIENCE):
            while (frame := await self.frame())["type"] == "ping":
                pass
        return frame

    def query(self) -> str:
        return "" if self.cursor is None else f"?cursor={self.cursor}"


class WebSocketListener(Listener):
    async def open(self, stack: AsyncExitStack) -> None:
        address = f"ws://127.0.0.1:{self.world.port}/v1/ws"
        self.socket: ClientConnection = await stack.enter_async_context(connect(address, proxy=None))
        token = self.headers["Authorization"].removeprefix("Bearer ")
        await self.send({"type": "connect", "token": token, "cursor": self.cursor})

    async def send(self, frame: object) -> None:
        await self.socket.send(json.dumps(frame))

    async def frame(self) -> Json:
        frame: Json = json.loads(await self.socket.recv())
        return frame


class HandshakeListener(WebSocketListener):
    """By the header of the handshake instead of a `connect` frame."""

    async def open(self, stack: AsyncExitStack) -> None:
        address = f"ws://127.0.0.1:{self.world.port}/v1/ws{self.query()}"
        self.socket = await stack.enter_async_context(connect(address, additional_headers=self.headers, proxy=None))


class EventListener(Listener):
    async def open(self, stack: AsyncExitStack) -> None:
        client = await stack.enter_async_context(self.world.http())
        source = await stack.enter_async_context(client.sse(f"/v1/sse{self.query()}", headers=self.headers))
        self.events = source.__aiter__()

    async def frame(self) -> Json:
        frame: Json = json.loads((await anext(self.events)).data)
        return frame


class TicketListener(EventListener):
    """By a ticket instead of the header."""

    async def open(self, stack: AsyncExitStack) -> None:
        client = await stack.enter_async_context(self.world.http())
        ticket = (await client.post("/v1/tickets", headers=self.headers)).json()["ticket"]
        place = f"/v1/sse?ticket={ticket}" + self.query().replace("?", "&")
        source = await stack.enter_async_context(client.sse(place))
        self.events = source.__aiter__()


class PollListener(Listener):
    async def open(self, stack: AsyncExitStack) -> None:
        self.client = await stack.enter_async_context(self.world.http())
        self.frames: list[Json] = []

    async def frame(self) -> Json:
        while not self.frames:
            answer = await self.client.get(f"/v1/poll{self.query()}", headers=self.headers)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            self.frames, self.cursor = body["frames"], body["cursor"]
        return self.frames.pop(0)


LISTENERS: Mapping[str, tuple[type[Listener], ...]] = {
    "/v1/ws": (WebSocketListener, HandshakeListener),
    "/v1/sse": (EventListener, TicketListener),
    "/v1/poll": (PollListener,),
}
"""How each live route can be listened to."""
