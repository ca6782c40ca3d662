"""The use cases of Bellwire, by subject. Every route, frame and worker loop ends in one of these.

Each write is: one transaction in the store, then a wake-up over the bus, then the wake-up row is settled. A crash
in between leaves the row, and `Upkeep.republish_leftovers` of any process tells what was not told.
"""

from hub.service.access import DISCONNECT_EVENT, Access
from hub.service.hub import Hub
from hub.service.inbox import Acknowledged, Inbox
from hub.service.notifications import Notifications, PublishOutcome
from hub.service.operations import Operations
from hub.service.privacy import Privacy
from hub.service.schedules import Fired, Schedules
from hub.service.topics import Following, Topics
from hub.service.upkeep import Upkeep
from hub.service.users import Users

__all__ = [
    "DISCONNECT_EVENT",
    "Access",
    "Acknowledged",
    "Fired",
    "Following",
    "Hub",
    "Inbox",
    "Notifications",
    "Operations",
    "Privacy",
    "PublishOutcome",
    "Schedules",
    "Topics",
    "Upkeep",
    "Users",
]
