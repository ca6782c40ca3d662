"""One client of a `Fleet`: a `ReferenceClient` over a bare socket; it comes back by the rules of docs/protocol.md."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from tests.support.reference_client import Place, ReferenceClient, place_of, version_of
from tests.support.streams import EventStream, Stream, WebSocketStream

PATIENCE = 30.0
"""Seconds that a connection has until `ready` before the client tries again; the net below every wait."""
BACK_OFF_MOST = 30.0

Json = dict[str, Any]


class Transport(Enum):
    """How a client is connected."""

    WEBSOCKET = "ws"
    SSE = "sse"


class Refused(Exception):
    """The server did not take the connection. `after`: its Retry-After in seconds, None if it sent none."""

    def __init__(self, status: int, after: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.after = after


class Cut(Exception):
    """The connection ended before `ready`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one connection ended: its close code (see `streams`), the farewell, and the last `error` frame."""

    code: int
    after_ms: int | None
    """What `reconnect` said, if it came."""
    error: str | None


class Home(Protocol):
    """What members ask of their fleet."""

    dice: random.Random
    back_off: float
    """Seconds within which a client comes back after its first failure; the double after each further one."""

    def token(self, user: str) -> str:
        """Return a token of a user."""
        ...

    async def inbox(self, port: int, user: str) -> tuple[list[Json], str]:
        """Read a user's whole inbox, and the cursor of that moment.

        Raises:
            Cut: the node does not answer.

        """
        ...

    def took(self) -> None:
        """Note that a server took a connection just now."""
        ...

    def turned_away(self, refusal: Refused) -> None:
        """Note a refusal."""
        ...

    def blame(self, member: Member, error: Exception) -> None:
        """Note that a server broke the protocol."""
        ...

    def delivered(self, latency: int) -> None:
        """Note how many nanoseconds a live item took whose `data.at` is when it was published."""
        ...


class Member:
    """Implements `streams.Owner`. Cursor and items outlive connections."""

    def __init__(
        self, home: Home, user: str, ports: Sequence[int], transport: Transport, *, by_frame: bool = False
    ) -> None:
        """Start at the first of `ports`; `stay` takes the next whenever one does not do.

        With `by_frame` the token goes into a `connect` frame, as from a browser, not into the handshake.
        """
        self.client = ReferenceClient(user)
        self.user = user
        self.ports = deque(ports)
        self.transport = transport
        self.doubled = 0
        """Items that came although the cursor said that they were known."""
        self.endings: list[Ending] = []
        """How each of its connections ended that had been taken."""
        self.gone = asyncio.Event()
        """Set while there is no connection."""
        self.gone.set()
        self.live = asyncio.Event()
        """Set from `ready`, with the inbox loaded if need be, until the connection ends."""
        self._home = home
        self._by_frame = by_frame and transport is Transport.WEBSOCKET
        self._stream: Stream | None = None
        self._ready: asyncio.Future[None] | None = None
        self._taken = False
        self._after_ms: int | None = None
        self._error: str | None = None
        self._awaited: list[tuple[Place, asyncio.Future[None]]] = []
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._staying: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None

    # What tests do

    async def connect(self) -> None:
        """Connect with the cursor that it has; returns once live.

        Raises:
            Refused: the server answered something else.
            Cut: the connection ended before that, or could not be made.
            TimeoutError: nothing came of it in `PATIENCE` seconds.

        """
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._taken, self._after_ms, self._error = False, None, None
        self.client.connecting()
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    await loop.create_connection(self._make_stream, "127.0.0.1", self.ports[0])
                except OSError as error:
                    raise Cut from error
                await self._ready
        except BaseException:
            if self._stream is not None:
                self._stream.transport.abort()
            raise

    def stay(self) -> None:
        """Keep it connected from now on, whatever happens."""
        if self._staying is None:
            self._staying = asyncio.create_task(self._stay())

    async def leave(self, *, rudely: bool = False) -> None:
        """End the connection for good, politely or with a reset; returns once it is gone."""
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.wait((self._staying,))
            self._staying = None
        if self._stream is not None:
            (self._stream.vanish if rudely else self._stream.leave)()
            async with asyncio.timeout(PATIENCE):
                await self.gone.wait()

    def send(self, frame: Json) -> None:
        """Send a frame; only by WebSocket, and only while connected."""
        assert isinstance(self._stream, WebSocketStream)
        self._stream.send(msgspec.json.encode(frame))

    async def reach(self, cursor: str, position: int = 0) -> None:
        """Wait until it has come to at least this cursor's version, and to this position of the shared log."""
        wanted = Place(version_of(cursor), position)
        if self.client.cursor is None or not place_of(self.client.cursor).covers(wanted):
            reached = asyncio.get_running_loop().create_future()
            self._awaited.append((wanted, reached))
            await reached

    async def hold(self, notification: str) -> None:
        """Wait until it has this item."""
        if notification not in self.client.items:
            self._wanted[notification] = asyncio.get_running_loop().create_future()
            await self._wanted[notification]

    # What its connection tells

    def opened(self) -> None:
        self._taken = True
        self._home.took()
        if self._by_frame:
            self.send({"type": "connect", "token": self._home.token(self.user), "cursor": self.client.cursor})

    def refused(self, status: int, headers: Mapping[str, str]) -> None:
        after = headers.get("retry-after")
        refusal = Refused(status, None if after is None else float(after))
        self._home.turned_away(refusal)
        self._fail(refusal)

    def frame(self, text: bytes) -> None:
        frame = msgspec.json.decode(text)
        match frame["type"]:
            case "reconnect":
                self._after_ms = frame["after_ms"]
            case "error":
                self._error = frame["code"]
            case "reauth" if isinstance(self._stream, WebSocketStream):
                self.send({"type": "reauth", "token": self._home.token(self.user)})
            case "reauth" | "reauthenticated":
                pass
            case _:
                self._receive(frame, text)

    def broke(self, error: Exception) -> None:
        self._home.blame(self, error)

    def ended(self, code: int) -> None:
        self._stream = None
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None
        self.live.clear()
        self.gone.set()
        if self._taken:
            self.endings.append(Ending(code, self._after_ms, self._error))
        self._fail(Cut(code))

    # Parts

    def _make_stream(self) -> Stream:
        kind = WebSocketStream if self.transport is Transport.WEBSOCKET else EventStream
        headers = {} if self._by_frame else {"Authorization": f"Bearer {self._home.token(self.user)}"}
        query = "" if self._by_frame or self.client.cursor is None else f"?cursor={quote(self.client.cursor)}"
        self._stream = kind(self, f"/v1/{self.transport.value}{query}", headers)
        self.gone.clear()
        return self._stream

    def _receive(self, frame: Json, text: bytes) -> None:
        client = self.client
        if frame["type"] == "item":
            held, item = client.cursor, frame["item"]
            # One of a topic may be new here, and yet change nothing of the inbox's own version.
            known = item["id"] in client.items and item["id"] not in client.late
            if held is not None and item["version"] <= version_of(held) and known:
                self.doubled += 1
            if client.live and "at" in (frame["item"]["data"] or ()):
                self._home.delivered(time.perf_counter_ns() - frame["item"]["data"]["at"])
        client.receive(text)
        if frame["type"] == "item" and (wanted := self._wanted.pop(frame["item"]["id"], None)) is not None:
            wanted.set_result(None)
        if frame["type"] == "resync":
            self.live.clear()  # until the newest page has been read again
        if frame["type"] == "ready":
            if client.stale and client.cursor is not None and place_of(client.cursor) == (0, 0):
                client.load([])  # nothing has ever happened to this inbox
            if client.stale:
                self._loading = asyncio.create_task(self._load())
            else:
                self._go_live()
        if self._awaited and client.cursor is not None:
            self._tell_reached(place_of(client.cursor))

    async def _load(self) -> None:
        try:
            items, _ = await self._home.inbox(self.ports[0], self.user)
        except Cut:
            if self._stream is not None:
                self._stream.transport.abort()
            return
        self.client.load(items)
        self._go_live()

    def _go_live(self) -> None:
        self.live.set()
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _tell_reached(self, place: Place) -> None:
        for wanted, reached in self._awaited:
            if place.covers(wanted) and not reached.done():
                reached.set_result(None)
        self._awaited = [(wanted, reached) for wanted, reached in self._awaited if not reached.done()]

    def _fail(self, error: Exception) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # whoever waits hears of it; if nobody does, it is no news either

    async def _stay(self) -> None:
        failures = 0
        while True:
            if self.gone.is_set():
                try:
                    await self.connect()
                except (Refused, Cut, TimeoutError) as error:
                    failures += 1
                    self.ports.rotate()
                    await asyncio.sleep(self._pause(failures, error))  # the wait that the protocol asks for
                    continue
            failures = 0
            await self.gone.wait()
            self.ports.rotate()
            if self._after_ms is not None:
                await asyncio.sleep(self._after_ms / 1000)  # the same

    def _pause(self, failures: int, error: Exception) -> float:
        """Return seconds to wait: full jitter, on top of what the server asked for."""
        jitter = self._home.dice.uniform(0, min(BACK_OFF_MOST, self._home.back_off * 2 ** min(failures - 1, 10)))
        return jitter if not isinstance(error, Refused) or error.after is None else error.after + jitter
