"""Python clients for a hub: publishing, operating, and listening to a user's inbox (docs/python-client.md).

`Bellwire` and `AsyncBellwire` take the API key, `Inbox` and `AsyncInbox` a user's token. Calls are tried again where
that is safe. Importing this loads nothing of the server; it needs msgspec, httpx2 and websockets.
"""

from hub.client.aio import AsyncBellwire, AsyncInbox
from hub.client.errors import ClosedForGood, OtherProblem, UnexpectedAnswer, Unreachable
from hub.client.feed import Arrived, Changed, Event, Lost, Ready, Reread
from hub.client.listener import Listener
from hub.client.sync import Bellwire, Inbox
from hub.client.tries import Patience
from hub.client.types import InboxPage, Item, Notification, NotificationStatus, Published, ScheduleStatus
from hub.core.errors import (
    BellwireError,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    RequestError,
    StateConflict,
    Unauthenticated,
    Unavailable,
)
from hub.core.wire import (
    AddressIn,
    AudienceIn,
    BatchResultOut,
    Counts,
    EventIn,
    PublishIn,
    ScheduleIn,
    SchedulePatchIn,
    StepIn,
)

__all__ = [
    "AddressIn",
    "Arrived",
    "AsyncBellwire",
    "AsyncInbox",
    "AudienceIn",
    "BatchResultOut",
    "Bellwire",
    "BellwireError",
    "Changed",
    "ClosedForGood",
    "Counts",
    "Event",
    "EventIn",
    "Forbidden",
    "IdempotencyConflict",
    "Inbox",
    "InboxPage",
    "InvalidRequest",
    "Item",
    "Listener",
    "Lost",
    "NotFound",
    "Notification",
    "NotificationStatus",
    "OtherProblem",
    "Patience",
    "PublishIn",
    "Published",
    "Ready",
    "RequestError",
    "Reread",
    "ScheduleIn",
    "SchedulePatchIn",
    "ScheduleStatus",
    "StateConflict",
    "StepIn",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
]
