"""What was published, and what one publish stores."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hub.core.model.schedules import Move
from hub.core.model.terms import Channel, Priority, Rung, When


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody without an inbox is reached: exactly one of the two."""

    email: str | None = None
    phone: str | None = None

    @property
    def channel(self) -> Channel:
        """The channel that this address belongs to."""
        return Channel.EMAIL if self.email is not None else Channel.SMS

    @property
    def value(self) -> str:
        """The address itself."""
        return self.email or self.phone or ""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a fallback plan: `channel`, `after` (milliseconds from publish), unless, when."""

    channel: Channel
    after: int
    unless: Rung = Rung.SEEN
    when: When = When.ALWAYS


@dataclass(frozen=True, slots=True)
class Content:
    """What was published once. `data` and `actor` are JSON objects, already encoded."""

    id: UUID
    tenant: str
    category: str
    title: str
    body: str
    action_url: str | None
    data: bytes | None
    actor: bytes | None
    priority: Priority
    inbox: bool
    collapse_key: str | None
    created_at: int
    deliver_at: int | None
    expires_at: int | None
    plan: tuple[Step, ...] = ()

    @property
    def appears_at(self) -> int:
        """When it shows in inboxes, and what the plan's `after` counts from."""
        return self.created_at if self.deliver_at is None else self.deliver_at


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """One step for one recipient, as first stored. Either `user` or `address` is set."""

    id: UUID
    step: int
    """Index in the content's plan."""
    channel: Channel
    due_at: int
    unless: Rung
    when: When
    user: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """A caller's key for one operation, with the hash of the canonical body and the answer to repeat."""

    operation: str
    key: str
    body_hash: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """All that one publish writes, in one transaction.

    `users` get an inbox item each (empty with `inbox: false`); `deliveries` hold every step of every recipient.
    With an `audience`, which is a topic's name or `BROADCAST`, both are empty.
    """

    content: Content
    users: tuple[str, ...]
    deliveries: tuple[NewDelivery, ...]
    idempotency: tuple[IdempotencyRecord, ...] = ()
    """Any of these keys names it. The earlier ones count first where they were used for different things."""
    response: bytes = b"{}"
    """The answer to the publisher, encoded: known before anything is stored."""
    audience: str | None = None
    move: Move | None = None
    """The schedule's whose run it is: both are stored, or neither."""
