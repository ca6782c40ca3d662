"""JSON Schemas of the wire models: msgspec tells the types, this adds the bounds and meanings that types cannot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from hub.api.reference_schedules import SCHEDULE_NOTES
from hub.core.marks import MAX_IDS
from hub.core.model import Channel
from hub.core.publication import MAX_BATCH, MAX_RECIPIENTS, MAX_STEPS
from hub.core.text import MAX_BODY, MAX_CATEGORY, MAX_ID, MAX_TITLE, MAX_URL

Json = dict[str, Any]

_TIME = re.compile(r"(?:_at|_until|_after|_before|\Auntil|\Athrough)\Z")
_CHANNELS = [channel.value for channel in Channel]

_PUBLISH: Final[Json] = {
    "recipients": {
        "description": f"User ids, up to {MAX_RECIPIENTS:,}; or addresses, with `inbox: false`; or a shared audience, "
        'either `{"topic": "…"}` or `{"broadcast": true}`.'
    },
    "category": {"description": "The kind of notification.", "maxLength": MAX_CATEGORY},
    "title": {"maxLength": MAX_TITLE, "minLength": 1},
    "body": {"maxLength": MAX_BODY},
    "action_url": {
        "description": f"Where a click leads: http(s), or a path of your own origin. Up to {MAX_URL:,} characters."
    },
    "data": {"description": "Anything of yours, handed to clients as it is. Up to 32 KiB."},
    "actor": {"description": "Who did it, as your interface shows them. Up to 32 KiB."},
    "channels": {"description": f"Limits the plan to these: {', '.join(_CHANNELS)}."},
    "fallback": {"description": f"What to send to whoever has not looked: 1 to {MAX_STEPS} steps."},
    "template": {"description": "Not built yet (501)."},
    "collapse_key": {
        "description": "When it appears, it replaces the user's unread notifications with the same key, whatever "
        "their category. Those that were read or archived stay. In a topic or broadcast it replaces the one with the "
        "same key that the same audience has, for everybody, read or not.",
        "maxLength": MAX_ID,
    },
    "deliver_at": {"description": "When it appears; absent, or past by up to a minute: now. At most a year ahead."},
    "expires_at": {"description": "When it vanishes and is no longer sent; after `deliver_at`, at most a year ahead."},
    "inbox": {"description": "False: only send it, as with a verification code."},
}

_NOTES: Final[Mapping[str, Mapping[str, Json]]] = {
    "PublishIn": _PUBLISH,
    "BatchItemIn": _PUBLISH
    | {"idempotency_key": {"description": "Names this notification, as the header does for one that comes alone."}},
    "EventIn": {
        "event_id": {
            "description": "The event's name: printable ASCII without spaces.",
            "minLength": 1,
            "maxLength": 255,
        },
        "event_type": {"description": "The kind of event; becomes the category.", "maxLength": MAX_CATEGORY},
        "recipient_id": {"description": "The user to tell.", "maxLength": MAX_ID},
        "channels": {
            "description": f"All of them are used at once: in_app, {', '.join(_CHANNELS)}.",
            "minItems": 1,
        },
        "data": {
            "description": "Anything of yours, handed to clients as it is; up to 32 KiB. `title` (or `subject`), "
            "`body` (or `message`) and `action_url` are shown; without a title, `event_type` is said in words."
        },
        "idempotency_key": {
            "description": "Another name of the event, of the same form.",
            "minLength": 1,
            "maxLength": 255,
        },
        "created_at": {"description": "When it happened; checked, and compared when it is told again."},
    },
    "BatchIn": {"notifications": {"minItems": 1, "maxItems": MAX_BATCH}},
    "StepIn": {
        "channel": {"enum": _CHANNELS},
        "after": {"description": "Seconds since the publish, or a duration such as `90s`, `15m`, `2h`, `1d`."},
        "unless": {"description": "Cancelled once the user's item has got this far; null: never."},
        "when": {"description": "What it asks of the user's presence when it is due."},
    },
    "MarkIn": {
        "ids": {"maxItems": MAX_IDS},
        "all": {"description": "Everything, up to the cursor `through` if given."},
        "until": {"description": "For snooze, and required there."},
    },
    "DeliveryPatchIn": {
        "due_at": {"description": "When it is to be sent; at most a year ahead."},
        "address": {"description": "An e-mail address or phone number, instead of the one it was published for."},
    },
    "ReplayIn": {
        "channel": {"description": f"One of {', '.join(_CHANNELS)}."},
        "reason": {"description": "A part of the reason, whatever its case.", "maxLength": 200},
        "limit": {"description": "How many dead deliveries to look at.", "minimum": 1, "maximum": 10_000},
        "after": {"description": "The `next` of the call before."},
        "dry_run": {"description": "Only count."},
    },
    "ContactIn": {
        "phone": {"description": "E.164, such as +15551234567."},
        "name": {"description": f"Up to {MAX_ID} characters."},
        "locale": {"description": "Such as en-GB."},
        "timezone": {"description": "Such as Europe/London."},
    },
    **SCHEDULE_NOTES,
    "Problem": {
        "type": {"format": "uri", "description": "Stable; tells the kind of problem."},
        "detail": {"description": "What is wrong, for people."},
        "pointer": {"description": "Where: a JSON path such as `$.recipients[3]`, or a parameter's name."},
    },
}


def schemas_of(models: Iterable[object]) -> dict[str, Json]:
    """Return the schemas of the models and of all that they refer to, by name."""
    _, schemas = msgspec.json.schema_components(list(models), ref_template="#/components/schemas/{name}")
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            _add_format(field, described)
            described.update(_NOTES.get(name, {}).get(field, {}))
    return schemas


def _add_format(field: str, schema: Json) -> None:
    """Mark the strings of time fields as RFC 3339."""
    if _TIME.search(field):
        for option in (schema, *schema.get("anyOf", ())):
            if option.get("type") == "string":
                option["format"] = "date-time"
