"""The random histories of `tests/property/test_inbox_machine.py`, with real sockets and a bad network in between."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, ClassVar
from uuid import UUID

import uvicorn
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from starlette.applications import Starlette

from hub.api.problems import exception_handlers
from hub.core import wire
from hub.core.model import InboxKey, MarkAction, Selection
from hub.gateway.detaching import DetachableHttp
from hub.gateway.gateway import Gateway
from hub.gateway.routes import gateway_routes
from tests.property.test_inbox_machine import CLIENTS, KEYRING, MARKS, PING, TENANT, USERS, InboxMachine
from tests.support.fleet import Fleet
from tests.support.member import Json, Member, Transport
from tests.support.proxy import Proxy, Weather, proxy_to
from tests.support.reference_client import Place, place_of, version_of
from tests.support.serving import serving

DAY = 24 * 3_600_000
PATIENCE = 20.0

Serve = Callable[[Gateway], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def serve_portably(gateway: Gateway) -> AsyncIterator[int]:
    """Serve a gateway's routes by uvicorn as it comes; yields the port."""
    app = Starlette(routes=gateway_routes(gateway), exception_handlers=dict(exception_handlers))
    config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None)
    async with _served(gateway, config) as port:
        yield port


@asynccontextmanager
async def serve_fast(gateway: Gateway) -> AsyncIterator[int]:
    """Serve a gateway's routes as `bellwire serve` does, on the fast lane; yields the port."""
    app = Starlette(routes=gateway_routes(gateway), exception_handlers=dict(exception_handlers))
    config = uvicorn.Config(
        app,
        http=DetachableHttp,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
    )
    async with _served(gateway, config) as port:
        yield port


@asynccontextmanager
async def _served(gateway: Gateway, config: uvicorn.Config) -> AsyncIterator[int]:
    async with serving(config) as port:
        try:
            yield port
        finally:
            await gateway.close()


class Shore(Fleet):
    """A fleet whose members read their inbox, archived and snoozed items too, from the machine's database."""

    def __init__(self, machine: SocketMachine) -> None:
        super().__init__(machine.token, back_off=0.01)
        self._machine = machine

    async def inbox(self, port: int, user: str) -> tuple[list[Json], str]:
        items, head = await self._machine.truth(user)
        return items, head.cursor


class SocketMachine(InboxMachine):
    """Clients 0 and 1 are on WebSocket, 2 and 3 on SSE; each node is behind a proxy that loses connections."""

    serve: ClassVar[Serve]

    def token(self, user: str) -> str:
        return KEYRING.issue(InboxKey(TENANT, user), self.clock.now(), DAY)

    async def open(self) -> None:
        await super().open()
        self.stack = AsyncExitStack()
        self.weather = Weather(random.Random(1))
        self.silent = False
        """Whether some network passes nothing: then nobody waits for an answer."""
        self.proxies: list[Proxy] = []
        for gateway in self.gateways:
            port = await self.stack.enter_async_context(type(self).serve(gateway))
            self.proxies.append(await self.stack.enter_async_context(proxy_to(port, self.weather)))
        self.shore = Shore(self)
        self.members: dict[int, Member] = {}
        """Who is to be connected, through whatever comes."""

    # What the network does

    @rule(cut=st.sampled_from([0.0, 0.3, 0.8]), delay=st.sampled_from([0.0, 0.003]))
    def weather_turns(self, cut: float, delay: float) -> None:
        self.weather.cut, self.weather.delay = cut, delay

    @rule(at=st.integers(0, 1))
    def connections_drop(self, at: int) -> None:
        self.proxies[at].drop()

    @rule(at=st.integers(0, 1))
    def network_falls_silent(self, at: int) -> None:
        self.proxies[at].freeze()
        self.silent = True

    def network_speaks(self) -> None:
        """End every silence."""
        self.silent = False
        for proxy in self.proxies:
            proxy.thaw()

    # What clients do

    def connect(self, number: int, at: int, remembers: bool) -> None:  # noqa: FBT001 - as in the base
        self.run(self.come(number, at, remembers=remembers))

    async def come(self, number: int, at: int, *, remembers: bool) -> None:
        await self.hang_up(number)
        self.network_speaks()
        ports = [self.proxies[at].port, self.proxies[1 - at].port]
        transport = list(Transport)[number // 2]
        member = self.shore.add(USERS[number % 2], ports, transport, by_frame=number == 0)
        if remembers:
            member.client = self.clients[number]
        self.clients[number] = member.client
        self.members[number] = member
        member.stay()
        async with asyncio.timeout(PATIENCE):
            await member.live.wait()

    async def hang_up(self, number: int) -> None:
        member = self.members.pop(number, None)
        if member is not None:
            await member.leave(rudely=self.silent or self.shore.dice.random() < 0.5)
            self.shore.check()
            self.shore.members.remove(member)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), number=st.integers(0, CLIENTS - 1), action=st.sampled_from(MARKS))
    def mark_by_frame(self, data: Any, number: int, action: str) -> None:
        """By frame where there are frames and the client is just connected; else as REST would."""
        ids = data.draw(st.lists(st.sampled_from(self.ids), min_size=1, max_size=3))
        member = self.members.get(number)
        if member is not None and member.live.is_set() and member.transport is Transport.WEBSOCKET:
            member.send({"type": action, "ids": ids})
        else:
            selection = Selection(ids=tuple(map(UUID, ids)))
            self.run(self.hubs[0].inbox.mark(InboxKey(TENANT, USERS[number % 2]), MarkAction(action), selection))

    # What must hold

    async def check(self) -> None:
        self.weather.cut = self.weather.delay = 0.0
        self.network_speaks()
        async with asyncio.timeout(PATIENCE):
            for member in self.members.values():
                await member.live.wait()
            for gateway, listener in zip(self.gateways, self.listeners, strict=True):
                listener.losing = 0
                await gateway.reconcile()
            for member in self.members.values():
                await self.compare(member)
        self.shore.check()

    async def compare(self, member: Member) -> None:
        """Wait until the client holds what the database holds; marks on their way may move both meanwhile."""
        while True:
            items, head = await self.truth(member.user)
            place = Place(version_of(head.cursor), await self.reach(member.user))
            await self.confirm()
            with suppress(TimeoutError):  # what was just under way is confirmed next time
                async with asyncio.timeout(0.2):
                    await member.reach(head.cursor, place.position)
            await member.live.wait()
            if member.client.cursor is not None and place.covers(place_of(member.client.cursor)):
                break
        shown = [item for item in items if item["archived_at"] is None and item["snoozed_until"] is None]
        unread = sum(item["read_at"] is None for item in shown)
        unseen = sum(item["seen_at"] is None for item in shown)
        assert (head.unread_count, head.unseen_count) == (unread, unseen)
        assert self.plain(member.client.items.values()) == self.plain(items)
        assert member.client.counts == {"unread": unread, "unseen": unseen}

    async def confirm(self) -> None:
        """Have the nodes look what is certain, and say it: as with the next ping, which streams cannot ask for."""
        for gateway in self.gateways:
            await gateway.reconcile()
            for connection in tuple(gateway._connections):
                connection.text(PING)

    async def truth(self, user: str) -> tuple[list[dict[str, Any]], wire.InboxOut]:
        """Read the inbox until nothing has changed between its pages."""
        while True:
            items, head = await super().truth(user)
            _, again = await super().truth(user)
            if head.cursor == again.cursor:
                return items, head

    async def close(self) -> None:
        for number in list(self.members):
            await self.hang_up(number)
        await self.shore.close()
        await self.stack.aclose()
        await super().close()


LANES: dict[str, Serve] = {"portable": serve_portably, "fast": serve_fast}
"""The ways to serve a gateway."""


def check(serve: Serve, database_url: str, redis_url: str | None, examples: int) -> None:
    """Run so many histories."""
    members = {"database_url": database_url, "redis_url": redis_url, "serve": staticmethod(serve)}
    run_state_machine_as_test(
        type("Machine", (SocketMachine,), members),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize="CI" in os.environ,  # a landing is not a lottery: other runs explore
            phases=(
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
            ),  # sockets never repeat a history well enough to shrink
            suppress_health_check=list(HealthCheck),
        ),
    )
