"""Disconnecting users and revoking tokens: on all nodes, over every transport, whatever the bus loses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from pydantic import SecretStr

from hub.app import open_node as open_whole_node
from hub.bus.memory import Switchboard
from hub.core import wire
from hub.core.errors import InvalidRequest, StoreUnavailable, Unauthenticated, Unavailable
from hub.core.model import InboxKey
from hub.gateway.lane_sse import LaneStream
from hub.ports import EVERYBODY
from hub.revoked import revocation
from hub.settings import Settings
from hub.store.revocations import SqlRevocations
from tests.support.live import ADA, GRACE, HOUR, TENANT, Node, Socket, open_node
from tests.support.tenants import EventListener, Listener, PollListener, TicketListener, open_world

REVOKE, PLAIN = wire.DisconnectIn(revoke=True), wire.DisconnectIn()
OF_ADA, OF_ALL = wire.RevokeIn(user="ada"), wire.RevokeIn(all=True)


@pytest.fixture
async def nodes(postgres_url: str) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes on one database and one bus, half a second after their tokens were issued."""
    switchboard = Switchboard()
    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(open_node(postgres_url, switchboard=switchboard)) for _ in range(2)
        ]
        yield here, there


def later(*nodes: Node, ms: int = 500) -> None:
    for node in nodes:
        node.clock.advance(ms)


async def ended(socket: Socket, code: str) -> int:
    """Return the close code that follows an `error` frame with this code."""
    assert (await socket.expect("error"))["code"] == code
    return await socket.closed()


async def test_a_disconnected_user_goes_from_every_node_and_may_come_back(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    async with await here.ready() as first, await there.ready() as second, await there.ready(GRACE) as other:
        later(*nodes)
        assert await here.hub.access.disconnect(ADA, PLAIN) == wire.DisconnectOut(None)
        assert await ended(first, "disconnected") == 4005
        assert await ended(second, "disconnected") == 4005
        async with await there.ready():
            pass
        await here.publish("grace")
        await other.expect("item")
    assert list(await SqlRevocations(here.database).since(0)) == []


@pytest.mark.parametrize("revoke", ["disconnect", "revoke one", "revoke all"])
async def test_revoked_tokens_are_refused_by_every_node(nodes: tuple[Node, Node], revoke: str) -> None:
    here, there = nodes
    token = there.token()
    ticket = await there.hub.access.issue_ticket(there.keyring.user(there.token(), there.clock.now()))
    async with await here.ready() as first, await there.ready() as second, await there.ready(GRACE) as other:
        later(*nodes)
        match revoke:
            case "disconnect":
                told = (await here.hub.access.disconnect(ADA, REVOKE)).issued_before
            case "revoke one":
                told = (await here.hub.access.revoke_tokens(TENANT, OF_ADA)).issued_before
            case _:
                told = (await here.hub.access.revoke_tokens(TENANT, OF_ALL)).issued_before
        assert told == "2027-01-15T08:00:00.500Z"
        assert await ended(first, "token_revoked") == 4102
        assert await ended(second, "token_revoked") == 4102
        if revoke == "revoke all":
            assert await ended(other, "token_revoked") == 4102
        else:
            await here.publish("grace")
            await other.expect("item")
    await refused(there, token)
    with pytest.raises(Unauthenticated, match="revoked"):
        await there.hub.access.redeem_ticket(ticket.ticket)
    later(*nodes)
    async with await here.ready(), await there.ready():
        fresh = await here.hub.access.issue_ticket(here.keyring.user(here.token(), here.clock.now()))
        assert (await there.hub.access.redeem_ticket(fresh.ticket)).issued_at == here.clock.now()


async def refused(node: Node, token: str) -> None:
    """Try a token everywhere."""
    bearer = {"Authorization": f"Bearer {token}"}
    async with Socket(await node.open_socket()) as socket:
        await socket.send({"type": "connect", "token": token})
        assert await ended(socket, "unauthenticated") == 4102
    async with Socket(await node.open_socket(headers=bearer)) as socket:
        assert await ended(socket, "unauthenticated") == 4102
    async with node.http() as client:
        for path in ("/v1/sse", "/v1/poll"):
            answer = await client.get(path, headers=bearer)
            assert answer.status_code == 401
            assert "revoked" in answer.json()["detail"]
            assert token not in answer.text


async def test_what_the_bus_loses_the_next_reload_does(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    async with await here.ready() as first, await there.ready() as second:
        later(*nodes)
        here.bus.losing = True
        await here.hub.access.disconnect(ADA, REVOKE)
        assert await ended(first, "token_revoked") == 4102, "here nothing can be lost"
        there.gateway.identify(there.token())
        await there.revoked.load()
        assert await ended(second, "token_revoked") == 4102
        with pytest.raises(Unauthenticated):
            there.gateway.identify(there.token())


async def test_a_later_token_survives_its_forebears_revocation(nodes: tuple[Node, Node]) -> None:
    """A node that learns late closes what the revocation covers, and not who has come back since."""
    here, there = nodes
    async with await there.ready() as old:
        later(*nodes)
        here.bus.losing = True
        await here.hub.access.revoke_tokens(TENANT, OF_ADA)
        later(*nodes)
        async with await there.ready() as new:
            await there.revoked.load()
            assert await ended(old, "token_revoked") == 4102
            here.bus.losing = False
            await here.publish("ada")
            await new.expect("item")


async def test_a_token_without_a_time_of_issue_is_refused_once_anything_is_revoked(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    claims = {"sub": "ada", "exp": here.clock.now() // 1000 + 3600}
    token = jwt.encode(claims, "a-secret-of-at-least-32-bytes-here")
    ticket = await there.hub.access.issue_ticket(there.keyring.user(token, there.clock.now()))
    async with await there.ready() as socket:
        await socket.connection.close()
    later(*nodes)
    await here.hub.access.revoke_tokens(TENANT, OF_ADA)
    await refused(there, token)
    with pytest.raises(Unauthenticated, match="revoked"):
        await there.hub.access.redeem_ticket(ticket.ticket)


async def test_revoked_between_its_check_and_its_registration(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream begins some turns of the loop after its token was looked at."""
    here, _ = nodes
    connect = LaneStream.connect

    def revoking(stream: LaneStream, *args: Any, **kwargs: Any) -> None:
        here.revoked.on_change(*revocation(ADA, here.clock.now()))
        connect(stream, *args, **kwargs)

    monkeypatch.setattr(LaneStream, "connect", revoking)
    token = here.token()
    later(here)
    async with here.http() as client, client.sse("/v1/sse", headers={"Authorization": f"Bearer {token}"}) as source:
        frames = [json.loads(event.data) async for event in source]
    assert [frame.get("code") for frame in frames] == ["token_revoked"]
    await here.empty()


async def test_many_users_of_a_tenant_go(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(await there.ready(InboxKey(TENANT, f"user-{number}")))
            for number in range(5)
        ]
        later(*nodes)
        await here.hub.access.revoke_tokens(TENANT, OF_ALL)
        for socket in sockets:
            assert await ended(socket, "token_revoked") == 4102
    await there.empty()


async def test_without_the_bus_a_plain_disconnect_is_not_promised(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = nodes

    async def away(_: object) -> bool:
        return False

    monkeypatch.setattr(here.bus, "publish", away)
    with pytest.raises(Unavailable):
        await here.hub.access.disconnect(ADA, PLAIN)
    later(here)
    await here.hub.access.disconnect(ADA, REVOKE)  # is stored, and so will be known everywhere
    assert here.revoked.covers(ADA, None)


@pytest.mark.parametrize("user", ["", "a\x00b", "\ud800", "x" * 256, "a\nb"])
async def test_nobodys_ids_are_refused(nodes: tuple[Node, Node], user: str) -> None:
    here, _ = nodes
    for request in (PLAIN, REVOKE):
        with pytest.raises(InvalidRequest):
            await here.hub.access.disconnect(InboxKey(TENANT, user), request)
    with pytest.raises(InvalidRequest):
        await here.hub.access.revoke_tokens(TENANT, wire.RevokeIn(user=user))
    assert not here.revoked.covers(InboxKey(TENANT, EVERYBODY), None)


@pytest.mark.parametrize("listen", [EventListener, TicketListener, PollListener])
async def test_streams_end_with_an_error_frame(
    postgres_url: str, flushed_redis_url: str, listen: Callable[..., Listener]
) -> None:
    """On a whole node, by its REST interface, over Redis."""
    async with open_world(postgres_url, flushed_redis_url, "acme", "other") as world, AsyncExitStack() as stack:
        listener = listen(world, world.user("acme", "ada"), None)
        await listener.open(stack)
        ready = await listener.next()
        assert ready["type"] == "ready"
        listener.cursor = ready["cursor"]
        client = await stack.enter_async_context(world.http())
        bystander = EventListener(world, world.user("other", "ada"), None)
        await bystander.open(stack)
        await bystander.next()
        answer = await client.post("/v1/tokens/revoke", json={"all": True}, headers=world.publisher("acme"))
        assert answer.status_code == 200, answer.text
        if isinstance(listener, PollListener):
            assert (await client.get("/v1/poll", headers=listener.headers)).status_code == 401
        else:
            assert (await listener.next())["code"] == "token_revoked"
        assert (await client.get("/v1/inbox", headers=listener.headers)).status_code == 401
        assert (await client.get("/v1/inbox", headers=bystander.headers)).status_code == 200
        own = {"recipients": ["ada"], "title": "t"}
        await client.post("/v1/notifications", json=own, headers=world.publisher("other"))
        assert (await bystander.next())["type"] == "item"


async def test_revocations_outlive_the_process(sqlite_url: str) -> None:
    settings = Settings(
        data_dir=Path("unused"),
        database_url=sqlite_url,
        api_key=SecretStr("an-api-key"),
        jwt_secret=SecretStr("a-secret-of-at-least-32-bytes-here"),
    )
    async with open_whole_node(settings) as node:
        token = node.keyring.issue(ADA, node.parts.hub.clock.now() - 2_000, HOUR)
        await node.parts.hub.access.revoke_tokens(TENANT, OF_ADA)
    async with open_whole_node(settings) as node:
        transport = httpx2.ASGITransport(node.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.get("/v1/inbox", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_a_node_that_cannot_read_them_does_not_open(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_store: SqlRevocations, _made_at: int) -> list[object]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(SqlRevocations, "since", away)
    settings = Settings(
        data_dir=Path("unused"),
        database_url=sqlite_url,
        api_key=SecretStr("an-api-key"),
        jwt_secret=SecretStr("a-secret-of-at-least-32-bytes-here"),
    )
    with pytest.raises(StoreUnavailable):
        async with open_whole_node(settings):
            pass
