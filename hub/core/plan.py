"""What to do with a step of a fallback plan that is due: one pure decision from the facts at hand.

Reasons are sentences that people read in a notification's timeline; they hold no address and no token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hub.core.model import Attention, Channel, Contact, Content, Delivery, Device, Rung, When

RECHECK = 30_000
"""Milliseconds after which a step that waits for the user to look away is looked at again."""

PATIENCE = 24 * 3_600_000
"""Milliseconds after its planned time at which a step gives up waiting for the user to look away."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that a provider can reach."""

    name: str
    """Short and not secret: a device's id, a masked address. What attempts are recorded under."""
    kind: str
    """How to address it: `email`, `phone`, or a device's kind."""
    address: str = field(repr=False)
    """The address, number or token itself; never logged."""
    device: UUID | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send to these endpoints now; there is at least one."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    """The step cannot be done. With `pull_next` the recipient's next step need not wait for its time."""

    reason: str
    pull_next: bool


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: decide again at `until`."""

    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The step is not needed any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """The notification has expired."""

    reason: str


NotNow = Skip | Snooze | Cancel | Expire
Decision = Send | NotNow


def endpoints(delivery: Delivery, contact: Contact | None, devices: Sequence[Device]) -> tuple[Endpoint, ...]:
    """List where the delivery's channel reaches its recipient, in the order of registration."""
    if delivery.channel is Channel.EMAIL:
        email = delivery.address or (contact.email if contact else None)
        return (Endpoint(mask_email(email), "email", email),) if email else ()
    if delivery.channel is Channel.SMS:
        phone = delivery.address or (contact.phone if contact else None)
        return (Endpoint(mask_phone(phone), "phone", phone),) if phone else ()
    if delivery.channel is Channel.PUSH:
        return tuple(Endpoint(str(device.id), device.kind, device.token, device.id) for device in devices)
    return ()


def channels_of(*, email: bool, phone: bool, devices: bool) -> frozenset[Channel]:
    """List the channels for which `endpoints` finds something, for a user who has these."""
    has = {Channel.EMAIL: email, Channel.SMS: phone, Channel.PUSH: devices}
    return frozenset(channel for channel, there in has.items() if there)


def decide(
    delivery: Delivery,
    content: Content,
    reachable: Sequence[Endpoint],
    *,
    finished: frozenset[str] = frozenset(),
    provider: bool,
    rung: Rung | None,
    attention: Attention,
    now: int,
) -> Decision:
    """Decide about a claimed delivery.

    `reachable` are the recipient's endpoints; those named in `finished` need no further call. `provider` says
    whether one is set up for the channel. `rung` None means that the claim is no longer ours or the item is gone.
    `attention` matters only where the step asks for it (somebody without an inbox is `OFFLINE`).
    """
    expired = content.expires_at is not None and content.expires_at <= now
    ending = _not_needed(delivery, rung, expired=expired) or _not_possible(delivery, reachable, provider=provider)
    if ending is not None:
        return ending
    pending = tuple(endpoint for endpoint in reachable if endpoint.name not in finished)
    if not pending:
        return Skip("No endpoint is left to try.", pull_next=True)
    if attention in _SENDS_WHEN[delivery.when]:
        return Send(pending)
    return _wait(delivery, content, attention, now)


def _not_needed(delivery: Delivery, rung: Rung | None, *, expired: bool) -> Cancel | Expire | None:
    """Attention comes before expiry: who has read it in time is told so, however late the worker looks."""
    if rung is not None and delivery.unless is not Rung.NONE and rung >= delivery.unless:
        return Cancel(_REACHED[rung])
    if expired:
        return Expire("The notification expired before this step was sent.")
    if rung is None:
        return Cancel("The notification is gone, or another worker has taken over.")
    return None


def _not_possible(delivery: Delivery, reachable: Sequence[Endpoint], *, provider: bool) -> Skip | None:
    if not provider:
        return Skip(f"No provider is set up for the channel {delivery.channel.value}.", pull_next=True)
    if not reachable:
        return Skip(_NO_ENDPOINT[delivery.channel], pull_next=True)
    return None


def _wait(delivery: Delivery, content: Content, attention: Attention, now: int) -> Snooze | Skip:
    """Look again a little later, until patience ends.

    Patience counts from the planned time, because `due_at` moves with every wait.
    """
    planned = content.plan[delivery.step].after if delivery.step < len(content.plan) else 0
    ends = content.appears_at + planned + PATIENCE
    looking = _LOOKING[attention]
    if now >= ends:
        return Skip(f"Gave up after waiting for a day: {looking}, and the step asks for {_ASKS[delivery.when]}.", False)
    return Snooze(min(now + RECHECK, ends), f"Waiting: {looking}, and the step asks for {_ASKS[delivery.when]}.")


def mask_email(address: str) -> str:
    """Shorten an address to what tells people which one it is: `a…@example.com`."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def mask_phone(number: str) -> str:
    """Shorten a phone number to its last three digits."""
    return f"…{number[-3:]}"


_SENDS_WHEN = {
    When.ALWAYS: frozenset(Attention),
    When.AWAY: frozenset({Attention.AWAY, Attention.OFFLINE}),
    When.OFFLINE: frozenset({Attention.OFFLINE}),
}

_REACHED = {
    Rung.DELIVERED: "It has already arrived at one of the user's clients.",
    Rung.SEEN: "The user has already seen it.",
    Rung.READ: "The user has already read it.",
}

_NO_ENDPOINT = {
    Channel.EMAIL: "The recipient has no e-mail address.",
    Channel.SMS: "The recipient has no phone number.",
    Channel.PUSH: "The recipient has no device registered for push.",
    Channel.WEBPUSH: "The recipient has no browser subscribed to web push.",
    Channel.CHAT: "The recipient has no chat address.",
}

_LOOKING = {
    Attention.ACTIVE: "the user is looking",
    Attention.AWAY: "the user is still connected",
    Attention.OFFLINE: "the user is offline",
    Attention.UNKNOWN: "it is not known whether the user is connected",
}

_ASKS = {When.ALWAYS: "nothing", When.AWAY: "a user who is not looking", When.OFFLINE: "a user who is offline"}
