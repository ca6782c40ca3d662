"""The table of every operation: what `/openapi.json` and `/docs` are made of. A test holds it against the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.api import reference_schedules
from hub.api.operations import LATER, Access, Answer, Operation, Parameter
from hub.api.reference_queues import ABOUT_QUEUES, QUEUE_OPERATIONS, QUEUES
from hub.core import wire
from hub.core.errors import IdempotencyConflict, InvalidRequest, NotBuilt, NotFound
from hub.core.wire.rehearsal import RehearsalOut

NOTIFICATIONS, TOPICS, USERS = "Notifications", "Topics", "Users"
INBOX, LIVE, HEALTH = "Inbox", "Live", "Health"
TAGS: Final[Mapping[str, str]] = {
    NOTIFICATIONS: "What services publish, and what became of it. With the API key.",
    reference_schedules.SCHEDULES: "Notifications that are published later, or again and again. With the API key.",
    TOPICS: "Named groups of users, to publish to as one. With the API key.",
    USERS: "How users can be reached, and whether they are here. With the API key.",
    INBOX: "A user's own inbox. With the user's token.",
    QUEUES: ABOUT_QUEUES,
    LIVE: "Three ways to hear of changes at once; all speak the same frames and resume with the same cursor.",
    HEALTH: "For load balancers and monitoring.",
}

_ID = "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a90"
_CURSOR = "5f3a9c1b2d4e.7.0"
_USER = Parameter("user", "path", "The user's id, percent-encoded.", example="ada")
_TOPIC = Parameter("topic", "path", "The topic's name, percent-encoded.", example="release-notes")
_DEVICE = Parameter("id", "path", "The device's id.", {"type": "string", "format": "uuid"}, _ID)
_NOTIFICATION = Parameter("id", "path", "The notification's id.", {"type": "string", "format": "uuid"}, _ID)
_IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "header",
    "Any text of your own that names this publish. Repeating the call with the same key and body gives the first "
    "answer again, with `Idempotent-Replayed: true`, and publishes nothing. Kept for 7 days.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "order-1024-shipped",
)
_BATCH_IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "header",
    "Names this call: repeated, with the same notifications in the same places, those that are stored give their first "
    "answer again and the others get another chance. A notification with an `idempotency_key` of its own goes by that "
    "one, as if it had come alone. Kept for 7 days.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "orders-of-2027-01-15",
)
_DRY_RUN = Parameter(
    "dry_run",
    "query",
    "Store nothing, and tell for each recipient and step what would happen, as things are now, and why.",
    {"type": "boolean", "default": False},
)
_REHEARSED = Answer("With `dry_run=true`: what it would do. Nothing is stored.", RehearsalOut)
_MEMBERS = (
    Parameter("after", "query", "The `next` of the page before."),
    Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
)
_FLAG = {"type": "boolean", "default": False}
_LISTING = (
    Parameter(
        "status", "query", "Which items.", {"enum": ["all", "unread", "read", "unseen"], "default": "all"}, "unread"
    ),
    Parameter("category", "query", "Only this category."),
    Parameter("archived", "query", "The archived items instead.", _FLAG),
    Parameter("snoozed", "query", "The snoozed items instead.", _FLAG),
    Parameter("after", "query", "The `next` of the page before."),
    Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}),
)
_RESUME = Parameter("cursor", "query", "Resume from here; anything missed comes first.", example=_CURSOR)
_POLLED = Parameter("cursor", "query", "Where the last call ended; leave it out to begin.", example=_CURSOR)
_TIMEOUT = Parameter(
    "timeout", "query", "Seconds to wait for news.", {"type": "integer", "minimum": 0, "maximum": 55, "default": 25}
)
_CONNECTION = Parameter("connection", "query", "The `connection` of the first call's `ready` frame, to stay the same.")
_STATE = Parameter("state", "query", "Whether somebody is looking.", {"enum": ["active", "away"], "default": "active"})
_LAST_EVENT = Parameter("Last-Event-ID", "header", "The cursor, as `EventSource` sends it when it reconnects.")

_MARKS: Final[Mapping[str, str]] = {
    "delivered": "Say that items have arrived at a client",
    "seen": "Say that items were visible in the list",
    "read": "Mark items read",
    "unread": "Mark items unread",
    "archive": "Archive items",
    "unarchive": "Bring items back from the archive",
    "snooze": "Hide items until a time",
}


def _mark(action: str, summary: str) -> Operation:
    example: dict[str, object] = {"ids": [_ID]}
    if action == "read":
        example = {"all": True, "through": _CURSOR}
    elif action == "snooze":
        example |= {"until": LATER}
    return Operation(
        "POST",
        f"/v1/inbox/{action}",
        f"mark_{action}",
        INBOX,
        summary,
        Access.USER,
        {200: Answer("How many changed, and the badge after it.", wire.MarkOut)},
        "Give `ids`, or `all: true` for everything up to the cursor `through` (without it: all there is). "
        "Ids that are not in the inbox are ignored. The user's other devices hear of it at once.",
        body=wire.MarkIn,
        example=example,
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/notifications",
        "publish",
        NOTIFICATIONS,
        "Publish a notification",
        Access.PUBLISHER,
        {
            200: _REHEARSED,
            201: Answer(
                "It is stored, with its inbox items and its deliveries. `Location` tells where.", wire.PublishOut
            ),
        },
        "Answers once it is committed. Up to 1,000 recipients in 1 MiB, or one shared audience, however many they are: "
        '`{"topic": "…"}` for whoever is a member of it at that moment, `{"broadcast": true}` for every user there is. '
        "Each step of `fallback` is sent `after` the publish, unless the user's item has got as far as `unless` by "
        "then.",
        (_IDEMPOTENCY, _DRY_RUN),
        wire.PublishIn,
        {
            "recipients": ["ada"],
            "category": "order.shipped",
            "title": "Your order is on its way",
            "body": "It should arrive on Thursday.",
            "action_url": "/orders/1024",
            "fallback": [{"channel": "email", "after": "5m", "unless": "seen"}],
        },
        (IdempotencyConflict, NotBuilt),
    ),
    Operation(
        "POST",
        "/v1/notifications/batch",
        "publish_batch",
        NOTIFICATIONS,
        "Publish many notifications",
        Access.PUBLISHER,
        {200: Answer("A result for each, in order: stored (201), or its problem.", wire.BatchOut)},
        "Up to 1,000 notifications with 10,000 recipients in all, in 8 MiB. Each is stored, or refused, by itself: "
        "a bad one leaves the others unharmed. Answers once all that is stored is committed. With `dry_run=true` "
        "nothing is stored: each result has status 200 and a `rehearsal`, or its problem; up to 1,000 recipients "
        "in all.",
        (_BATCH_IDEMPOTENCY, _DRY_RUN),
        wire.BatchIn,
        {
            "notifications": [
                {"recipients": ["ada"], "title": "Your order is on its way", "idempotency_key": "order-1024-shipped"},
                {"recipients": ["grace"], "title": "Your order has arrived", "idempotency_key": "order-1023-arrived"},
            ]
        },
    ),
    Operation(
        "POST",
        "/v1/events",
        "publish_event",
        NOTIFICATIONS,
        "Publish an event to its user",
        Access.PUBLISHER,
        {
            200: _REHEARSED,
            201: Answer(
                "It is stored, with its inbox item and its deliveries. `Location` tells where.", wire.PublishOut
            ),
        },
        "For services that already speak of events. All of `channels` are used at once, whether the item is seen or "
        "not; `in_app` is the inbox. Title, body and link are `title`, `body` and `action_url` of `data`. The same "
        "`event_id` or `idempotency_key` again gives the first answer, with `Idempotent-Replayed: true`, for 7 days.",
        (_DRY_RUN,),
        body=wire.EventIn,
        example={
            "event_id": "evt-1024",
            "event_type": "order.shipped",
            "recipient_id": "ada",
            "channels": ["in_app", "email"],
            "priority": "high",
            "data": {"title": "Your order is on its way", "body": "It should arrive on Thursday.", "order": 1024},
            "idempotency_key": "order-1024-shipped",
            "created_at": LATER,
        },
        refusals=(IdempotencyConflict,),
    ),
    Operation(
        "GET",
        "/v1/notifications/{id}",
        "show_notification",
        NOTIFICATIONS,
        "See what became of a notification",
        Access.PUBLISHER,
        {200: Answer("The state of every recipient, delivery and attempt.", wire.NotificationOut)},
        parameters=(_NOTIFICATION,),
        refusals=(NotFound,),
    ),
    Operation(
        "DELETE",
        "/v1/notifications/{id}",
        "recall_notification",
        NOTIFICATIONS,
        "Recall a notification",
        Access.PUBLISHER,
        {204: Answer("It is gone from every inbox, now or before.")},
        "It vanishes from the inboxes and badges of all its recipients, at once where they are connected; one that was "
        "still to appear never will. Steps that wait are cancelled; what a provider has been given can't be called "
        "back. Repeating the call changes nothing.",
        parameters=(_NOTIFICATION,),
        refusals=(NotFound,),
    ),
    *reference_schedules.OPERATIONS,
    Operation(
        "PUT",
        "/v1/topics/{topic}/members",
        "join_topic",
        TOPICS,
        "Make users members",
        Access.PUBLISHER,
        {200: Answer("Stored; who was a member already is not counted.", wire.MembersChangedOut)},
        "Up to 10,000 users in one call; the topic is made by its first use. Members see what is published from then "
        "on.",
        (_TOPIC,),
        wire.MembersIn,
        {"users": ["ada", "grace"]},
    ),
    Operation(
        "DELETE",
        "/v1/topics/{topic}/members",
        "leave_topic",
        TOPICS,
        "End memberships",
        Access.PUBLISHER,
        {200: Answer("Stored; who was no member is not counted.", wire.MembersChangedOut)},
        "Up to 10,000 users in one call. What they could see until then they keep.",
        (_TOPIC,),
        wire.MembersIn,
        {"users": ["grace"]},
    ),
    Operation(
        "GET",
        "/v1/topics/{topic}/members",
        "list_members",
        TOPICS,
        "List a topic's members",
        Access.PUBLISHER,
        {200: Answer("A page; none of a topic that nobody has used.", wire.MembersOut)},
        parameters=(_TOPIC, *_MEMBERS),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/v1/users/{user}/topics",
        "list_topics_of_user",
        TOPICS,
        "List a user's topics",
        Access.EITHER,
        {200: Answer("In bytewise order.", wire.TopicsOut)},
        "Open to the user's own token.",
        parameters=(_USER,),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "PUT",
        "/v1/users/{user}",
        "put_user",
        USERS,
        "Say how a user is reached",
        Access.PUBLISHER,
        {200: Answer("Replaced.", wire.ContactOut), 201: Answer("The user is new.", wire.ContactOut)},
        "Replaces what was stored: fields that are left out are cleared. Devices stay.",
        (_USER,),
        wire.ContactIn,
        {"name": "Ada Lovelace", "email": "ada@example.com", "locale": "en-GB", "timezone": "Europe/London"},
    ),
    Operation(
        "GET",
        "/v1/users/{user}",
        "show_user",
        USERS,
        "Show a user's contact and devices",
        Access.PUBLISHER,
        {200: Answer("The contact.", wire.ContactOut)},
        parameters=(_USER,),
        refusals=(NotFound, InvalidRequest),
    ),
    Operation(
        "DELETE",
        "/v1/users/{user}",
        "erase_user",
        USERS,
        "Erase a user",
        Access.PUBLISHER,
        {204: Answer("Nothing is held about this user, now or already before.")},
        "Contact, devices, inbox, deliveries, and the notifications that nobody else received. Connections are closed; "
        "tokens are yours: revoke them first, or whoever has one can come back, to an empty inbox. Repeat a call that "
        "was broken off: it goes on.",
        (_USER,),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/v1/users/{user}/export",
        "export_user",
        USERS,
        "Hand over what is held about a user",
        Access.PUBLISHER,
        {200: Answer("Everything, as one JSON object, written as it is read.", wire.ExportOut)},
        "Of devices' tokens, which are secrets, only the end is shown.",
        (_USER,),
        refusals=(NotFound, InvalidRequest),
    ),
    Operation(
        "POST",
        "/v1/users/{user}/devices",
        "add_device",
        USERS,
        "Register a device for push",
        Access.EITHER,
        {201: Answer("The device.", wire.DeviceOut)},
        "Open to the user's own token, so apps can call it themselves at every start: the same token keeps its id, "
        "and moves here if it was another user's. Of a user's devices the newest 50 are kept.",
        (_USER,),
        wire.DeviceIn,
        {"token": "bk3RNwTe3H0:CI2k_HHwgIpoDKCIZvvDMExUdFQ3P1", "name": "Ada's phone"},
    ),
    Operation(
        "GET",
        "/v1/users/{user}/devices",
        "list_devices",
        USERS,
        "List a user's devices",
        Access.EITHER,
        {200: Answer("Oldest first.", wire.DevicesOut)},
        parameters=(_USER,),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "DELETE",
        "/v1/users/{user}/devices/{id}",
        "remove_device",
        USERS,
        "Forget a device",
        Access.EITHER,
        {204: Answer("It is gone.")},
        "Apps call it at sign-out, with the user's own token.",
        (_USER, _DEVICE),
        refusals=(NotFound, InvalidRequest),
    ),
    Operation(
        "GET",
        "/v1/users/{user}/presence",
        "show_presence",
        USERS,
        "See whether a user is here",
        Access.PUBLISHER,
        {200: Answer("As all nodes together know it; a hint.", wire.PresenceOut)},
        parameters=(_USER,),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "POST",
        "/v1/users/{user}/disconnect",
        "disconnect_user",
        USERS,
        "Close a user's connections",
        Access.PUBLISHER,
        {202: Answer("Every node was told.", wire.DisconnectOut)},
        "Clients come back by themselves, with the token that they have. With `revoke` the tokens issued until now "
        "are refused, as `POST /v1/tokens/revoke` does for one user. The body may be left out.",
        (_USER,),
        wire.DisconnectIn,
        {"revoke": True},
        body_required=False,
    ),
    Operation(
        "POST",
        "/v1/tokens/revoke",
        "revoke_tokens",
        USERS,
        "Refuse the tokens issued until now",
        Access.PUBLISHER,
        {200: Answer("It is stored. Every node refuses them at once, after an outage within 30 s.", wire.RevokeOut)},
        "Give either `user`, or `all: true` for everybody in the tenant. Tokens are told apart by their `iat`: those "
        "without one stay refused for ever, and so are those of the very second of this call. Connections made with "
        "them are closed.",
        body=wire.RevokeIn,
        example={"user": "ada"},
    ),
    Operation(
        "GET",
        "/v1/inbox",
        "list_inbox",
        INBOX,
        "List the inbox",
        Access.USER,
        {200: Answer("A page, newest first, with the badge of the same moment.", wire.InboxOut)},
        "Archived and snoozed items are left out unless asked for.",
        _LISTING,
        refusals=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/v1/inbox/count",
        "count_inbox",
        INBOX,
        "Show the badge",
        Access.USER,
        {200: Answer("The counts.", wire.CountOut)},
        refusals=(InvalidRequest,),
    ),
    *(_mark(action, summary) for action, summary in _MARKS.items()),
    Operation(
        "GET",
        "/v1/inbox/{id}",
        "show_item",
        INBOX,
        "Show one item",
        Access.USER,
        {200: Answer("The item.", wire.Item)},
        parameters=(_NOTIFICATION,),
        refusals=(NotFound,),
    ),
    Operation(
        "PATCH",
        "/v1/inbox/{id}",
        "patch_item",
        INBOX,
        "Change one item",
        Access.USER,
        {200: Answer("The item as it is now.", wire.Item)},
        parameters=(_NOTIFICATION,),
        body=wire.ItemPatchIn,
        example={"read": True},
        refusals=(NotFound,),
    ),
    *QUEUE_OPERATIONS,
    Operation(
        "GET",
        "/v1/ws",
        "connect_websocket",
        LIVE,
        "Connect by WebSocket",
        Access.USER,
        {101: Answer("Switching protocols; JSON text frames follow.")},
        "Browsers, which cannot send the header, put the token and the cursor into the first frame: "
        '`{"type":"connect","token":"…","cursor":"…"}`. Refusals come as an `error` frame and a close code.',
        (_RESUME, _STATE),
    ),
    Operation(
        "GET",
        "/v1/sse",
        "stream_events",
        LIVE,
        "Stream server-sent events",
        Access.STREAM,
        {200: Answer("Events named like the frames' `type`; `id:` is the cursor.", None, "text/event-stream")},
        "Changes are acknowledged with the calls of the inbox.",
        (_RESUME, _STATE, _LAST_EVENT),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/v1/poll",
        "poll",
        LIVE,
        "Long-poll",
        Access.USER,
        {200: Answer("The frames since the cursor, and the cursor for the next call.", wire.PollOut)},
        "Answers at once if there is news since `cursor`, else as soon as there is.",
        (_POLLED, _TIMEOUT, _CONNECTION, _STATE),
        refusals=(InvalidRequest,),
    ),
    Operation(
        "POST",
        "/v1/presence",
        "set_presence",
        LIVE,
        "Say whether somebody is looking",
        Access.USER,
        {204: Answer("Noted.")},
        "For SSE and polling clients; on a WebSocket it is a frame. `connection` is from the `ready` frame.",
        body=wire.PresenceIn,
        example={"connection": "kJ8s0dL2mQx4vB7n", "state": "away"},
    ),
    Operation(
        "POST",
        "/v1/tickets",
        "issue_ticket",
        LIVE,
        "Buy a ticket",
        Access.USER,
        {201: Answer("The ticket.", wire.TicketOut)},
        "For `EventSource`, which cannot send headers: `/v1/sse?ticket=…`. Good once, for 30 seconds.",
    ),
    Operation(
        "GET",
        "/healthz",
        "alive",
        HEALTH,
        "Is the process alive?",
        Access.NOBODY,
        {200: Answer("It answers.", wire.HealthOut)},
    ),
    Operation(
        "GET",
        "/readyz",
        "ready",
        HEALTH,
        "Should clients be sent here?",
        Access.NOBODY,
        {
            200: Answer("Yes.", wire.ReadyOut),
            503: Answer("No: it is draining, or the database is away.", wire.ReadyOut),
        },
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        HEALTH,
        "Read the node's metrics",
        Access.PUBLISHER,
        {200: Answer("In Prometheus' text format, or OpenMetrics' if asked for.", None, "text/plain")},
        "With the API key of the tenant `default`; `BELLWIRE_METRICS_PUBLIC` says who needs none.",
    ),
)
