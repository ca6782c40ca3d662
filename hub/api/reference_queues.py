"""The operations of queues and deliveries, for the table in `hub.api.reference`."""

from __future__ import annotations

from typing import Final

from hub.api.operations import LATER, Access, Answer, Operation, Parameter
from hub.core.errors import InvalidRequest, NotFound, StateConflict
from hub.core.model import Channel, DeliveryState
from hub.core.wire.queues import (
    DeliveriesOut,
    DeliveryDetailOut,
    DeliveryPatchIn,
    EmptiedOut,
    QueueOut,
    QueuesOut,
    ReplayIn,
    ReplayOut,
)

QUEUES: Final = "Queues"
ABOUT_QUEUES: Final = "What waits to be sent, what became of it, and what to do about it. With the API key."

_CHANNELS = [channel.value for channel in Channel]
_ID = "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a91"
_NOTIFICATION = "0199a7c2-5b1e-7c3a-9d42-3f1c8e6b7a90"
_QUEUE = Parameter("channel", "path", "The queue: a channel.", {"enum": _CHANNELS}, "email")
_DELIVERY = Parameter("id", "path", "The delivery's id.", {"type": "string", "format": "uuid"}, _ID)
_TIME = {"type": "string", "format": "date-time"}
_FILTERS = (
    Parameter("state", "query", "Only these.", {"enum": [state.value for state in DeliveryState]}, "failed"),
    Parameter("channel", "query", "Only of this channel.", {"enum": _CHANNELS}, "email"),
    Parameter("user", "query", "Only for this user.", example="ada"),
    Parameter(
        "notification",
        "query",
        "Only of this notification.",
        {"type": "string", "format": "uuid"},
        _NOTIFICATION,
    ),
    Parameter("provider", "query", "Only those that this provider was last called for.", example="smtp"),
    Parameter("reason", "query", "Only those with this in their reason, whatever its case.", example="mailbox"),
    Parameter("created_after", "query", "Made at this time or later.", _TIME, "2027-01-15T00:00:00Z"),
    Parameter("created_before", "query", "Made before this time.", _TIME, "2027-01-16T00:00:00Z"),
    Parameter("ended_after", "query", "Ended at this time or later.", _TIME, "2027-01-15T00:00:00Z"),
    Parameter("ended_before", "query", "Ended before this time.", _TIME, "2027-01-16T00:00:00Z"),
    Parameter("after", "query", "The `next` of the page before."),
    Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}),
)


def _on_queue(act: str, summary: str, answer: Answer, description: str) -> Operation:
    return Operation(
        "PUT",
        f"/v1/queues/{{channel}}/{act}",
        f"{act}_queue",
        QUEUES,
        summary,
        Access.PUBLISHER,
        {200: answer},
        description,
        (_QUEUE,),
        refusals=(NotFound, InvalidRequest),
    )


def _on_delivery(act: str, summary: str, description: str) -> Operation:
    return Operation(
        "POST",
        f"/v1/deliveries/{{id}}/{act}",
        f"{act}_delivery",
        QUEUES,
        summary,
        Access.PUBLISHER,
        {200: Answer("The delivery as it is now.", DeliveryDetailOut)},
        description,
        (_DELIVERY,),
        refusals=(NotFound, StateConflict),
    )


QUEUE_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "GET",
        "/v1/queues",
        "list_queues",
        QUEUES,
        "List the queues",
        Access.PUBLISHER,
        {200: Answer("One for each channel.", QueuesOut)},
        "Depths are counted, up to 10,000 for each priority: a count that has reached it means that many or more.",
        refusals=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/v1/queues/{channel}",
        "show_queue",
        QUEUES,
        "Show a queue",
        Access.PUBLISHER,
        {
            200: Answer(
                "Its depth by priority, how late it is, what is on its way, and what became of the last.", QueueOut
            )
        },
        parameters=(_QUEUE,),
        refusals=(NotFound, InvalidRequest),
    ),
    _on_queue(
        "pause",
        "Stop sending on a channel",
        Answer("The queue, paused.", QueueOut),
        "No worker claims anything of it from the moment of the answer, and it stays so until it is resumed, whatever "
        "is restarted. What a worker is sending already goes on; in-app notifications are not touched.",
    ),
    _on_queue(
        "resume",
        "Go on sending on a channel",
        Answer("The queue, not paused.", QueueOut),
        "What fell due meanwhile is sent now, unless it has been seen or has expired.",
    ),
    _on_queue(
        "empty",
        "Cancel what waits in a queue",
        Answer("How many were cancelled.", EmptiedOut),
        "Whether due or not, and steps for shared audiences too. Up to 20,000 in one call; repeat it while `more`. "
        "What a worker is sending is left alone.",
    ),
    Operation(
        "GET",
        "/v1/deliveries",
        "list_deliveries",
        QUEUES,
        "Look deliveries up",
        Access.PUBLISHER,
        {200: Answer("A page.", DeliveriesOut)},
        "The latest first; of one notification by recipient, and what is queued in the order in which it is due. "
        "`state=failed` is the dead-letter queue. A page looks at no more than 2,000 deliveries, so it may be short, "
        "or empty, although there are more: go on with `next` until `has_more` is false.",
        _FILTERS,
        refusals=(InvalidRequest,),
    ),
    Operation(
        "POST",
        "/v1/deliveries/replay",
        "replay_deliveries",
        QUEUES,
        "Replay the dead-letter queue",
        Access.PUBLISHER,
        {200: Answer("How many were put back into the queue.", ReplayOut)},
        "From the oldest on, those that match. Looks at up to `limit` (at most 10,000) and says where to go on: what "
        "fails again meanwhile is not met twice. With `dry_run` it only counts. The body may be left out: all of them.",
        body=ReplayIn,
        example={"channel": "email", "provider": "smtp", "reason": "timed out", "dry_run": True},
        body_required=False,
    ),
    Operation(
        "GET",
        "/v1/deliveries/{id}",
        "show_delivery",
        QUEUES,
        "Show a delivery and its past",
        Access.PUBLISHER,
        {200: Answer("With every call to a provider, and every state it has been in.", DeliveryDetailOut)},
        parameters=(_DELIVERY,),
        refusals=(NotFound,),
    ),
    Operation(
        "PATCH",
        "/v1/deliveries/{id}",
        "change_delivery",
        QUEUES,
        "Reschedule a delivery",
        Access.PUBLISHER,
        {200: Answer("The delivery as it is now.", DeliveryDetailOut)},
        "While it is `queued`: `due_at` (a year ahead at most) and `priority`. `address` is for deliveries that go to "
        "an address instead of a user, also of one that has failed; a user's is read from the contact.",
        (_DELIVERY,),
        DeliveryPatchIn,
        {"due_at": LATER},
        (NotFound, StateConflict),
    ),
    _on_delivery(
        "retry",
        "Retry a dead delivery",
        "Due now, with all its attempts before it. Endpoints that were reached stay so. For what is `failed`, and for "
        "what was `skipped`.",
    ),
    _on_delivery("promote", "Send a delivery now", "Instead of when it is due. For what is `queued`."),
    _on_delivery(
        "cancel",
        "Cancel a delivery",
        "For what is `queued`: what a worker is sending cannot be called back. Repeating the call changes nothing.",
    ),
)
