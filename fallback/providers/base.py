"""What a provider is, and the three ways in which a call to one can end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import ClassVar, Protocol, Self, TypeVar
from uuid import UUID

from fallback.render import Message
from hub.core.errors import ConfigurationError
from hub.core.mailbox import DevMailbox
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.ports import Clock
from hub.settings import Settings

CALL_TIMEOUT = 10.0
"""Seconds that a provider gives one call. Less than the worker's own limit, which is less than a lease."""

MAX_DETAIL = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ok:
    """The provider has taken the message over."""

    provider_message_id: str | None = None


class Fault(Enum):
    """What a failure is about: whether another provider is tried, and what the breaker is told, hangs on it."""

    PROVIDER = "provider"
    """The provider: it is away, overloaded, or refuses us. Others will fail in the same way; another one may not."""
    ENDPOINT = "endpoint"
    """The endpoint or the message: another provider would meet the same (a full mailbox, a bad address)."""
    MATCH = "match"
    """The two together: this provider cannot reach this endpoint, another one may."""


@dataclass(frozen=True, slots=True)
class Transient:
    """It may work later. `retry_after`: milliseconds that the provider asked for.

    `maybe_sent`: the message may have gone out all the same (the answer to it is missing).
    """

    detail: str
    retry_after: int | None = None
    fault: Fault = Fault.PROVIDER
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Permanent:
    """It will never work like this. `endpoint_gone`: nor will anything else sent to this endpoint."""

    detail: str
    endpoint_gone: bool = False
    fault: Fault = Fault.ENDPOINT


Outcome = Ok | Transient | Permanent


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider gets from the process it runs in."""

    mailbox: DevMailbox
    clock: Clock


class Provider(Protocol):
    """Sends messages of its channels. One instance serves a whole process, many calls at once."""

    name: ClassVar[str]
    channels: ClassVar[frozenset[Channel]]
    preference: ClassVar[int]
    """Of several providers that are set up for a channel, the one with the lowest number is chosen."""

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        """Tell whether the settings hold what this provider needs. Must not import the SDK."""
        ...

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:
        """Make the provider; its SDK is imported here, not before.

        Raises:
            ConfigurationError: a setting is missing or wrong, or the SDK is not installed.

        """
        ...

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        """Send to one endpoint. The key is the delivery's id: the same on every attempt.

        Says what happened by its outcome and raises nothing that can be foreseen; details hold no secret and no
        address.
        """
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an SDK that comes with an extra.

    Raises:
        ConfigurationError: it is not installed; says how to install it.

    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise ConfigurationError(
            f"the provider {extra} needs a package that is not installed: pip install bellwire[{extra}]"
        ) from None


def detail(text: str, endpoint: Endpoint) -> str:
    """Make a provider's words fit to be stored and shown: one line, short, without the endpoint's address."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(re.escape(endpoint.address), endpoint.name, line, flags=re.IGNORECASE)[:MAX_DETAIL]


class Threads:
    """Threads of one provider's own, for an SDK that blocks.

    Not the event loop's default pool: a provider that hangs would fill that one, and with it every other provider
    and the name resolution of the whole process.
    """

    def __init__(self, name: str, size: int = 256) -> None:
        """`size` is at least what all lanes of a channel have on their way at once; threads start when needed."""
        self._executor = ThreadPoolExecutor(max_workers=size, thread_name_prefix=name)

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread; cancelling the caller does not end the call."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Take no more calls; those on their way end by their own timeout."""
        self._executor.shutdown(wait=False, cancel_futures=True)
