"""What a publish would do, as the answer to a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class RehearsedStepOut(Struct, frozen=True):
    """What would happen when a step falls due, if everything stayed as it is now."""

    step: int
    channel: str
    due_at: str
    unless: str | None
    when: str
    decision: Literal["send", "skip", "wait", "expire", "expand"]
    reason: str
    provider: str | None
    endpoints: Sequence[str]


class RehearsedRecipientOut(Struct, frozen=True):
    """What one recipient would get."""

    recipient: str
    inbox: bool
    attention: str | None
    """Whether the user is looking, as far as it is known; null for an address."""
    steps: list[RehearsedStepOut]


class RehearsalOut(Struct, frozen=True):
    """What a publish would do; nothing is stored. A shared audience has `audience` instead of recipients."""

    recipients: list[RehearsedRecipientOut]
    audience: list[RehearsedStepOut] | None
