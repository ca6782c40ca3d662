"""The listener with a hub that says what it seldom says."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from hub.client import AsyncInbox, ClosedForGood, Listener, Lost, Ready, Reread, UnexpectedAnswer, acknowledging
from hub.client.comeback import Comeback
from tests.support.clients import QUICK
from tests.support.listener import PATIENCE
from tests.support.scripted_hub import COUNTS, ScriptedHub

Item = dict[str, object]
_NOTHING = dict.fromkeys(
    ("action_url", "actor", "data", "expires_at", "seen_at", "read_at", "archived_at", "snoozed_until")
)


def item(identifier: str, **fields: object) -> Item:
    told = {"version": 1, "category": "c", "title": identifier, "body": "", "priority": "normal"}
    return {**_NOTHING, **told, "id": identifier, "created_at": "2027", "appeared_at": "2027", **fields}


@pytest.fixture
async def hub() -> AsyncIterator[ScriptedHub]:
    hub = ScriptedHub()
    async with hub.serving():
        yield hub


@asynccontextmanager
async def listening(
    hub: ScriptedHub, token: Callable[[], str | Awaitable[str]] = lambda: "a token", path: str = ""
) -> AsyncIterator[Listener]:
    url = f"http://127.0.0.1:{hub.port}{path}"
    async with asyncio.timeout(PATIENCE), AsyncInbox(url, token, patience=QUICK) as inbox:
        live = inbox.listen()
        live._comeback = Comeback(lambda: 0.0, renewed=0.0)
        async with live:
            yield live


def tokens() -> Callable[[], Awaitable[str]]:
    """Each time another one, from a coroutine."""
    numbers = itertools.count()

    async def token() -> str:
        await asyncio.sleep(0)
        return f"token-{next(numbers)}"

    return token


async def ahead(live: Listener) -> object:
    return await anext(live.events())


async def test_it_shows_a_fresh_token_when_asked_to(hub: ScriptedHub) -> None:
    async with listening(hub, tokens()) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        assert link.shown == "token-0"
        link.say("reauth", within_ms=30_000)
        assert (await link.heard("reauth"))["token"] == "token-1"
        link.say("reauthenticated", expires_in_ms=None)
        link.ready()
        assert isinstance(await hearing, Ready)


@pytest.mark.parametrize("code", [4001, 4002, 4003, 4006, 1012])
async def test_it_comes_back_with_its_cursor_and_a_fresh_token(hub: ScriptedHub, code: int) -> None:
    async with listening(hub, tokens()) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        assert link.cursor is None
        link.ready("e.7.0")
        await hearing
        link.close(code)
        assert isinstance(await ahead(live), Lost)
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        assert (link.cursor, link.shown) == ("e.7.0", "token-1")
        link.ready("e.7.0")
        await hearing


async def test_it_leaves_when_a_node_says_so_and_comes_back_then(hub: ScriptedHub) -> None:
    async with listening(hub) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        link.say("reconnect", after_ms=17)
        lost = await hearing
        assert isinstance(lost, Lost)
        assert lost.seconds == 0.017
        await link.left()
        hearing = asyncio.create_task(ahead(live))
        (await hub.link()).ready()
        assert isinstance(await hearing, Ready)


async def test_silence_for_twice_a_ping_means_that_the_connection_is_dead(hub: ScriptedHub) -> None:
    async with listening(hub) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        link.say("ready", user="ada", connection="c", cursor="e.0.0", counts=COUNTS, ping_ms=10)
        await hearing
        lost = await ahead(live)
        assert isinstance(lost, Lost)
        assert "silent" in lost.reason
        await link.left()


async def test_what_was_handled_is_acknowledged_together(hub: ScriptedHub) -> None:
    async with listening(hub) as live:
        handling = asyncio.create_task(_handle(live, 4))
        link = await hub.link()
        for identifier in ("a", "b"):
            link.say("item", item=item(identifier))
        link.say("item", item=item("seen", seen_at="2027"))
        assert (await link.heard("delivered"))["ids"] == ["a", "b"], "seen elsewhere: nothing to say"
        link.say("item", item=item("last"))
        await handling


async def test_who_takes_long_over_each_is_not_waited_for(hub: ScriptedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledging, "GATHER", 0.0)
    async with listening(hub) as live:
        items = aiter(live)
        first = asyncio.ensure_future(anext(items))
        link = await hub.link()
        for identifier in ("a", "b"):
            link.say("item", item=item(identifier))
        await first
        await anext(items)
        assert (await link.heard("delivered"))["ids"] == ["a"], "while b is in hand"


@pytest.mark.parametrize("well", [True, False])
async def test_what_is_in_hand_is_acknowledged_if_the_block_ends_well(hub: ScriptedHub, *, well: bool) -> None:
    with suppress(ArithmeticError):
        async with listening(hub) as live:
            handling = asyncio.create_task(_handle(live, 2))
            link = await hub.link()
            for identifier in ("a", "b"):
                link.say("item", item=item(identifier))
            await handling
            if not well:
                raise ArithmeticError("b was too much")
    await link.left()
    frames = [link.frames.get_nowait() for _ in range(link.frames.qsize())]
    assert [frame["ids"] for frame in frames] == [["a", "b"] if well else ["a"]]


async def test_what_could_not_be_said_is_said_on_the_next_connection(hub: ScriptedHub) -> None:
    async with listening(hub) as live:
        handling = asyncio.create_task(_handle(live, 2))
        link = await hub.link()
        link.say("item", item=item("a"))
        link.close(4001)
        link = await hub.link()
        assert link.frames.empty(), "before the hub has said anything, it wants to hear little"
        link.ready()
        assert (await link.heard("delivered"))["ids"] == ["a"]
        link.say("item", item=item("b"))
        await handling


async def test_an_inbox_that_cannot_be_read_anew_now_is_read_later(hub: ScriptedHub) -> None:
    async with listening(hub, tokens()) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        hub.busy = "0"
        link.say("resync", reason="too_old", cursor="e.9.0", counts=COUNTS)
        lost = await hearing
        assert isinstance(lost, Lost)
        assert "503" in lost.reason
        hub.busy = ""
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        assert link.cursor is None, "the old one"
        link.say("resync", reason="too_old", cursor="e.9.0", counts=COUNTS)
        assert isinstance(await hearing, Reread)


async def _handle(live: Listener, number: int) -> None:
    """Handle so many items, with the last one still in hand."""
    async for _ in live:
        number -= 1
        if number == 0:
            break


async def test_a_close_for_good_is_told_with_the_hubs_reason(hub: ScriptedHub) -> None:
    async with listening(hub) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        link.say("error", code="too_many", message="too many connections")
        link.close(4104)
        with pytest.raises(ClosedForGood, match="too many connections") as closed:
            await hearing
    assert (closed.value.code, closed.value.close_code) == ("too_many", 4104)


async def test_there_is_no_hub_at_this_path(hub: ScriptedHub) -> None:
    async with listening(hub, path="/elsewhere") as live:
        with pytest.raises(ClosedForGood):
            await ahead(live)


@pytest.mark.parametrize("answer", ["HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_token_goes_nowhere_else(hub: ScriptedHub, answer: str) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.format(elsewhere=f"ws://127.0.0.1:{hub.port}/v1/ws").encode())
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncInbox(url, "a token") as inbox, inbox.listen() as live:
            with pytest.raises(UnexpectedAnswer):
                await ahead(live)
    assert hub.idle


async def test_nothing_but_frames_is_taken(hub: ScriptedHub) -> None:
    async with listening(hub) as live:
        hearing = asyncio.create_task(ahead(live))
        link = await hub.link()
        link.out.put_nowait(json.loads('{"type": "item", "item": 7}'))
        with pytest.raises(UnexpectedAnswer):
            await hearing


async def test_what_the_token_function_raises_is_told(hub: ScriptedHub) -> None:
    def broken() -> str:
        raise LookupError("no token today")

    async with listening(hub, broken) as live:
        with pytest.raises(LookupError):
            await ahead(live)
