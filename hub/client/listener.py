"""Listening to an inbox over a WebSocket, for as long as somebody wants to hear of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Final, Literal, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Close

from hub.client.acknowledging import Acknowledgements
from hub.client.comeback import Comeback, Ended
from hub.client.errors import UnexpectedAnswer, Unreachable
from hub.client.feed import Arrived, Event, Feed, Leaving, Lost, Reading, Ready, Renewing, Reread
from hub.client.types import Item
from hub.core import wire
from hub.core.errors import BellwireError, RequestError
from hub.core.frames import CloseCode
from hub.core.retry import parse_retry_after
from hub.core.wire import Counts

Attention = Literal["active", "away"]

_PATIENCE: Final = 20.0
"""Seconds without a word before a new connection is given up."""
_FAREWELL: Final = 2.0
"""Seconds that the end of a connection may take."""
_MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes; a backlog may come in one message."""
_ABNORMAL: Final = 1006


class _Connect(connect):
    """Follows no redirects: a token goes only where it was meant to go."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Listener(AsyncIterator[Item]):
    """One user's inbox, live; made by `AsyncInbox.listen`. Iterate it over items, or over `events()`.

    Each item that appears is handed over, across broken connections and restarted hubs. In one process that happens
    once, but for an item that changed while the connection was away: it comes again, as it is then. After a restart
    of yours with a stored cursor, what was handed over and not covered by it comes again.

    Raises while it is iterated:
        Unauthenticated: the hub refuses the token, and a fresh one, too.
        ClosedForGood: the hub says that coming back won't help.
        UnexpectedAnswer: what answers is no hub.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], Awaitable[str]],
        read_newest: Callable[[], Awaitable[Sequence[Item]]],
        *,
        cursor: str | None,
        attention: Attention,
        acknowledge: bool,
        comeback: Comeback | None = None,
    ) -> None:
        self._address = "ws" + url.removeprefix("http") + "/v1/ws"
        self._token = token
        self._read_newest = read_newest
        self._attention = attention
        self._acknowledge = acknowledge
        self._comeback = comeback or Comeback(random.random)
        self._feed = Feed(cursor)
        self._done = Acknowledgements()
        self._unread: deque[Item] = deque()
        """Items that were read anew, and not yet handed over."""
        self._in_hand: Sequence[Item] = ()
        self._handed_at = 0.0
        self._heard = False
        """Whether the hub has said something on this connection; before that it wants to hear little."""
        self._events = self._listen()

    @property
    def cursor(self) -> str | None:
        """Where to resume from. Store it once you have handled what you were given: nothing is lost then."""
        return self._feed.cursor

    @property
    def counts(self) -> Counts | None:
        """The badge; None before the first connection."""
        return self._feed.counts

    def events(self) -> AsyncIterator[Event]:
        """Give everything that happens, not only items."""
        return self._events

    async def __anext__(self) -> Item:
        while not self._unread:
            match await anext(self._events):
                case Arrived(item):
                    return item
                case Reread(items=items):
                    self._hand_over(())  # one by one instead
                    self._unread.extend(reversed(items))
        self._handled()
        item = self._unread.popleft()
        self._hand_over((item,))
        return item

    async def aclose(self) -> None:
        """Leave. What is in hand does not count as handled."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._handled()
        await self.aclose()

    async def _listen(self) -> AsyncGenerator[Event]:
        while True:
            self._feed.connecting()
            self._heard = False
            ended: Ended | None = None
            token = self._comeback.show(await self._token())
            try:
                async with _Connect(
                    self._address, compression=None, max_size=_MAX_MESSAGE, ping_interval=None, close_timeout=_FAREWELL
                ) as socket:
                    await _send(socket, wire.Connect(token=token, cursor=self._feed.cursor, state=self._attention))
                    try:
                        async with aclosing(self._converse(socket)) as events:
                            async for event in events:
                                if isinstance(event, Leaving):
                                    ended = _leaving(event)
                                    break
                                yield event
                    finally:
                        await self._acknowledge_all(socket)
            except (ConnectionClosed, InvalidHandshake, OSError, EOFError, BellwireError) as error:
                ended = _ended(error)
            ended = ended or Ended(_ABNORMAL, "the hub fell silent")
            wait = self._comeback.wait(ended, time.monotonic(), self._feed.refusal)
            yield Lost(ended.reason, wait)
            await asyncio.sleep(wait)

    async def _converse(self, socket: ClientConnection) -> AsyncGenerator[Event | Leaving]:
        """Give what happens on one connection; ends when the hub falls silent.

        Raises:
            ConnectionClosed: the hub has closed it.

        """
        patience = _PATIENCE
        while (message := await self._message(socket, patience)) is not None:
            for line in message.split("\n"):
                match self._feed.receive(line):
                    case None:
                        pass
                    case Renewing():
                        await _send(socket, wire.Reauth(token=self._comeback.show(await self._token())))
                    case Leaving() as leaving:
                        yield leaving
                    case Reading() as reading:
                        items = await self._read_newest()
                        self._hand_over(items)
                        yield self._feed.reread(reading, items)
                        self._handled()
                    case Arrived(item) as arrived:
                        self._hand_over((item,))
                        yield arrived
                        self._handled()
                    case event:
                        if isinstance(event, Ready):
                            self._comeback.ready(time.monotonic())
                            patience = 2 * event.ping_ms / 1000
                        yield event
                if self._done.due:
                    await self._acknowledge_some(socket)

    async def _message(self, socket: ClientConnection, patience: float) -> str | None:
        """Wait for a message, and acknowledge meanwhile; None: there was none for too long."""
        silent_at = time.monotonic() + patience
        while (left := silent_at - time.monotonic()) > 0:
            if self._heard and self._done.due:
                await self._acknowledge_some(socket)
            due_at = self._done.due_at if self._heard else None
            try:
                async with asyncio.timeout(left if due_at is None else min(left, due_at - time.monotonic())):
                    message = str(await socket.recv(decode=True))
            except TimeoutError:
                continue
            self._heard = True
            return message
        return None

    def _hand_over(self, items: Sequence[Item]) -> None:
        self._in_hand, self._handed_at = items, time.monotonic()

    def _handled(self) -> None:
        """Take what was handed over as handled."""
        if self._acknowledge:
            for item in self._in_hand:
                self._done.add(item, self._handed_at)
        self._in_hand = ()

    async def _acknowledge_some(self, socket: ClientConnection) -> None:
        ids = self._done.some()
        await _send(socket, wire.Delivered(ids=ids, ref="delivered"))
        self._done.said(ids)

    async def _acknowledge_all(self, socket: ClientConnection) -> None:
        """Say what is left to say, if the connection still takes it; else it is said on the next one."""
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                while self._heard and self._done.due_at is not None:
                    await self._acknowledge_some(socket)


async def _send(socket: ClientConnection, frame: wire.ClientFrame) -> None:
    await socket.send(msgspec.json.encode(frame).decode())


def _leaving(leaving: Leaving) -> Ended:
    return Ended(CloseCode.GOING_AWAY, "the node goes away", leaving.seconds, exact=True)


def _ended(error: Exception) -> Ended:
    """Say how a connection ended, or why there was none.

    Raises:
        BellwireError: what was raised, if it says nothing of the connection.

    """
    match error:
        case ConnectionClosed(rcvd=Close() as close):
            return Ended(close.code, close.reason)
        case ConnectionClosed():
            return Ended(_ABNORMAL, "the connection broke")
        case InvalidStatus(response=response):
            return _answered(response.status_code, response.headers.get("Retry-After"))
        case RequestError():  # to reading anew
            return Ended(error.status, error.detail, error.retry_after)
        case UnexpectedAnswer(status=status) if status >= 500:  # noqa: PLR2004 - a proxy's, for the same
            return Ended(status, str(error), error.retry_after)
        case BellwireError() if not isinstance(error, Unreachable):
            raise error
    return Ended(0, f"{type(error).__name__}: {error}".rstrip(": "))


def _answered(status: int, retry_after: str | None) -> Ended:
    """Say what an answer means that is no WebSocket.

    Raises:
        UnexpectedAnswer: another service answers.

    """
    if status < 400:  # noqa: PLR2004 - whatever is no error, and no WebSocket either
        raise UnexpectedAnswer("what answers is no hub: it speaks no WebSocket", status=status)
    wait = parse_retry_after(retry_after, int(time.time() * 1000))
    return Ended(status, f"status {status}", None if wait is None else wait / 1000)
