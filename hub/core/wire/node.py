"""What a node says of itself, and of what went wrong."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class HealthOut(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class ReadyOut(Struct, frozen=True):
    """Whether a load balancer should send clients to this node, and which of its parts can be reached."""

    ready: bool
    draining: bool
    parts: dict[str, bool]


class Problem(Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str = ""
    pointer: str | None = None
