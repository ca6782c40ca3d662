"""`GET /v1/poll`: the same session, one answer at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hub.core import wire
from hub.core.errors import InvalidRequest, Unavailable
from hub.core.frames import Outgoing
from hub.gateway.gateway import Gateway
from hub.gateway.queued import QueuedConnection
from hub.gateway.requests import attention_of, by_header
from hub.http.queries import read_query

DEFAULT_TIMEOUT = 25
MAX_TIMEOUT = 55
"""Seconds; proxies commonly give up at 60."""

READY_TIMEOUT = 10
"""Seconds that the catch-up may take."""

_NEWS = frozenset({"item", "change", "resync"})
_NOT_FOR_POLLS = frozenset({"ping", "reauth"})
"""Every call brings its token, and is a sign of life."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


async def serve_poll(gateway: Gateway, request: Request) -> Response:
    """Answer with frames since the cursor: at once if there is anything to tell, else when there is, else empty.

    Raises:
        Unauthenticated, InvalidRequest, Unavailable: see the text.

    """
    gateway.admit(request)
    query = read_query(request, ("cursor", "timeout", "connection", "state"))
    attention, timeout, name = attention_of(query), _timeout(query), _name(query)
    identity = by_header(gateway, request)
    if gateway.full:
        raise Unavailable("this node takes no more connections", retry_after=2)
    connection = gateway.open(name, kind="poll", known=True)
    watcher = asyncio.create_task(_watch(request, connection), name="poll-watch")
    answered = False
    try:
        connection.connect(identity, cursor=query.get("cursor"), attention=attention)
        frames = await _collect(connection, timeout if "cursor" in query else None)
        answered = not watcher.done()
    finally:
        watcher.cancel()
        gateway.disconnect(connection, fade=answered)
    cursor = connection.session.cursor
    if cursor is None:
        raise Unavailable("the inbox cannot be read now", retry_after=1)
    out = wire.PollOut([msgspec.Raw(out.frame) for out in frames if out.event not in _NOT_FOR_POLLS], str(cursor))
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(msgspec.json.encode(out), headers=headers, media_type="application/json")


async def _collect(connection: QueuedConnection, patience: float | None) -> list[Outgoing]:
    """Gather frames: the catch-up, and if it has no news then, with `patience` in seconds, the first news."""
    frames: list[Outgoing] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_TIMEOUT):
            await _gather(connection, frames, _NEWS | {"ready"})
        if patience is not None:
            async with asyncio.timeout(patience):
                await _gather(connection, frames, _NEWS)
    # What came in the very moment when patience ended: the cursor of the answer is past it already.
    while (out := connection.pop()) is not None:
        frames.append(out)
    return frames


async def _gather(connection: QueuedConnection, frames: list[Outgoing], enough: Collection[str]) -> None:
    """Gather frames until one of `enough`, or the end."""
    while not connection.ended and not any(out.event in enough for out in frames):
        await connection.wait()
        while (out := connection.pop()) is not None:
            frames.append(out)


async def _watch(request: Request, connection: QueuedConnection) -> None:
    """End the connection when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    connection.lost()


def _timeout(query: Mapping[str, str]) -> int:
    text = query.get("timeout", str(DEFAULT_TIMEOUT))
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_TIMEOUT)) and int(text) <= MAX_TIMEOUT):
        raise InvalidRequest(f"must be a number of seconds from 0 to {MAX_TIMEOUT}", pointer="timeout")
    return int(text)


def _name(query: Mapping[str, str]) -> str | None:
    name = query.get("connection")
    if name is not None and _NAME.fullmatch(name) is None:
        raise InvalidRequest("must be the `connection` of an earlier `ready`", pointer="connection")
    return name
