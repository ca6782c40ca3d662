"""A provider for tests, by HTTP to a `Carrier`; installed as any package's would be, by an entry point of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Self
from uuid import UUID

import httpx2

from fallback.providers.base import CALL_TIMEOUT, Fault, Ok, Outcome, Permanent, Surroundings, Transient
from fallback.render import Message
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.settings import Settings

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
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._http = httpx2.AsyncClient(base_url=url, limits=limits, timeout=CALL_TIMEOUT, trust_env=False)

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        return cls.url_variable in os.environ

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        return cls(os.environ[cls.url_variable])

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        try:
            answer = await self._http.post(path_of(self.channel), headers={"Idempotency-Key": str(idempotency_key)})
        except httpx2.ConnectError:
            return Transient("The pigeons could not be reached.")
        except httpx2.TransportError as error:
            return Transient(f"The pigeons did not answer ({type(error).__name__}).", maybe_sent=True)
        if answer.is_success:
            return Ok(answer.headers.get("X-Message-Id"))
        if answer.status_code == NOT_HOME:
            return Transient("Nobody was at home.", fault=Fault.ENDPOINT)
        if answer.status_code >= BUSY or answer.status_code == httpx2.codes.TOO_MANY_REQUESTS:
            return Transient(f"The pigeons are busy ({answer.status_code}).")
        return Permanent("The pigeons refused.")

    async def close(self) -> None:
        await self._http.aclose()


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
