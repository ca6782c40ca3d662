"""One connection to Redis: commands out, replies back in the same order, parsed by hiredis."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from hiredis import HiredisError, ProtocolError, Reader, ReplyError, pack_command

from hub.bus.address import Login, Server

REDIS_ERRORS = (HiredisError, OSError)
"""What using a connection can raise. (`TimeoutError` and the loss of a connection are `OSError`s.)"""

Command = tuple[bytes | str | int, ...]

pack: Callable[[Command], bytes] = pack_command  # type: ignore[assignment]  # hiredis declares tuples of one only
"""Put a command into the bytes of the protocol."""


class _Ask:
    """Replies that somebody waits for."""

    __slots__ = ("count", "done", "replies")

    def __init__(self, count: int, done: asyncio.Future[list[Any]]) -> None:
        self.count = count
        self.replies: list[Any] = []
        self.done = done


class Connection(asyncio.Protocol):
    """Asks and answers. Not cancelled when a caller is: whoever gives up waiting closes it."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._asked: deque[_Ask] = deque()
        self.transport: asyncio.Transport
        self.closed = False

    async def ask(self, commands: bytes, count: int) -> list[Any]:
        """Send `count` packed commands and return their replies; an error reply is a `ReplyError` among them.

        Raises:
            OSError: the connection was lost.

        """
        if self.closed:
            raise ConnectionResetError("the connection is closed")
        asked = _Ask(count, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        self.transport.write(commands)
        return await asked.done

    async def command(self, *command: Command) -> list[Any]:
        """Ask a few commands, and raise the first error reply.

        Raises:
            ReplyError: the server refused one.
            OSError: the connection was lost.

        """
        replies = await self.ask(b"".join(map(pack, command)), len(command))
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise reply
        return replies

    def close(self) -> None:
        """Hang up at once; idempotent."""
        self.closed = True
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are none by type

    def data_received(self, data: bytes) -> None:
        """Give replies to whoever asked."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                asked = self._asked[0]
                asked.replies.append(reply)
                if len(asked.replies) == asked.count:
                    self._asked.popleft()
                    if not asked.done.done():
                        asked.done.set_result(asked.replies)
        except (ProtocolError, IndexError):  # not Redis, or it answers what nobody asked
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell everybody who waits."""
        self.closed = True
        while self._asked:
            done = self._asked.popleft().done
            if not done.done():
                done.set_exception(ConnectionResetError("the server hung up"))


async def connect(server: Server, login: Login) -> Connection:
    """Connect and log in; the caller bounds the time.

    Raises:
        OSError: the server cannot be reached, or is a replica where a primary is wanted.
        ReplyError: it refuses the login.

    """
    loop = asyncio.get_running_loop()
    if server.port:
        _, connection = await loop.create_connection(Connection, server.host, server.port, ssl=login.tls)
    else:
        _, connection = await loop.create_unix_connection(Connection, server.host)
    try:
        commands = list(_greeting(login))
        if commands:
            await connection.command(*commands)
        if login.primary_only:
            _refuse_replica(*await connection.command(("ROLE",)))
    except BaseException:
        connection.close()
        raise
    return connection


async def ask_first(servers: Sequence[Server], login: Login, command: Command, within: float) -> tuple[Server, Any]:
    """Return the first of some servers that answers, and what; each gets `within` seconds.

    Raises:
        OSError: none did.

    """
    for server in servers:
        try:
            async with asyncio.timeout(within):
                connection = await connect(server, login)
                try:
                    (reply,) = await connection.command(command)
                finally:
                    connection.close()
        except REDIS_ERRORS:
            continue
        if reply is not None:
            return server, reply
    raise ConnectionRefusedError("no server answered")


def _refuse_replica(role: Sequence[Any]) -> None:
    if role[0] != b"master":
        raise ConnectionRefusedError("a replica, where a primary is wanted")


def _greeting(login: Login) -> Sequence[Command]:
    commands: list[Command] = []
    if login.password is not None:
        commands.append(("AUTH", login.username, login.password) if login.username else ("AUTH", login.password))
    if login.db:
        commands.append(("SELECT", login.db))
    return commands
