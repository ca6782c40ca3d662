"""From the model to the wire: what clients and publishers see."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID

from msgspec import Raw

from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.core.model import (
    BROADCAST,
    Attempt,
    Counts,
    Delivery,
    Device,
    Expansion,
    Item,
    ItemState,
    NotificationState,
    Priority,
    Rung,
    SharedState,
    Step,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NULL = Raw(b"null")
_PRIORITY: Mapping[Priority, wire.PriorityName] = {
    Priority.CRITICAL: "critical",
    Priority.HIGH: "high",
    Priority.NORMAL: "normal",
    Priority.LOW: "low",
}
_ITEM_STATE: Mapping[ItemState, Literal["pending", "live", "gone"]] = {
    ItemState.PENDING: "pending",
    ItemState.LIVE: "live",
    ItemState.GONE: "gone",
}
_NOT_OURS = "is not a `next` that this server gave out"
_TIME_FIELDS = frozenset({"seen_at", "read_at", "archived_at", "snoozed_until"})


def rfc3339(at: int) -> str:
    """Write milliseconds since the epoch as `2026-01-31T12:00:00.000Z`."""
    second, millisecond = divmod(at, 1000)
    return f"{_to_the_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=1024)  # most of what is written happened just now
def _to_the_second(at: int) -> str:
    return (_EPOCH + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339_or_none(at: int | None) -> str | None:
    """Write a time that may be absent."""
    return None if at is None else rfc3339(at)


def parse_rfc3339(text: str, pointer: str) -> int:
    """Read an RFC 3339 time with its zone into milliseconds since the epoch.

    Raises:
        InvalidRequest: not a time, no zone, or outside the years 1970 to 9998.

    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in text.upper():
        raise InvalidRequest("must be a time with its zone, such as 2026-01-31T12:00:00Z", pointer=pointer)
    if not 1970 <= moment.year <= 9998:  # noqa: PLR2004 - the years that every part of us can hold
        raise InvalidRequest("is out of range", pointer=pointer)
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def counts_view(counts: Counts) -> wire.Counts:
    """Show the badge."""
    return wire.Counts(unread=counts.unread, unseen=counts.unseen)


def priority_name(priority: Priority) -> wire.PriorityName:
    """Name a priority as the interface does."""
    return _PRIORITY[priority]


def item_state_name(state: ItemState) -> Literal["pending", "live", "gone"]:
    """Name an item's state as the interface does."""
    return _ITEM_STATE[state]


def rung_name(rung: Rung) -> str | None:
    """Name a rung as a plan's `unless` does."""
    return None if rung is Rung.NONE else rung.name.lower()


def raw_json(encoded: bytes | None) -> Raw:
    """Embed JSON that is already encoded."""
    return _NULL if encoded is None else Raw(encoded)


def item_view(item: Item, as_of: int = 0) -> wire.Item:
    """Show an inbox item to its user; `as_of` is the inbox version of the snapshot that it was read in.

    A shared item that the user has not touched has no version of its own, and a bulk change moves none. So a version
    is shown at which its state is what it is: of two states of one item, the one with the higher version is newer.
    """
    content = item.content
    return wire.Item(
        id=str(content.id),
        version=max(item.version, as_of) if item.position else item.version,
        category=content.category,
        title=content.title,
        body=content.body,
        action_url=content.action_url,
        data=raw_json(content.data),
        actor=raw_json(content.actor),
        priority=_PRIORITY[content.priority],
        created_at=rfc3339(content.created_at),
        appeared_at=rfc3339(item.appeared_at),
        expires_at=rfc3339_or_none(content.expires_at),
        seen_at=rfc3339_or_none(item.seen_at),
        read_at=rfc3339_or_none(item.read_at),
        archived_at=rfc3339_or_none(item.archived_at),
        snoozed_until=rfc3339_or_none(item.snoozed_until),
    )


def fields_view(fields: Mapping[str, int | bool | None]) -> dict[str, str | bool | None]:
    """Show a change's fields: times as text, flags as they are."""
    return {
        name: rfc3339(value)
        if name in _TIME_FIELDS and value is not None
        else bool(value)
        if value is not None
        else None
        for name, value in fields.items()
    }


def page_token(item: Item) -> str:
    """Make the opaque `next` of a page that ends with `item`."""
    raw = f"{item.appeared_at}.{item.content.id.hex}".encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def parse_page_token(token: str) -> tuple[int, UUID]:
    """Read what `page_token` wrote.

    Raises:
        InvalidRequest: it was not written by us.

    """
    try:
        raw = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4)).decode()
        at, _, identifier = raw.partition(".")
        appeared_at = int(at)
        parsed = appeared_at, UUID(hex=identifier)
    except (ValueError, binascii.Error, UnicodeError):
        raise InvalidRequest(_NOT_OURS, pointer="after") from None
    if not 0 <= appeared_at < 2**53:
        raise InvalidRequest(_NOT_OURS, pointer="after")
    return parsed


def attempt_view(attempt: Attempt) -> wire.AttemptOut:
    """Show one call to a provider."""
    return wire.AttemptOut(
        number=attempt.number,
        provider=attempt.provider,
        endpoint=attempt.endpoint,
        outcome=attempt.outcome,
        detail=attempt.detail,
        started_at=rfc3339(attempt.started_at),
        finished_at=rfc3339(attempt.finished_at),
    )


def delivery_view(delivery: Delivery, attempts: list[wire.AttemptOut]) -> wire.DeliveryOut:
    """Show one step for one recipient to the publisher."""
    return wire.DeliveryOut(
        id=str(delivery.id),
        recipient=delivery.user if delivery.user is not None else delivery.address or "",
        step=delivery.step,
        channel=delivery.channel.value,
        state=delivery.state.value,
        reason=delivery.reason,
        due_at=rfc3339(delivery.due_at),
        finished_at=rfc3339_or_none(delivery.finished_at),
        unless=rung_name(delivery.unless),
        when=delivery.when.value,
        provider=delivery.provider,
        attempts=attempts,
    )


def expansion_view(expansion: Expansion, plan: Sequence[Step]) -> wire.ExpansionOut:
    """Show how far one step for a shared audience has got."""
    step = plan[expansion.step]
    return wire.ExpansionOut(
        step=expansion.step,
        channel=expansion.channel.value,
        unless=rung_name(step.unless),
        when=step.when.value,
        state=expansion.state.value,
        due_at=rfc3339(expansion.due_at),
        members=expansion.members,
        deliveries=expansion.deliveries,
        reached=expansion.reached,
        unreachable=expansion.unreachable,
        reason=expansion.reason,
    )


def device_view(device: Device) -> wire.DeviceOut:
    """Show a push endpoint; the token is a secret, so only its end is shown."""
    return wire.DeviceOut(
        id=str(device.id),
        kind=device.kind,
        token_hint="…" + device.token[-4:],
        name=device.name,
        created_at=rfc3339(device.created_at),
    )


def notification_view(state: NotificationState) -> wire.NotificationOut:
    """Show the publisher what became of a notification."""
    content = state.content
    return wire.NotificationOut(
        id=str(content.id),
        category=content.category,
        title=content.title,
        body=content.body,
        action_url=content.action_url,
        data=raw_json(content.data),
        actor=raw_json(content.actor),
        priority=priority_name(content.priority),
        inbox=content.inbox,
        collapse_key=content.collapse_key,
        created_at=rfc3339(content.created_at),
        deliver_at=rfc3339_or_none(content.deliver_at),
        expires_at=rfc3339_or_none(content.expires_at),
        recalled_at=rfc3339_or_none(state.recalled_at),
        shared=None if state.shared is None else shared_view(state.shared),
        recipients=[recipient_view(user, item) for user, item in state.items],
        deliveries=[
            delivery_view(delivery, [attempt_view(attempt) for attempt in attempts])
            for delivery, attempts in state.deliveries
        ],
        expansions=[expansion_view(expansion, content.plan) for expansion in state.expansions],
    )


def shared_view(state: SharedState) -> wire.SharedOut:
    """Show the publisher what became of a notification for a shared audience."""
    appeared: Literal["pending", "live"] = "pending" if state.position is None else "live"
    return wire.SharedOut(
        topic=None if state.topic == BROADCAST else state.topic,
        state="gone" if state.gone else appeared,
        appeared_at=rfc3339_or_none(state.appeared_at),
    )


def recipient_view(user: str, item: Item) -> wire.RecipientOut:
    """Show one user's state to the publisher."""
    return wire.RecipientOut(
        user=user,
        state=_ITEM_STATE[item.state],
        seen_at=rfc3339_or_none(item.seen_at),
        read_at=rfc3339_or_none(item.read_at),
        archived_at=rfc3339_or_none(item.archived_at),
        snoozed_until=rfc3339_or_none(item.snoozed_until),
    )
