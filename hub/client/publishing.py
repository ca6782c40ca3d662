"""Publishing: one notification, many, events; what became of them, and taking them back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from hub.client.calls import Answer, Call, Series, encode, key_or_new, nothing, path, reader
from hub.client.types import JsonObject, Notification, NotificationStatus, Published
from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.core.publication import MAX_BATCH, MAX_BATCH_RECIPIENTS
from hub.core.wire.rehearsal import RehearsalOut

MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
"""What the hub takes in one batch (docs/publishing.md)."""

_OPENING, _CLOSING = b'{"notifications":[', b"]}"
_FRAME: Final = len(_OPENING) + len(_CLOSING)
_UNAVAILABLE: Final = 503

Recipients = Sequence[str | wire.AddressIn] | wire.AudienceIn


def publish(
    recipients: Recipients,
    *,
    title: str,
    body: str = "",
    category: str = "general",
    action_url: str | None = None,
    data: JsonObject | None = None,
    actor: JsonObject | None = None,
    priority: wire.PriorityName = "normal",
    channels: list[str] | None = None,
    fallback: list[wire.StepIn] | None = None,
    template: str | None = None,
    deliver_at: str | None = None,
    expires_at: str | None = None,
    collapse_key: str | None = None,
    inbox: bool = True,
    idempotency_key: str | None = None,
) -> Call[Published]:
    """Publish a notification; once it returns, the notification is stored.

    Every attempt has the same idempotency key, so nobody gets it twice. Give a key of your own, say the id of what
    happened, if your program may have to repeat the call later, after a crash.

    Raises:
        InvalidRequest: the hub refuses the notification; `pointer` says where.
        IdempotencyConflict: the key was used for another notification.

    """
    return publish_notification(
        Notification(
            recipients=recipients,
            title=title,
            body=body,
            category=category,
            action_url=action_url,
            data=data,
            actor=actor,
            priority=priority,
            channels=channels,
            fallback=fallback,
            template=template,
            deliver_at=deliver_at,
            expires_at=expires_at,
            collapse_key=collapse_key,
            inbox=inbox,
            idempotency_key=idempotency_key,
        )
    )


def publish_notification(notification: Notification) -> Call[Published]:
    """Publish a notification that is at hand as one; otherwise as `publish`."""
    key = key_or_new(notification.idempotency_key)
    return Call("POST", path("notifications"), read_published, body=_alone(notification), key=key)


def publish_event(event: wire.EventIn) -> Call[Published]:
    """Tell of an event, as it is in the canonical form. Its own id makes repeating it harmless."""
    return Call("POST", path("events"), read_published, body=encode(event))


def rehearse(notification: Notification) -> Call[RehearsalOut]:
    """Ask what publishing this would do; nothing is stored."""
    query = {"dry_run": "true"}
    return Call("POST", path("notifications"), reader(RehearsalOut), query=query, body=_alone(notification))


def notification(id: str) -> Call[NotificationStatus]:  # noqa: A002 - what the hub calls it
    """Ask what became of a notification, for every recipient and delivery."""
    return Call("GET", path("notifications", id, id=id), reader(NotificationStatus))


def recall(id: str) -> Call[None]:  # noqa: A002 - the same
    """Take a notification back, from every inbox and every queue. Doing it again is fine."""
    return Call("DELETE", path("notifications", id, id=id), nothing)


class _Results(msgspec.Struct, frozen=True):
    """The answer to a batch, as a page that is the only one."""

    data: list[wire.BatchResultOut] = msgspec.field(name="results")
    has_more: bool = False
    next: str | None = None


def publish_many(notifications: Iterable[Notification]) -> Series[wire.BatchResultOut]:
    """Publish many, in as few calls as the hub's limits allow; gives a result for each, in order.

    They are taken from `notifications` as they are sent, so it may be as long as it likes. A result has the status
    that the notification would have had alone: one that is refused leaves the others unharmed. Those that the hub
    had no room for are tried again with the rest of their call; what is stored already says `replayed` then.

    Raises:
        InvalidRequest: one is larger than a whole call may be, or cannot be JSON; those before it are published.

    """
    for body in batches(notifications):
        yield Call(
            "POST",
            path("notifications", "batch"),
            _RESULTS,
            body=body,
            key=uuid.uuid4().hex,
            unfinished=_turned_away,
        )


def batches(
    notifications: Iterable[Notification], *, most: int = MAX_BATCH, most_bytes: int = MAX_BATCH_BYTES
) -> Iterator[bytes]:
    """Make bodies of as many notifications as one call may have, by number, recipients and bytes."""
    parts: list[bytes] = []
    recipients, size = 0, _FRAME
    for place, each in enumerate(notifications):
        part, number = encode(each), _count(each)
        if _FRAME + len(part) > most_bytes:
            raise InvalidRequest(
                f"has {len(part):,} bytes; a call takes {most_bytes:,}", pointer=f"$.notifications[{place}]"
            )
        # A comma goes before each but the first.
        full = len(parts) == most or size + 1 + len(part) > most_bytes or recipients + number > MAX_BATCH_RECIPIENTS
        if parts and full:
            yield _body(parts)
            parts, recipients, size = [], 0, _FRAME
        size += len(part) + (1 if parts else 0)
        recipients += number
        parts.append(part)
    if parts:
        yield _body(parts)


def _body(parts: list[bytes]) -> bytes:
    return _OPENING + b",".join(parts) + _CLOSING


_RESULTS = reader(_Results)


def _turned_away(answer: Answer) -> bool:
    return any(result.status == _UNAVAILABLE for result in _RESULTS(answer).data)


def _count(notification: Notification) -> int:
    return 0 if isinstance(notification.recipients, wire.AudienceIn) else len(notification.recipients)


def _alone(notification: Notification) -> bytes:
    """Encode a notification that does not travel in a batch: its key goes into the header."""
    return encode(msgspec.structs.replace(notification, idempotency_key=None))


_PUBLISHED = msgspec.json.Decoder(Published)


def read_published(answer: Answer) -> Published:
    """Read the answer to a publish, of which a header is a part."""
    published = _PUBLISHED.decode(answer.body)
    return msgspec.structs.replace(published, replayed=answer.headers.get("idempotent-replayed") == "true")
