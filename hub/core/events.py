"""From a canonical event to a notification for one user."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from hub.core import wire
from hub.core.errors import InvalidRequest
from hub.core.model import Channel, IdempotencyRecord, Publication
from hub.core.publication import idempotency_key, prepare
from hub.core.text import MAX_BODY, MAX_TITLE, check_action_url, check_category, check_id, check_text
from hub.core.views import parse_rfc3339

EVENT_ID = "event"
"""The operation that the `event_id`s of `POST /v1/events` belong to."""
EVENT_KEY = "event-key"
"""The operation that the `idempotency_key`s of `POST /v1/events` belong to."""

_IN_APP = "in_app"
_SEPARATORS = re.compile(r"[._:/-]+")


def prepare_event(event: wire.EventIn, *, tenant: str, now: int) -> Publication:
    """Check an event and work out everything that it stores.

    Raises:
        InvalidRequest: a value is out of its bounds.

    """
    channels = _channels(event.channels)
    title, body, action_url = _text(event)
    if event.created_at is not None:
        parse_rfc3339(event.created_at, "$.created_at")
    request = wire.PublishIn(
        recipients=[check_id(event.recipient_id, "$.recipient_id")],
        category=check_category(event.event_type, "$.event_type"),
        title=title,
        body=body,
        action_url=action_url,
        data=event.data,
        priority=event.priority,
        # All of them at once, as the event's author meant: whether the item is seen makes no difference.
        fallback=[wire.StepIn(channel=channel, unless=None) for channel in channels if channel != _IN_APP] or None,
        inbox=_IN_APP in channels,
    )
    publication = prepare(request, tenant=tenant, now=now)
    return replace(publication, idempotency=_records(event, publication.response))


def _channels(names: Sequence[str]) -> list[str]:
    """Check channels, and leave out what is named twice."""
    if not names:
        raise InvalidRequest("name at least one channel", pointer="$.channels")
    known = [_IN_APP, *(channel.value for channel in Channel)]
    for index, name in enumerate(names):
        if name not in known:
            raise InvalidRequest(f"is not a channel; known: {', '.join(known)}", pointer=f"$.channels[{index}]")
    return [name for name in known if name in names]


def _text(event: wire.EventIn) -> tuple[str, str, str | None]:
    """Find title, body and link in the event's data. Without a title, the event's type is said in words."""
    title, pointer = _field(event, "title", "subject")
    body, body_pointer = _field(event, "body", "message")
    action_url, url_pointer = _field(event, "action_url")
    return (
        _words(event.event_type) if title is None else check_text(title, pointer, MAX_TITLE, empty=False),
        "" if body is None else check_text(body, body_pointer, MAX_BODY),
        None if action_url is None else check_action_url(action_url, url_pointer),
    )


def _field(event: wire.EventIn, *names: str) -> tuple[str | None, str]:
    """Return the first text that the data has under one of these names, and where it stands."""
    for name in names:
        value = (event.data or {}).get(name)
        pointer = f"$.data.{name}"
        if value is not None and not isinstance(value, str):
            raise InvalidRequest("must be text", pointer=pointer)
        if value is not None:
            return value, pointer
    return None, "$.data"


def _words(event_type: str) -> str:
    """Say an event's type in words: `order.shipped` is "Order shipped"."""
    words = _SEPARATORS.sub(" ", event_type).strip()
    return words[:1].upper() + words[1:] or event_type


def _records(event: wire.EventIn, response: bytes) -> tuple[IdempotencyRecord, ...]:
    """Make the records of both names of an event; what is compared is all but the names."""
    told = msgspec.structs.replace(event, event_id="", idempotency_key=None)
    body_hash = hashlib.sha256(msgspec.json.encode(told, order="deterministic")).digest()
    names = ((EVENT_ID, event.event_id, "$.event_id"), (EVENT_KEY, event.idempotency_key, "$.idempotency_key"))
    keys = [(operation, idempotency_key(name, pointer)) for operation, name, pointer in names]
    return tuple(
        IdempotencyRecord(operation, key.key, body_hash, response) for operation, key in keys if key is not None
    )
