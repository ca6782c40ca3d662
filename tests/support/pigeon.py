"""A provider for tests, by HTTP to a `Carrier`; installed as any package's would be, by an entry point of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import ClassVar, Self
from uuid import UUID

from fallback.providers.base import CALL_TIMEOUT, Fault, Ok, Outcome, Surroundings, Transient
from fallback.render import Message
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.settings import Settings

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

TAKEN = 202
BUSY = 503
"""The carrier cannot serve anybody."""
NOT_HOME = 409
"""It could not reach this recipient now."""


def path_of(channel: Channel) -> str:
    """Return where messages of a channel go."""
    return f"/pigeons/{channel.value}"


def install(folder: Path, carrier_url: str) -> dict[str, str]:
    """Make a package of it in an empty folder; returns the environment of processes that shall find it."""
    info = folder / "pigeon-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon\nVersion: 1\n")
    points = "\n".join(f"{kind.name} = {__name__}:{kind.__name__}" for kind in (MailPigeon, TextPigeon))
    (info / "entry_points.txt").write_text(f"[bellwire.providers]\n{points}\n")
    return {"PYTHONPATH": str(folder), **{kind.url_variable: carrier_url for kind in (MailPigeon, TextPigeon)}}


class _Pigeon:
    channel: ClassVar[Channel]
    url_variable: ClassVar[str]
    preference: ClassVar[int] = 50

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._idle: list[_Connection] = []

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return cls.url_variable in os.environ

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        return cls(os.environ[cls.url_variable])

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        try:
            connection = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        except OSError:
            return Transient("The pigeons could not be reached.")
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                status = await _post(connection, path_of(self.channel), idempotency_key)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            connection[1].transport.abort()
            return Transient(f"The pigeons did not answer ({type(error).__name__}).", maybe_sent=True)
        self._idle.append(connection)
        if status == TAKEN:
            return Ok()
        if status == NOT_HOME:
            return Transient("Nobody was at home.", fault=Fault.ENDPOINT)
        return Transient(f"The pigeons are busy ({status}).")

    async def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()


async def _post(connection: _Connection, path: str, key: UUID) -> int:
    """Post nothing but the key, and return the status of the answer: a client that costs a tenth of a real one."""
    reader, writer = connection
    writer.write(b"POST %s HTTP/1.1\r\nIdempotency-Key: %s\r\n\r\n" % (path.encode(), str(key).encode()))
    version, status, *_ = (await reader.readuntil(b"\r\n")).split(b" ")
    if version != b"HTTP/1.1":
        raise ValueError("not HTTP")
    length = 0
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    await reader.readexactly(length)
    return int(status)


class MailPigeon(_Pigeon):
    """Carries e-mails."""

    name: ClassVar[str] = "mailpigeon"
    channel: ClassVar[Channel] = Channel.EMAIL
    url_variable: ClassVar[str] = "MAIL_PIGEON_URL"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.EMAIL})


class TextPigeon(_Pigeon):
    """Carries text messages."""

    name: ClassVar[str] = "textpigeon"
    channel: ClassVar[Channel] = Channel.SMS
    url_variable: ClassVar[str] = "TEXT_PIGEON_URL"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.SMS})
