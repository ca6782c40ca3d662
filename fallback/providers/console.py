"""The `console` provider: development's stand-in for all channels; puts messages into the development mailbox."""

from __future__ import annotations

from typing import ClassVar, Self
from uuid import UUID

import structlog

from fallback.providers.base import Ok, Outcome, Surroundings
from fallback.render import Message
from hub.core.model import Channel
from hub.core.plan import Endpoint
from hub.settings import Settings

log = structlog.get_logger(__name__)


class ConsoleProvider:
    """Keeps each message where the demo page shows it, and logs that there was one."""

    name: ClassVar[str] = "console"
    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)
    preference: ClassVar[int] = 1000

    def __init__(self, surroundings: Surroundings) -> None:
        self._mailbox = surroundings.mailbox
        self._clock = surroundings.clock

    @classmethod
    def configured(cls, settings: Settings) -> bool:
        """Tell whether this is development: elsewhere it must be asked for by name."""
        return settings.development

    @classmethod
    def from_settings(cls, settings: Settings, surroundings: Surroundings) -> Self:  # noqa: ARG003 - the protocol's
        """Make the provider; it needs no setting."""
        return cls(surroundings)

    async def send(self, message: Message, endpoint: Endpoint, *, idempotency_key: UUID) -> Outcome:
        """Keep the message. A device is shown by its id: its token is a secret."""
        channel = {"email": "email", "phone": "sms"}.get(endpoint.kind, "push")
        self._mailbox.add(
            channel=channel,
            to=endpoint.address if endpoint.device is None else f"device {endpoint.name}",
            subject=message.subject,
            text=message.text,
            html=message.html,
            sent_at=self._clock.now(),
        )
        log.info("console_message", delivery=str(idempotency_key), channel=channel)
        return Ok(f"console-{idempotency_key}")

    async def close(self) -> None:
        """Release nothing: the mailbox is the process's."""
