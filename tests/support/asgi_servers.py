"""The hub behind every ASGI server that it is tested on, each as a process of its own, and clients of it.

A server is one entry of `SERVERS`: how it is started, where the hub is on it, and what it lets the hub say at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import IPPROTO_TCP, SO_RCVBUF, SOL_SOCKET, TCP_MAXSEG
from socket import socket as Pipe  # noqa: N812 - `socket` is a method here
from typing import Any

import httpx2
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect

from hub.core.model import InboxKey
from hub.keyring import Keyring
from hub.settings import Settings
from tests.support.listener import PATIENCE
from tests.support.live import Socket
from tests.support.process import REPOSITORY, BellwireProcess

API_KEY = "an-api-key-for-tests"
JWT_SECRET = "a-secret-for-tests-of-32-bytes-or-more"
KEYRING = Keyring.from_settings(Settings(), API_KEY, JWT_SECRET)
HOUR = 3_600_000

_BIN = Path(sys.executable).parent
_users = itertools.count()


@dataclass(frozen=True)
class AsgiServer:
    """One way to serve the hub."""

    name: str
    command: Callable[[int], Sequence[str | Path]]
    """The command line, given a port of 127.0.0.1."""
    prefix: str = ""
    """Where the hub is mounted."""
    farewell: int | None = None
    """The close code that WebSockets see when the server is asked to stop; None: their connection breaks."""
    streams_too: bool = True
    """Whether streams are told to come back then; else they break."""


SERVERS = (
    AsgiServer("bellwire", lambda port: [_BIN / "bellwire", "serve", "--port", str(port)], farewell=4000),
    AsgiServer(
        "uvicorn",
        lambda port: [_BIN / "uvicorn", "--factory", "hub.app:create_app", "--port", str(port)],
        farewell=1012,
    ),
    AsgiServer(
        "mounted",
        lambda port: [_BIN / "uvicorn", "--factory", "tests.support.asgi_servers:host_app", "--port", str(port)],
        prefix="/notifications",
        farewell=1012,
    ),
    AsgiServer(
        "granian",
        lambda port: [
            *(_BIN / "granian", "--interface", "asgi", "--factory", "hub.app:create_app"),
            *("--port", str(port), "--workers-kill-timeout", "1"),  # it would wait for its streams for ever
        ],
        streams_too=False,
    ),
)


def host_app() -> Starlette:
    """Make somebody's app with the hub in it: the example of `docs/deploying.md`."""
    example = re.search(r"```python\n(.*?)```", (REPOSITORY / "docs" / "deploying.md").read_text(), re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    exec(example[1], names)  # noqa: S102 - our own documentation
    assert isinstance(names["app"], Starlette)
    return names["app"]


class ServedHub(BellwireProcess):
    """A hub on one of the servers; it has its database in `data`."""

    def __init__(self, server: AsgiServer, data: Path) -> None:
        env = {"BELLWIRE_DATA_DIR": str(data), "BELLWIRE_API_KEY": API_KEY, "BELLWIRE_JWT_SECRET": JWT_SECRET}
        super().__init__("serve", env=env)
        self.server = server
        self._command = [str(word) for word in server.command(self.port)]

    @property
    def url(self) -> str:
        """Where the hub is."""
        return f"http://127.0.0.1:{self.port}{self.server.prefix}"

    def http(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=PATIENCE, trust_env=False, **options)

    def user(self) -> str:
        """Return somebody whom no other test knows."""
        return f"user-{next(_users)}"

    def token(self, user: str) -> str:
        return KEYRING.issue(InboxKey("default", user), time.time_ns() // 1_000_000, HOUR)

    def bearer(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user)}"}

    async def publish(self, user: str, *titles: str, body: str = "") -> list[str]:
        """Publish one after the other, and return the notifications' ids."""
        async with self.http(headers={"Authorization": f"Bearer {API_KEY}"}) as http:
            ids = []
            for title in titles:
                request = {"recipients": [user], "title": title, "body": body}
                answer = await http.post("/v1/notifications", json=request)
                assert answer.status_code == 201, answer.text
                ids.append(str(answer.json()["id"]))
            return ids

    async def flood(self, user: str, items: int) -> None:
        """Publish so many items of 3.5 kB, in no order."""
        each = [self.publish(user, *["flood"] * (items // 10), body="x" * 3_500) for _ in range(10)]
        await asyncio.gather(*each)

    def open_socket(
        self, query: str = "", headers: Mapping[str, str] | None = None, **options: Any
    ) -> Awaitable[ClientConnection]:
        address = self.url.replace("http", "ws", 1) + "/v1/ws" + query
        return connect(address, additional_headers=headers or {}, proxy=None, **options)

    async def socket(self, user: str, cursor: str | None = None, **options: Any) -> Socket:
        """Connect by WebSocket; returns before `ready`."""
        client = Socket(await self.open_socket(**options))
        await client.send({"type": "connect", "token": self.token(user), "cursor": cursor})
        return client

    async def ready(self, user: str) -> Socket:
        """Connect by WebSocket, and wait until live."""
        client = await self.socket(user)
        client.ready = await client.expect("ready")
        return client

    @contextmanager
    def narrow_pipe(self) -> Iterator[Pipe]:
        """Connect so that little fits into the system's buffers on both sides: a slow reader is soon noticed."""
        with contextlib.closing(Pipe()) as pipe:
            pipe.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_096)
            pipe.setsockopt(IPPROTO_TCP, TCP_MAXSEG, 536)  # the peer's buffer grows by the segment
            pipe.connect(("127.0.0.1", self.port))
            pipe.setblocking(False)
            yield pipe


class Events:
    """A stream of server-sent events, read frame by frame."""

    def __init__(self, source: Any) -> None:
        self.last_id = ""
        """The `id:` that a browser would resume with."""
        self._events = source.__aiter__()

    async def expect(self, kind: str) -> dict[str, Any]:
        """Return the next frame, which must be of this type."""
        async with asyncio.timeout(PATIENCE):
            event = await anext(self._events)
            while event.event == "ping" != kind:  # the first comes at random
                event = await anext(self._events)
        frame: dict[str, Any] = event.json()
        assert frame["type"] == event.event == kind, frame
        self.last_id = event.id or self.last_id
        return frame

    async def ended(self) -> None:
        """Wait for the end; nothing but a ping may come before it."""
        async with asyncio.timeout(PATIENCE):
            assert [event async for event in self._events if event.event != "ping"] == []


@asynccontextmanager
async def events(http: httpx2.AsyncClient, headers: Mapping[str, str]) -> AsyncIterator[Events]:
    """Open a stream."""
    async with http.sse("/v1/sse", headers=headers) as source:
        yield Events(source)
